//! Switches invariants off, one at a time, so that the simulation can show that it would notice.
//! Without the feature `testing` there is nothing to switch: [`Sabotage::breaks`] is always false.

/// The invariants of the design, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// No effect before its intent is durable.
    IntentFirst = 1,
    /// Nothing that is not owned is deleted.
    OnlyOwned = 2,
    /// A refused manifest, and a bad entry, change nothing that runs.
    RefusedIsInert = 3,
    /// A converged, quiet device is silent.
    Quiet = 4,
    /// A newer generation does not wait for an older one.
    NewestWins = 5,
    /// One bad or slow resource never blocks an independent one.
    Independent = 6,
    /// `Ready` speaks of what was observed after the last change.
    ReadyIsSeen = 7,
    /// The final status always arrives.
    StatusArrives = 8,
    /// Killed at any point: no orphan, no duplicate, no restart missed.
    SurvivesKill = 9,
    /// The device converges offline from its ledger.
    Offline = 10,
    /// Nothing that runs is disrupted while its gate is held closed.
    GateHolds = 11,
}

/// Which rule is switched off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sabotage {
    #[cfg(feature = "testing")]
    broken: Option<u8>,
}

impl Sabotage {
    /// Switches the rule with this number off.
    #[cfg(feature = "testing")]
    pub fn of(number: u8) -> Self {
        Self { broken: Some(number) }
    }

    /// Whether `rule` is switched off.
    pub fn breaks(self, rule: Rule) -> bool {
        #[cfg(feature = "testing")]
        let broken = self.broken == Some(rule as u8);
        #[cfg(not(feature = "testing"))]
        let broken = {
            let _ = rule;
            false
        };
        broken
    }
}

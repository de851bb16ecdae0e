//! What was seen of a resource, as plain data that the engine can hold, compare and replay.

use manifest_types::{kinds::ResourceDetails, manifest::Until};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is, in terms that can be held against what is wanted. Pure: it is computed from what `observe` saw.
/// Two values that hash alike mean that nothing changed in between.
pub trait Observed<S>: std::fmt::Debug + std::hash::Hash + Send {
    /// Whether there is anything at all.
    fn is_present(&self) -> bool;

    /// Where what is differs from what is wanted; empty means on target.
    fn drift(&self, wanted: &S) -> Vec<Difference>;

    /// How it fares.
    fn health(&self) -> Health;

    /// What the status shows of it; `None` if it is absent.
    fn details(&self) -> Option<ResourceDetails>;

    /// Whether stopping, restarting or replacing it would disrupt something that runs.
    fn is_running(&self) -> bool {
        false
    }

    /// Who forbids to disrupt it, for people.
    fn holder(&self) -> Option<String> {
        None
    }

    /// Whether the device itself bears witness that it is ours (a label, a marker line), whatever the ledger says.
    fn is_marked_ours(&self) -> bool {
        false
    }

    /// Whether what was there before us is kept, to be put back.
    fn keeps_original(&self) -> bool {
        false
    }
}

/// One field in which a device differs from a spec. Contents and credentials stand here as digests only.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The field, as a path below the spec or the observation.
    pub path: String,
    /// What the spec wants.
    pub want: Value,
    /// What was seen.
    pub got: Value,
    /// Whether it can be changed without replacing or restarting what is there.
    pub in_place: bool,
}

impl Difference {
    /// A difference that can be changed in place.
    pub fn in_place(path: impl Into<String>, want: impl Into<Value>, got: impl Into<Value>) -> Self {
        Self { path: path.into(), want: want.into(), got: got.into(), in_place: true }
    }
}

/// How a resource fares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Health {
    /// It was started and has not said yet that it is well: what it is waited for, for people.
    Starting(&'static str),
    /// It is well.
    Healthy,
    /// It is not well, and why.
    Unhealthy {
        /// Stable, for programs: `CrashLoop`.
        reason: &'static str,
        /// For people.
        message: String,
    },
    /// It has run to its end with success.
    Completed,
}

impl Health {
    /// It is not well.
    pub fn unhealthy(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Unhealthy { reason, message: message.into() }
    }

    /// Whether one that fares so is as far as a dependant needs.
    pub fn satisfies(&self, until: Until) -> bool {
        match until {
            Until::Started => true,
            Until::Ready => matches!(self, Self::Healthy | Self::Completed),
            Until::Completed => matches!(self, Self::Completed),
        }
    }
}

/// What was at a place before this agent took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// Nothing: deleting leaves nothing.
    Absent,
    /// Just what the spec wants: deleting leaves it.
    Same,
    /// Something else, which is kept: deleting puts it back.
    Original,
}

/// What was seen of one resource, compared with what was wanted then.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Whether there is anything at all.
    pub present: bool,
    /// Where it differs from the wanted spec; empty without one.
    pub differences: Vec<Difference>,
    /// How it fares.
    pub health: Health,
    /// What the status shows of it.
    pub details: Option<Box<ResourceDetails>>,
    /// Whether disturbing it would disrupt something that runs.
    pub running: bool,
    /// Who forbids to disrupt it, or any other of its group.
    pub holder: Option<String>,
    /// Whether the device itself bears witness that it is ours.
    pub marked_ours: bool,
    /// Whether what was there before us is kept, to be put back.
    pub keeps_original: bool,
    /// Equal for equal sights.
    pub fingerprint: u64,
}

impl Observation {
    /// Whether it is there and as wanted.
    pub fn on_target(&self) -> bool {
        self.present && self.differences.is_empty()
    }

    /// What one that takes the place now finds there.
    pub fn before(&self) -> Before {
        match (self.present, self.differences.is_empty()) {
            _ if self.keeps_original => Before::Original,
            _ if self.marked_ours => Before::Absent,
            (false, _) => Before::Absent,
            (true, true) => Before::Same,
            (true, false) => Before::Original,
        }
    }
}

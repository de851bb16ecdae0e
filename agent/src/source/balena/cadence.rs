//! When to ask for the target state, and when to report. Pure: time and chance are inputs.

use std::time::Duration;

use manifest_types::kinds::engine::Texts;

use crate::clock::BootTime;

/// Unless the target state says otherwise.
pub const USUAL: Duration = Duration::from_secs(900);
/// What the target state says is taken within these bounds.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));
/// As much is added at most, so that a fleet does not ask all at once.
const JITTER: Duration = Duration::from_secs(60);
/// The first wait after a failure; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(15);

/// When the next request is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cadence {
    /// From one to the next, when all is well.
    pub interval: Duration,
    /// The least from one to the next, whatever happens.
    pub spacing: Duration,
    /// How many have failed in a row.
    pub failures: u32,
    last: Option<BootTime>,
    due: BootTime,
}

impl Cadence {
    /// The first is due at once.
    pub fn new(interval: Duration, spacing: Duration) -> Self {
        Self { interval, spacing, failures: 0, last: None, due: BootTime::default() }
    }

    /// When the next is due.
    pub fn due(&self) -> BootTime {
        match self.last {
            Some(last) => self.due.max(last + self.spacing),
            None => self.due,
        }
    }

    /// One has begun.
    pub fn begun(&mut self, now: BootTime) {
        self.last = Some(now);
    }

    /// It was answered.
    pub fn answered(&mut self, now: BootTime, chance: f64) {
        self.failures = 0;
        self.due = now + self.interval + JITTER.min(self.interval).mul_f64(chance);
    }

    /// It was not, or with an error; `wait` is what the API asked to wait.
    pub fn failed(&mut self, now: BootTime, wait: Option<Duration>, chance: f64) {
        self.failures = self.failures.saturating_add(1);
        let doubled = pause_after(self.failures, self.interval.max(FIRST));
        // Full jitter above the half: fleets that fail together do not come back together.
        let own = doubled.mul_f64(0.5 + chance / 2.0);
        self.due = now + wait.map_or(own, |wait| wait.min(BOUNDS.1).max(own));
    }

    /// The next one is wanted now.
    pub fn hurry(&mut self, now: BootTime) {
        self.due = self.due.min(now);
    }
}

/// How long to wait after so many failures in a row, `most` at most.
pub fn pause_after(failures: u32, most: Duration) -> Duration {
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most)
}

/// The interval that a target state's configuration asks for. A value that is none is as if it were not there.
pub fn interval(config: &Texts) -> Duration {
    variable(config, "SUPERVISOR_POLL_INTERVAL")
        .and_then(|value| value.trim().parse().ok())
        .map_or(USUAL, |millis| Duration::from_millis(millis).clamp(BOUNDS.0, BOUNDS.1))
}

/// A request has so long, unless the target state says otherwise; within these bounds.
pub const PATIENCE: Duration = Duration::from_secs(59);
const PATIENCE_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How long a request may take, as a target state's configuration says.
pub fn patience(config: &Texts) -> Duration {
    variable(config, "SUPERVISOR_API_REQUEST_TIMEOUT")
        .and_then(|value| value.trim().parse().ok())
        .map_or(PATIENCE, |millis| Duration::from_millis(millis).clamp(PATIENCE_BOUNDS.0, PATIENCE_BOUNDS.1))
}

/// A variable of the configuration: in the new spelling, in the old one, or bare.
pub fn variable<'a>(config: &'a Texts, name: &str) -> Option<&'a str> {
    let spelt = ["BALENA_", "RESIN_", ""].into_iter().map(|prefix| format!("{prefix}{name}"));
    spelt.into_iter().find_map(|name| config.get(&name)).map(String::as_str)
}

/// A variable that is true or false.
pub fn flag(config: &Texts, name: &str) -> Option<bool> {
    match variable(config, name)?.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "on" => Some(true),
        "0" | "false" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_asked_at_once_and_then_once_an_interval() {
        let mut cadence = Cadence::new(USUAL, Duration::from_secs(10));
        assert_eq!(cadence.due(), at(0));
        cadence.begun(at(100));
        cadence.answered(at(101), 0.5);
        assert_eq!(cadence.due(), at(101 + 900 + 30));
        cadence.hurry(at(103));
        assert_eq!(cadence.due(), at(110), "no sooner than the spacing allows");
    }

    #[test]
    fn failures_are_further_and_further_apart_and_a_wait_that_is_asked_for_is_kept() {
        let mut cadence = Cadence::new(USUAL, Duration::from_secs(10));
        let mut waits = Vec::new();
        for _ in 0..9 {
            cadence.begun(at(0));
            cadence.failed(at(0), None, 1.0);
            waits.push((cadence.due() - at(0)).as_secs());
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 900, 900, 900]);
        cadence.failed(at(0), Some(Duration::from_secs(2000)), 0.0);
        assert_eq!(cadence.due(), at(2000));
        cadence.failed(at(0), Some(Duration::from_secs(1)), 0.0);
        assert_eq!(cadence.due(), at(450), "a short wait is no reason to hurry");
        cadence.answered(at(0), 0.0);
        assert_eq!((cadence.failures, cadence.due()), (0, at(900)));
    }

    #[test]
    fn what_is_true_and_what_is_false_is_written_in_many_ways() {
        let of = |value: &str| flag(&[("RESIN_A".to_owned(), value.to_owned())].into(), "A");
        assert_eq!(["1", "true", " On "].map(of), [Some(true); 3]);
        assert_eq!(["0", "FALSE", "off"].map(of), [Some(false); 3]);
        assert_eq!((of("perhaps"), flag(&Texts::new(), "A")), (None, None));
    }

    #[test]
    fn the_target_state_says_how_often() {
        let of = |pairs: &[(&str, &str)]| {
            interval(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
                .as_secs()
        };
        assert_eq!(of(&[]), 900);
        assert_eq!(of(&[("RESIN_SUPERVISOR_POLL_INTERVAL", "600000")]), 600);
        let both =
            [("RESIN_SUPERVISOR_POLL_INTERVAL", "600000"), ("BALENA_SUPERVISOR_POLL_INTERVAL", "1200000")];
        assert_eq!(of(&both), 1200);
        assert_eq!(of(&[("RESIN_SUPERVISOR_POLL_INTERVAL", "1")]), 60);
        assert_eq!(of(&[("RESIN_SUPERVISOR_POLL_INTERVAL", "often")]), 900);
        assert_eq!(of(&[("SUPERVISOR_POLL_INTERVAL", "99999999999")]), 86_400);
        let within = |value: &str| {
            patience(&[("RESIN_SUPERVISOR_API_REQUEST_TIMEOUT".to_owned(), value.to_owned())].into())
        };
        assert_eq!(
            (within("2000"), within("0"), within("x")),
            (Duration::from_secs(2), Duration::from_secs(1), PATIENCE)
        );
    }
}

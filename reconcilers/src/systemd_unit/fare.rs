//! How a unit fares: what systemd says, held against what is wanted. Pure.

use std::time::Duration;

use jiff::Timestamp;
use manifest_types::kinds::systemd_unit::LoadState;

use super::init::{Active, Unit};
use crate::observation::Health;

/// A run that was shorter is no run; what was restarted counts as running only after so long.
pub(super) const SHORT: Duration = Duration::from_secs(10);
/// So many restarts after short runs are no accident.
pub(super) const LOOP: u32 = 3;

/// What is known of how a unit has fared so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// It fails again and again, and is left alone for a while.
    pub rests: bool,
    /// systemd restarts it again and again.
    pub loops: bool,
    /// It was restarted, and has not run for long enough since.
    pub is_fresh: bool,
}

/// How a unit fares. `is_to_run`: whether it is wanted to.
pub(super) fn health(unit: &Unit, is_to_run: bool, record: Record) -> Health {
    if let LoadState::BadSetting | LoadState::Error = unit.load_state {
        let why = unit.load_error.clone().unwrap_or_else(|| "systemd cannot read it".into());
        return Health::unhealthy("BadSetting", why);
    }
    let loops = || Health::unhealthy("CrashLoop", told(unit, "systemd restarts it again and again"));
    match unit.active {
        Active::Active if is_to_run && record.loops => loops(),
        Active::Active if is_to_run && record.is_fresh => {
            Health::Starting("systemd has restarted it, and it has not run for long enough since")
        }
        Active::Active | Active::Reloading => Health::Healthy,
        _ if unit.is_complete() => Health::Completed,
        _ if !is_to_run => Health::Healthy,
        Active::Activating if record.loops => loops(),
        Active::Activating if is_restarted(unit) => {
            Health::Starting("it has ended, and systemd starts it again in a moment")
        }
        Active::Activating => Health::Starting("systemd is starting it"),
        Active::Deactivating => Health::Starting("it is being stopped"),
        Active::Failed if record.rests => Health::unhealthy(
            "CrashLoop",
            told(unit, "it fails again and again, and is left alone for a while"),
        ),
        Active::Failed => Health::unhealthy("UnitFailed", told(unit, "it has failed")),
        Active::Inactive | Active::Other => Health::Starting("it does not run"),
    }
}

/// In how long a unit that was restarted counts as running.
pub(super) fn settles_in(unit: &Unit, now: Timestamp) -> Option<Duration> {
    let was_restarted = unit.service.as_ref().is_some_and(|service| service.restarts > 0);
    // What began in the future began before the clock was put back, and nobody knows when.
    let ran = Duration::try_from(now.duration_since(unit.since?)).ok()?;
    (unit.active == Active::Active && was_restarted && ran < SHORT).then(|| SHORT - ran)
}

/// Whether systemd restarts a unit again and again; `did`: whether it did so before.
pub(super) fn loops(unit: &Unit, did: bool, now: Timestamp) -> bool {
    match unit.active {
        Active::Activating if is_restarted(unit) => {
            unit.service.as_ref().is_some_and(|service| service.restarts >= LOOP) && was_short(unit)
        }
        Active::Activating | Active::Deactivating => did,
        Active::Active => did && settles_in(unit, now).is_some(),
        _ => false,
    }
}

/// Whether a unit has run for long enough to count as running.
pub(super) fn has_settled(unit: &Unit, now: Timestamp) -> bool {
    let ran = unit.since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
    unit.active == Active::Active && ran.is_some_and(|ran| ran >= SHORT)
}

/// Whether its last run, or its attempt at one, was short.
pub(super) fn was_short(unit: &Unit) -> bool {
    unit.has_run && unit.ran_for.is_none_or(|ran| ran < SHORT)
}

/// Whether systemd has given up on a unit that has failed. It tells so only of one that has not told how it has failed before.
pub(super) fn was_given_up(unit: &Unit) -> bool {
    let was_restarted = unit.service.as_ref().is_some_and(|service| service.restarts >= LOOP);
    unit.result == "start-limit-hit" || (unit.active == Active::Failed && was_restarted && was_short(unit))
}

fn is_restarted(unit: &Unit) -> bool {
    unit.sub.starts_with("auto-restart")
}

/// What is said of a unit, with how it ended and what it printed.
fn told(unit: &Unit, what: &str) -> String {
    let end = unit.last_end.as_ref().map(|end| format!(" ({end})")).unwrap_or_default();
    let printed = match unit.printed.as_str() {
        "" => String::new(),
        printed => format!("; its journal ends with: {printed}"),
    };
    format!("{what}{end}{printed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd_unit::init::Service;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn unit(active: Active, sub: &str, restarts: u32) -> Unit {
        Unit {
            load_state: LoadState::Loaded,
            active,
            sub: sub.into(),
            has_run: true,
            since: Some(at(100)),
            ran_for: Some(Duration::from_secs(1)),
            result: "exit-code".into(),
            service: Some(Service { restarts, exit_status: Some(7), ..Service::default() }),
            last_end: Some("exit-code, 7".into()),
            printed: "no cheese".into(),
            ..Unit::default()
        }
    }

    #[test]
    fn how_it_fares_follows_from_what_systemd_says() {
        let reason = |unit: &Unit, is_to_run, record| match health(unit, is_to_run, record) {
            Health::Unhealthy { reason, message } => {
                assert!(message.contains("(exit-code, 7); its journal ends with: no cheese"), "{message}");
                reason.to_owned()
            }
            Health::Starting(why) => why.split([' ', ',']).take(3).collect::<Vec<_>>().join(" "),
            other => format!("{other:?}"),
        };
        let (none, rests) = (Record::default(), Record { rests: true, ..Record::default() });
        let loops = Record { loops: true, is_fresh: true, ..Record::default() };
        let fresh = Record { is_fresh: true, ..Record::default() };
        for (unit, is_to_run, record, told) in [
            (unit(Active::Active, "running", 0), true, none, "Healthy"),
            (unit(Active::Active, "running", 1), true, fresh, "systemd has restarted"),
            (unit(Active::Active, "running", 4), true, loops, "CrashLoop"),
            (unit(Active::Active, "running", 4), false, loops, "Healthy"),
            (unit(Active::Activating, "auto-restart", 1), true, none, "it has ended"),
            (unit(Active::Activating, "auto-restart", 4), true, loops, "CrashLoop"),
            (unit(Active::Activating, "start", 0), true, none, "systemd is starting"),
            (unit(Active::Failed, "failed", 0), true, none, "UnitFailed"),
            (unit(Active::Failed, "failed", 0), true, rests, "CrashLoop"),
            (unit(Active::Failed, "failed", 0), false, none, "Healthy"),
            (unit(Active::Inactive, "dead", 0), true, none, "it does not"),
        ] {
            assert_eq!(reason(&unit, is_to_run, record), told, "{unit:?}");
        }
    }

    #[test]
    fn what_systemd_restarts_loops_until_it_has_run_for_long_enough() {
        let ends = |restarts| unit(Active::Activating, "auto-restart", restarts);
        assert!(!loops(&ends(2), false, at(101)) && loops(&ends(3), false, at(101)));
        let ran_long = Unit { ran_for: Some(SHORT), ..ends(50) };
        assert!(!loops(&ran_long, true, at(101)));
        let runs = unit(Active::Active, "running", 3);
        assert!(loops(&runs, true, at(105)) && !loops(&runs, false, at(105)) && !loops(&runs, true, at(110)));
        assert!(loops(&unit(Active::Activating, "start", 3), true, at(105)));
        assert!(!loops(&unit(Active::Failed, "failed", 3), true, at(105)));
    }

    #[test]
    fn what_was_restarted_settles() {
        let runs = unit(Active::Active, "running", 1);
        assert_eq!(settles_in(&runs, at(104)), Some(Duration::from_secs(6)));
        assert_eq!(settles_in(&runs, at(110)), None);
        assert_eq!(settles_in(&runs, at(99)), None, "the clock was put back");
        assert_eq!(settles_in(&unit(Active::Active, "running", 0), at(104)), None);
    }
}

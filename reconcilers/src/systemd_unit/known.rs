//! What was read of units, as long as nothing has happened to them since: one list tells of all how they fare, and only what that does not tell is asked for, unit by unit.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use manifest_types::name::ResourceId;
use tokio::time::Instant;

use super::{
    fare::{self, Record},
    init::{Active, Listed, Unit, UnitEvent},
};

/// What the list does not tell is read again after so long, whether or not something happened.
const READ_AGAIN: Duration = Duration::from_secs(600);
/// So long it is left alone then.
const RESTS: Duration = Duration::from_secs(60);
/// So long where systemd has given up on it.
const RESTS_AT_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The units of one init system.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<String, Read>,
    /// Whose each unit is, of those that are held.
    names: BTreeMap<String, ResourceId>,
    /// Counts what was heard.
    heard: u64,
    /// When something was last heard of a unit; of all, under an empty name.
    last: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
struct Read {
    unit: Unit,
    at: Instant,
    heard: u64,
    /// Since when it has failed as it has now.
    failed_since: Option<Instant>,
    /// How many of its runs in a row have been short and ended in failure.
    short_failures: u32,
    /// Whether systemd restarts it again and again.
    loops: bool,
}

/// A moment, as far as what was heard goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(u64);

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on what happens to the unit is a hint on `id`, or no hint any more.
    pub(super) fn watch(&self, unit: &str, id: Option<&ResourceId>) {
        let mut state = self.state();
        match id {
            Some(id) => drop(state.names.insert(unit.to_owned(), id.clone())),
            None => {
                state.names.remove(unit);
                state.units.remove(unit);
                state.last.remove(unit);
            }
        }
    }

    /// Notes what was heard; whom it concerns, `None` being all.
    pub(super) fn hear(&self, event: &UnitEvent) -> Option<Option<ResourceId>> {
        let mut state = self.state();
        state.heard += 1;
        let heard = state.heard;
        match event {
            UnitEvent::Any => {
                state.last.clear();
                state.last.insert(String::new(), heard);
                Some(None)
            }
            UnitEvent::Unit(name) => {
                let id = state.names.get(name).cloned()?;
                state.last.insert(name.clone(), heard);
                Some(Some(id))
            }
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment(self.state().heard)
    }

    /// Takes in what was read of a unit after that moment, and adds how it ended before, of one that is restarted again and again. `today` is what the wall clock says.
    pub(super) fn keep(&self, name: &str, mut unit: Unit, before: Moment, today: Timestamp) -> Unit {
        let mut state = self.state();
        let now = Instant::now();
        let known = state.units.get(name);
        let is_same =
            known.is_some_and(|known| known.unit.active == unit.active && known.unit.since == unit.since);
        let short_failures = match unit.active {
            Active::Failed if is_same => known.map_or(1, |known| known.short_failures),
            Active::Failed if fare::was_short(&unit) => known.map_or(0, |known| known.short_failures) + 1,
            Active::Active if fare::has_settled(&unit, today) => 0,
            Active::Failed => 0,
            _ => known.map_or(0, |known| known.short_failures),
        };
        let failed_since = match unit.active {
            Active::Failed if is_same => known.and_then(|known| known.failed_since),
            Active::Failed => Some(now),
            _ => None,
        };
        let loops = fare::loops(&unit, known.is_some_and(|known| known.loops), today);
        if let Some(known) = known.filter(|_| loops && !unit.has_failed()) {
            (unit.last_end, unit.printed) = (known.unit.last_end.clone(), known.unit.printed.clone());
        } else {
            unit.last_end = unit.end();
        }
        let told = unit.clone();
        state.units.insert(
            name.to_owned(),
            Read { unit, at: now, heard: before.0, failed_since, short_failures, loops },
        );
        told
    }

    /// What was read of a unit, if it still counts. `listed` is how it fares now.
    pub(super) fn current(&self, listed: &Listed) -> Option<Unit> {
        let state = self.state();
        let read = state.units.get(&listed.name)?;
        let last = |name: &str| state.last.get(name).copied().unwrap_or(0);
        let is_quiet = last(&listed.name).max(last("")) <= read.heard;
        let unit = &read.unit;
        let is_alike =
            (&unit.load_state, unit.active, &unit.sub) == (&listed.load_state, listed.active, &listed.sub);
        (is_quiet && is_alike && listed.job == 0 && read.at.elapsed() < READ_AGAIN).then(|| unit.clone())
    }

    /// How a unit has fared so far.
    pub(super) fn record(&self, name: &str, today: Timestamp) -> Record {
        let state = self.state();
        let Some(read) = state.units.get(name) else { return Record::default() };
        Record {
            rests: read.rests(),
            loops: fare::loops(&read.unit, read.loops, today),
            is_fresh: fare::settles_in(&read.unit, today).is_some(),
        }
    }
}

impl Read {
    /// Whether a unit that has failed is left alone for a while.
    fn rests(&self) -> bool {
        let Self { unit, failed_since: Some(since), .. } = self else { return false };
        let is_at_limit = fare::was_given_up(unit);
        let rest = if is_at_limit { RESTS_AT_LIMIT } else { RESTS };
        (is_at_limit || self.short_failures >= fare::LOOP) && since.elapsed() < rest
    }
}

#[cfg(test)]
mod tests {
    use manifest_types::kinds::systemd_unit::LoadState;

    use super::*;

    fn today() -> Timestamp {
        Timestamp::from_second(1_000_000_000).unwrap()
    }

    fn unit(active: Active) -> Unit {
        Unit { load_state: LoadState::Loaded, active, sub: "x".into(), has_run: true, ..Unit::default() }
    }

    fn listed(active: Active) -> Listed {
        Listed { name: "a.service".into(), load_state: LoadState::Loaded, active, sub: "x".into(), job: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_counts_until_something_is_heard() {
        let known = Known::default();
        known.watch("a.service", Some(&"a".parse().unwrap()));
        let fresh = |known: &Known| known.keep("a.service", unit(Active::Active), known.moment(), today());
        fresh(&known);
        assert!(known.current(&listed(Active::Active)).is_some());
        assert!(known.current(&listed(Active::Failed)).is_none(), "the list says otherwise");
        assert!(known.current(&Listed { job: 7, ..listed(Active::Active) }).is_none());
        assert_eq!(known.hear(&UnitEvent::Unit("b.service".into())), None, "it is nobody's");
        assert!(known.current(&listed(Active::Active)).is_some());
        let before = known.moment();
        assert_eq!(known.hear(&UnitEvent::Unit("a.service".into())), Some(Some("a".parse().unwrap())));
        assert!(known.current(&listed(Active::Active)).is_none());
        known.keep("a.service", unit(Active::Active), before, today());
        assert!(known.current(&listed(Active::Active)).is_none(), "it was read before that");
        fresh(&known);
        assert_eq!(known.hear(&UnitEvent::Any), Some(None));
        assert!(known.current(&listed(Active::Active)).is_none());
        fresh(&known);
        tokio::time::advance(READ_AGAIN).await;
        assert!(known.current(&listed(Active::Active)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_at_once_rests_for_a_while() {
        let known = Known::default();
        let mut failed = unit(Active::Failed);
        failed.ran_for = Some(Duration::from_secs(3600));
        known.keep("a.service", failed.clone(), known.moment(), today());
        assert!(!known.record("a.service", today()).rests, "it ran for long enough");
        failed.ran_for = Some(Duration::from_millis(100));
        let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
        for failure in 1..3 {
            failed.since = Some(at(failure));
            known.keep("a.service", failed.clone(), known.moment(), today());
            assert!(!known.record("a.service", today()).rests, "it may be an accident");
            known.keep("a.service", unit(Active::Activating), known.moment(), today());
        }
        failed.since = Some(at(3));
        for _ in 0..2 {
            known.keep("a.service", failed.clone(), known.moment(), today());
            assert!(known.record("a.service", today()).rests);
            tokio::time::advance(RESTS / 2).await;
        }
        assert!(!known.record("a.service", today()).rests);
        failed.since = None;
        failed.result = "start-limit-hit".into();
        known.keep("a.service", failed, known.moment(), today());
        tokio::time::advance(RESTS * 2).await;
        assert!(known.record("a.service", today()).rests);
    }
}

//! How containers last ended, as their engine told it: Docker forgets that as soon as it starts one again. Pure.

use std::collections::BTreeMap;

use crate::engine::terms::{End, State};

/// Of so many containers at most something is kept.
const MOST: usize = 4096;
/// That memory ran out is told by another than who tells the end, a little sooner or later: so many nanoseconds at most.
const BESIDE: u64 = 1_000_000_000;

/// The last ends, by the ids of containers.
#[derive(Debug, Default)]
pub(super) struct Ends(BTreeMap<String, LastEnd>);

/// What was told of one. Times are in nanoseconds since 1970.
#[derive(Debug, Default)]
struct LastEnd {
    ended: Option<(i64, i64)>,
    starved_at: Option<i64>,
}

impl Ends {
    /// Keeps what was told at a time.
    pub(super) fn note(&mut self, id: &str, at: i64, end: End) {
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let last = self.0.entry(id.to_owned()).or_default();
        match end {
            End::Code(code) => last.ended = Some((at, code)),
            End::OutOfMemory => last.starved_at = Some(at),
        }
    }

    /// Tells of a container's state what its engine may have forgotten.
    pub(super) fn tell(&self, id: &str, state: &mut State) {
        let Some(LastEnd { ended: Some((ended_at, code)), starved_at }) = self.0.get(id) else { return };
        if state.activity.is_up() && state.exit_code == 0 {
            state.exit_code = *code;
        }
        state.oom_killed |= starved_at.is_some_and(|at| at.abs_diff(*ended_at) <= BESIDE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::terms::Activity;

    #[test]
    fn an_end_is_told_until_the_next_one() {
        const SECOND: i64 = 1_000_000_000;
        let mut ends = Ends::default();
        let told = |ends: &Ends, activity| {
            let mut state = State::of(activity);
            ends.tell("a", &mut state);
            (state.exit_code, state.oom_killed)
        };
        assert_eq!(told(&ends, Activity::Running), (0, false));
        ends.note("a", 10 * SECOND, End::OutOfMemory);
        assert_eq!(told(&ends, Activity::Running), (0, false), "one of its programs, perhaps");
        ends.note("a", 10 * SECOND + 5, End::Code(137));
        assert_eq!(told(&ends, Activity::Restarting), (137, true));
        assert_eq!(told(&ends, Activity::Exited), (0, true), "the engine knows the code of what has ended");
        ends.note("a", 20 * SECOND, End::Code(1));
        assert_eq!(told(&ends, Activity::Running), (1, false));
        ends.note("a", 20 * SECOND + 9, End::OutOfMemory);
        assert_eq!(told(&ends, Activity::Running), (1, true), "it may be told after the end");
        ends.note("b", 20 * SECOND, End::Code(2));
        assert_eq!(told(&ends, Activity::Running), (1, true));
    }
}

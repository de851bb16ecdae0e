//! Whose turn it is when a container has ended: Podman starts it again by the container's own policy, and says nothing of it before it has. Whoever starts it meanwhile takes
//! that for the first start, and a container that fails again and again looks like one that has failed once. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::engine::terms::{Activity, Container, State};

/// For so long after an end it is left to the engine. Podman takes half a second on a slow machine.
const TURN: Duration = Duration::from_secs(2);

/// Killed, or asked to end and without an answer of its own.
const ENDED_BY_OTHERS: [i64; 2] = [128 + 9, 128 + 15];

/// Whether a container that has ended by itself is still left to an engine that announces nothing.
pub(super) fn is_the_engines(found: &Container, now: Timestamp) -> bool {
    let State { activity, exit_code, oom_killed, finished_at, .. } = found.state;
    // What somebody stops is not started again by its policy, and no engine says that it was somebody.
    let ended_by_itself = oom_killed || !ENDED_BY_OTHERS.contains(&exit_code);
    activity == Activity::Exited
        && ended_by_itself
        && is_restarted(found)
        && until(finished_at, now).is_some()
}

/// When it is the engine's turn no more, of a container that is about to be started again.
pub(super) fn ends_at(state: &State, now: Timestamp) -> Option<Timestamp> {
    until(state.finished_at, now).filter(|_| state.activity == Activity::Restarting)
}

fn until(finished_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let finished = finished_at?;
    let until = finished.checked_add(SignedDuration::try_from(TURN).ok()?).ok()?;
    // What ended in the future ended before the clock was put back, and nobody knows when.
    (finished <= now && now < until).then_some(until)
}

/// Whether the policy that the container has makes its engine start it again.
fn is_restarted(found: &Container) -> bool {
    let most = found.shape.get("maxRestarts").and_then(serde_json::Value::as_u64).filter(|most| *most > 0);
    match found.shape.get("restartPolicy").and_then(serde_json::Value::as_str) {
        Some("Always" | "UnlessStopped") => true,
        Some("OnFailure") => {
            found.state.exit_code != 0 && most.is_none_or(|most| found.state.restarts < most)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use manifest_types::kinds::{container::RestartPolicy, engine::Texts};

    use super::*;
    use crate::engine::{shape::Shape, terms::State};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ended(code: i64, restarts: u64, policy: RestartPolicy, most: Option<u32>) -> Container {
        let mut shape = Shape::default();
        shape.restarts(policy, most);
        Container {
            id: "c1".into(),
            name: "web".into(),
            image: "web:1".into(),
            image_id: "sha256:1".into(),
            labels: Texts::new(),
            state: State {
                exit_code: code,
                restarts,
                finished_at: Some(at(100)),
                ..State::of(Activity::Exited)
            },
            shape,
            addresses: BTreeMap::new(),
        }
    }

    #[test]
    fn what_has_ended_is_the_engines_for_a_moment_if_its_policy_says_so() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        for (code, restarts, policy, most, is_left) in [
            (0, 0, Always, None, true),
            (7, 9, UnlessStopped, None, true),
            (0, 0, OnFailure, None, false),
            (7, 1, OnFailure, Some(2), true),
            (7, 2, OnFailure, Some(2), false),
            (7, 0, No, None, false),
            (143, 0, Always, None, false),
        ] {
            let found = ended(code, restarts, policy, most);
            assert_eq!(is_the_engines(&found, at(101)), is_left, "{code} {restarts} {policy:?}");
        }
    }

    #[test]
    fn not_for_long_and_not_by_a_clock_that_was_put_back() {
        let found = ended(7, 0, RestartPolicy::Always, None);
        assert!(!is_the_engines(&found, at(102)) && !is_the_engines(&found, at(99)));
        let starved = State { exit_code: 137, oom_killed: true, ..found.state.clone() };
        assert!(is_the_engines(&Container { state: starved, ..found.clone() }, at(101)));
        assert_eq!(ends_at(&found.state, at(101)), None);
        let told = |activity| State { activity, ..found.state.clone() };
        assert_eq!(ends_at(&told(Activity::Restarting), at(101)), Some(at(102)));
        assert_eq!(ends_at(&told(Activity::Restarting), at(102)), None);
        assert_eq!(ends_at(&told(Activity::Running), at(101)), None);
    }
}

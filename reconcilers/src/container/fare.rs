//! How a container fares, and whether it is to run now: what its engine says, held against its spec. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use manifest_types::kinds::container::{ContainerSpec, Desired, RestartPolicy};

use super::probes::Said;
use crate::{
    engine::terms::{Activity, Checked, State},
    observation::Health,
};

/// A container that has ended with a failure counts as started only once it has run for so long; engines forget their own pauses then, too.
pub(super) const SETTLED: Duration = Duration::from_secs(10);
/// Where there is no systemd, Podman runs no healthcheck, and this is all that is ever told.
const UNCHECKED: &str =
    "its healthcheck has not said anything yet (where the engine is Podman, systemd must run it)";
/// So many restarts after failures are no accident.
const LOOP: u64 = 3;

/// Whether a container is to run that does not: what its restart policy has left stopped, and what this agent has stopped itself, but not what has done its work or
/// has failed for good.
pub(super) fn is_to_run(spec: &ContainerSpec, state: &State) -> bool {
    let never_ended = state.finished_at.is_none() && state.activity != Activity::Exited;
    let may_restart = spec.max_restarts.is_none_or(|most| state.restarts < u64::from(most));
    match spec.restart_policy {
        _ if spec.desired == Desired::Stopped => false,
        _ if state.is_halted => true,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure => never_ended || (state.exit_code != 0 && may_restart),
        RestartPolicy::No => never_ended,
    }
}

/// How a container fares. `output` is the end of what it has printed, for those who ask why.
pub(super) fn health(
    spec: &ContainerSpec,
    state: &State,
    said: Said,
    output: &str,
    now: Timestamp,
) -> Health {
    match state.activity {
        Activity::Running | Activity::Paused if fails_again_and_again(state, now) => {
            crash_loop(state, output)
        }
        Activity::Running if is_fresh_after_failure(state, now) => {
            Health::Starting("it has failed before, and has not run for long enough since")
        }
        Activity::Running => match state.healthcheck {
            Some(Checked::Starting) => Health::Starting(UNCHECKED),
            Some(Checked::Unhealthy) => {
                Health::unhealthy("HealthcheckFails", with_output("its healthcheck fails", output))
            }
            Some(Checked::Healthy) | None => readiness(spec, said),
        },
        Activity::Restarting if state.restarts >= LOOP => crash_loop(state, output),
        Activity::Created | Activity::Exited | Activity::Dead if spec.desired == Desired::Stopped => {
            Health::Healthy
        }
        Activity::Restarting => Health::Starting("it has ended, and the engine is about to start it again"),
        Activity::Created => Health::Starting("it was made, and is not started yet"),
        Activity::Paused => Health::Starting("it is paused"),
        Activity::Removing => Health::Starting("it is on its way out"),
        Activity::Exited | Activity::Dead if is_to_run(spec, state) => {
            Health::Starting("it has ended, and is about to be started again")
        }
        Activity::Exited if state.exit_code == 0 => Health::Completed,
        Activity::Exited | Activity::Dead => Health::unhealthy("Exited", with_output(&ended(state), output)),
    }
}

/// Without a readiness probe, what runs is ready.
fn readiness(spec: &ContainerSpec, said: Said) -> Health {
    match (&spec.probes.readiness, said.ready) {
        (None, _) | (Some(_), Some(true)) => Health::Healthy,
        (Some(_), None) => Health::Starting("its readiness probe has not said anything yet"),
        (Some(_), Some(false)) => Health::unhealthy("NotReady", "its readiness probe fails"),
    }
}

/// When a container that runs and has ended before may count as something else, though nothing happens to it.
pub(super) fn settles_at(state: &State, now: Timestamp) -> Option<Timestamp> {
    let started = state.started_at?;
    let at = started.checked_add(SignedDuration::try_from(SETTLED).ok()?).ok()?;
    // What began in the future began before the clock was put back, and nobody knows when.
    let is_fresh = started <= now && at > now;
    (state.activity == Activity::Running && state.restarts > 0 && is_fresh).then_some(at)
}

/// Whether it is worth asking for what it has printed: where that would be told.
pub(super) fn wants_output(spec: &ContainerSpec, state: &State, now: Timestamp) -> bool {
    matches!(health(spec, state, Said::default(), "", now), Health::Unhealthy { .. })
}

fn is_fresh_after_failure(state: &State, now: Timestamp) -> bool {
    state.exit_code != 0 && settles_at(state, now).is_some()
}

fn fails_again_and_again(state: &State, now: Timestamp) -> bool {
    state.restarts >= LOOP && is_fresh_after_failure(state, now)
}

fn crash_loop(state: &State, output: &str) -> Health {
    let told = format!("it ends again and again ({} restarts); {}", state.restarts, ended(state));
    Health::unhealthy("CrashLoop", with_output(&told, output))
}

fn ended(state: &State) -> String {
    let memory = if state.oom_killed { ", out of memory" } else { "" };
    let why = if state.error.is_empty() { String::new() } else { format!(": {}", state.error) };
    format!("it last ended with code {}{memory}{why}", state.exit_code)
}

fn with_output(told: &str, output: &str) -> String {
    if output.is_empty() { told.to_owned() } else { format!("{told}; it printed: {output}") }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(more: Value) -> ContainerSpec {
        let mut spec = json!({ "image": "web:1" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn state(activity: Activity) -> State {
        State {
            activity,
            healthcheck: None,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            started_at: Some(at(100)),
            finished_at: None,
            restarts: 0,
            is_halted: false,
        }
    }

    fn ended(code: i64) -> State {
        State { exit_code: code, finished_at: Some(at(101)), ..state(Activity::Exited) }
    }

    #[test]
    fn what_a_restart_policy_leaves_stopped_runs_again_unless_it_is_done_or_has_failed_for_good() {
        let created = State { started_at: None, ..state(Activity::Created) };
        for (policy, never, zero, failed) in [
            (json!({}), true, true, true),
            (json!({ "restartPolicy": "UnlessStopped" }), true, true, true),
            (json!({ "restartPolicy": "OnFailure" }), true, false, true),
            (json!({ "restartPolicy": "No" }), true, false, false),
            (json!({ "desired": "Stopped" }), false, false, false),
        ] {
            let spec = spec(policy.clone());
            let told = [&created, &ended(0), &ended(3)].map(|state| is_to_run(&spec, state));
            assert_eq!(told, [never, zero, failed], "{policy}");
        }
        let once = spec(json!({ "restartPolicy": "No" }));
        assert!(is_to_run(&once, &State { is_halted: true, ..ended(0) }), "it was not its own end");
        assert!(!is_to_run(&spec(json!({ "desired": "Stopped" })), &State { is_halted: true, ..ended(0) }));
        let twice = spec(json!({ "restartPolicy": "OnFailure", "maxRestarts": 2 }));
        assert!(!is_to_run(&twice, &State { restarts: 2, ..ended(3) }));
    }

    #[test]
    fn how_it_fares_follows_from_what_the_engine_says() {
        let reason = |spec: &ContainerSpec, state: &State, now: i64| match health(
            spec,
            state,
            Said::default(),
            "oh no",
            at(now),
        ) {
            Health::Unhealthy { reason, message } => {
                assert!(message.ends_with("it printed: oh no"), "{message}");
                reason.to_owned()
            }
            Health::Starting(why) => why.split([' ', ',']).take(3).collect::<Vec<_>>().join(" "),
            other => format!("{other:?}"),
        };
        let (always, once) = (spec(json!({})), spec(json!({ "restartPolicy": "No" })));
        let stopped = spec(json!({ "desired": "Stopped" }));
        let running = state(Activity::Running);
        let checked = |checked| State { healthcheck: Some(checked), ..running.clone() };
        let failing = |restarts, activity| State { restarts, activity, exit_code: 1, ..running.clone() };
        for (spec, state, now, told) in [
            (&always, running.clone(), 100, "Healthy"),
            (&always, checked(Checked::Starting), 100, "its healthcheck has"),
            (&always, checked(Checked::Unhealthy), 100, "HealthcheckFails"),
            (&always, failing(1, Activity::Running), 105, "it has failed"),
            (&always, failing(5, Activity::Running), 105, "CrashLoop"),
            (&always, failing(5, Activity::Restarting), 105, "CrashLoop"),
            (&always, failing(5, Activity::Running), 111, "Healthy"),
            (&always, failing(1, Activity::Restarting), 105, "it has ended"),
            (&always, ended(3), 105, "it has ended"),
            (&once, ended(0), 105, "Completed"),
            (&once, ended(3), 105, "Exited"),
            (&stopped, state(Activity::Created), 105, "Healthy"),
            (&stopped, ended(3), 105, "Healthy"),
            (&always, state(Activity::Created), 105, "it was made"),
        ] {
            assert_eq!(reason(spec, &state, now), told, "{state:?}");
        }
        assert_eq!(settles_at(&failing(1, Activity::Running), at(105)), Some(at(110)));
        assert_eq!(settles_at(&running, at(105)), None);
        // The clock was put back meanwhile: it is not waited for the hour to come again.
        assert_eq!(settles_at(&failing(1, Activity::Running), at(50)), None);
    }
}

//! Whether a candidate has proved well. Pure.

use manifest_types::kinds::container::Desired;

use super::{Goal, Member, Memory, must_start};
use crate::{
    container::fare,
    engine::terms::{Activity, State},
    observation::Health,
};

/// Whether a candidate is well.
pub(super) enum Proof {
    /// It must be started, or let go on, first.
    ToStart,
    Well,
    NotYet,
    Bad(String),
}

/// Whether something was started and has ended, and nobody has killed it. By the engine's policy it may run again by now.
fn has_ended_by_itself(state: &State) -> bool {
    let is_killed = state.exit_code > 128 || state.is_halted;
    let has_ended = state.restarts > 0 || matches!(state.activity, Activity::Exited | Activity::Restarting);
    has_ended && state.started_at.is_some() && !is_killed
}

/// Whether one that was started is down, or was started again by its engine.
pub(super) fn has_ended(member: &Member) -> bool {
    !member.is_up() || member.container.state.restarts > 0
}

/// Whether it was seen running for the first time so long ago, whatever has become of it since.
pub(super) fn has_been_there_for(
    member: &Member,
    time: std::time::Duration,
    goal: &Goal<'_>,
    memory: &Memory,
) -> bool {
    let runs = memory.runs.iter().filter(|((id, _), _)| *id == member.container.id);
    runs.map(|(_, since)| *since).min().is_some_and(|since| goal.elapsed.saturating_sub(since) >= time)
}

/// Whether it has run for so long, without an end.
fn has_run_for(member: &Member, time: std::time::Duration, goal: &Goal<'_>, memory: &Memory) -> bool {
    let since = memory.runs.get(&(member.id(), member.container.state.started_at));
    since.is_some_and(|since| goal.elapsed.saturating_sub(*since) >= time)
}

/// Whether a candidate has proved well. One without a healthcheck has when it ran for a while and was not started again.
pub(super) fn prove(candidate: &Member, goal: &Goal<'_>, memory: &Memory) -> Proof {
    let state = &candidate.container.state;
    if goal.spec.desired == Desired::Stopped {
        return Proof::Well;
    }
    let is_late = memory.deadline.is_some_and(|deadline| goal.elapsed >= deadline);
    let waits = |why: &str| {
        let within = manifest_types::quantity::Span(goal.spec.healthy_within());
        if is_late { Proof::Bad(format!("after {within}, {why}")) } else { Proof::NotYet }
    };
    let is_asked = state.healthcheck.is_some() || goal.spec.probes.readiness.is_some();
    let has_settled = has_run_for(candidate, goal.settle, goal, memory);
    match fare::health(goal.spec, state, candidate.said, "", goal.now) {
        Health::Completed => Proof::Well,
        Health::Healthy if is_asked || has_settled => Proof::Well,
        Health::Healthy => waits("it did not run for long enough"),
        Health::Starting(_) if has_ended_by_itself(state) => {
            Proof::Bad(format!("it ended with code {} as soon as it was started", state.exit_code))
        }
        Health::Starting(_)
            if !is_late && (must_start(candidate, goal) || state.activity == Activity::Paused) =>
        {
            Proof::ToStart
        }
        Health::Starting(why) => waits(why),
        Health::Unhealthy { message, .. } => Proof::Bad(message),
    }
}

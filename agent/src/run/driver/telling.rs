//! What is logged and counted of what the engine says.

use std::collections::BTreeMap;

use manifest_types::{name::ResourceId, status::Phase};

use crate::engine::{Engine, event::StepEnd, resource::Standing};

pub(super) fn outcomes(ended: &StepEnd) -> (u64, u64) {
    match ended {
        StepEnd::Done { results, .. } => {
            let done = results.values().filter(|result| result.is_ok()).count() as u64;
            (done, results.len() as u64 - done)
        }
        StepEnd::GivenUp { .. } => (0, 1),
    }
}

/// One line per decision.
pub(super) fn tell(id: &ResourceId, standing: &Standing, generation: u64) {
    let phase = standing.phase;
    let error = standing.error.as_ref();
    let reason = error.map(|error| error.reason.as_str()).or(standing.reason).unwrap_or("-");
    let message =
        error.map(|error| error.message.as_str()).or(standing.message.as_deref()).unwrap_or_default();
    match phase {
        Phase::Reconciling => tracing::debug!(resource = %id, generation, reason, message, "{phase}"),
        Phase::Failed => tracing::warn!(resource = %id, generation, reason, message, "{phase}"),
        _ => tracing::info!(resource = %id, generation, reason, message, "{phase}"),
    }
}

/// How many resources are in each phase.
pub(super) fn phases(engine: &Engine) -> BTreeMap<Phase, u64> {
    let mut phases = BTreeMap::new();
    for resource in engine.resources().values() {
        *phases.entry(resource.standing.phase).or_default() += 1;
    }
    phases
}

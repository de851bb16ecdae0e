//! Derives the status from the facts. Pure: the status is never accumulated on the way.

use std::collections::BTreeMap;

use jiff::Timestamp;
use manifest_types::{
    digest::Digest,
    manifest::API_VERSION,
    status::{AgentStatus, Phase, ResourceStatus, STATUS_KIND},
};

use crate::{
    clock::Now,
    engine::{
        Engine,
        resource::{Resource, WantedBody},
    },
};

mod conditions;
mod settled;
mod shed;

pub(crate) use conditions::{Since, note_changes};
pub(crate) use settled::Settled;

/// The status that follows from the facts, as the sink takes it.
pub fn report(engine: &Engine, now: Now) -> AgentStatus {
    shed::within(whole(engine, now), engine.settings.status_limit)
}

/// The status that follows from the facts, all of it.
pub fn whole(engine: &Engine, now: Now) -> AgentStatus {
    let (manifest_generation, observed_generation) = engine.generations();
    let resources: BTreeMap<_, _> =
        engine.resources.iter().map(|(id, resource)| (id.clone(), resource_status(resource, now))).collect();
    AgentStatus {
        api_version: API_VERSION.to_owned(),
        kind: STATUS_KIND.to_owned(),
        agent_id: engine.settings.agent_id.clone(),
        agent_version: engine.settings.agent_version.clone(),
        instance_id: engine.settings.instance_id.clone(),
        manifest_generation,
        observed_generation,
        observed_revision: engine.manifest.observed_revision,
        updated_at: now.wall,
        capabilities: engine.capabilities.clone(),
        conditions: conditions::conditions(engine, now),
        resources,
        omitted: BTreeMap::new(),
    }
}

/// What is told of one resource.
pub fn resource_status(resource: &Resource, now: Now) -> ResourceStatus {
    let standing = &resource.standing;
    let digest = resource.aim().map(|aim| aim.digest);
    let seen = resource.sight.as_ref().and_then(|sight| sight.seen.as_ref().ok());
    let drift = resource.row.as_ref().map(|row| &row.drift);
    ResourceStatus {
        kind: told_kind(resource).to_owned(),
        phase: standing.phase,
        since: resource.since,
        reason: standing.reason.map(str::to_owned),
        message: standing.message.clone(),
        waiting_for: standing.waiting_for.clone(),
        spec_digest: digest,
        progress: resource.step.as_ref().and_then(|step| step.progress.clone()),
        error: standing.error.clone(),
        retry_after: standing.retry_at.map(|at| to_the_second(now.wall_at(at))),
        details: seen.and_then(|seen| seen.details.as_deref().cloned()),
        drifted: standing.drifted,
        drift_count: drift.map_or(0, |drift| drift.count),
        last_drift: drift.and_then(|drift| drift.last.clone()),
    }
}

fn told_kind(resource: &Resource) -> &str {
    match &resource.wanted {
        Some(wanted) if !wanted.kind.is_empty() => &wanted.kind,
        _ => resource.kind(),
    }
}

/// A time that is told must not change by the way it is computed.
fn to_the_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The digest of all that a status says, but for when it says it.
pub(crate) fn content_digest(status: &AgentStatus) -> Digest {
    let timeless = AgentStatus { updated_at: Timestamp::UNIX_EPOCH, ..status.clone() };
    Digest::of(&to_bytes(&timeless))
}

/// The bytes that are sent.
pub fn to_bytes(status: &AgentStatus) -> Vec<u8> {
    serde_json::to_vec(status).expect("a status is plain JSON")
}

/// Whether a resource in this phase is under way no more.
fn is_settled(phase: Phase) -> bool {
    matches!(phase, Phase::Ready | Phase::Failed | Phase::Unknown)
}

/// Whether nothing is under way any more.
pub(crate) fn all_settled(engine: &Engine) -> bool {
    engine.resources.values().all(|resource| is_settled(resource.standing.phase))
}

/// Whether an entry is bad in itself.
pub(crate) fn is_invalid(resource: &Resource) -> bool {
    resource.wanted.as_ref().is_some_and(|wanted| matches!(wanted.body, WantedBody::Invalid { .. }))
}

#[cfg(test)]
mod tests;

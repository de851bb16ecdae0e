//! The decision on a resource that is to be taken away.

use std::sync::Arc;

use manifest_types::{name::ResourceId, status::Phase};
use reconcilers::registry::Work;

use super::{Act, Verdict, closed_gate, held_back, not_durable_yet, rows};
use crate::{
    clock::BootTime,
    engine::{
        Engine,
        resource::{Resource, Standing},
        sabotage::Rule,
    },
    ledger::row::Intent,
    plan::order,
};

/// It is not wanted any more, or not as this kind.
pub(super) fn release(engine: &Engine, id: &ResourceId, me: &Resource, now: BootTime) -> Verdict {
    let phase = if me.wanted.is_none() { Phase::Deleting } else { Phase::Reconciling };
    let dependants = order::dependants(&engine.resources, id);
    if !dependants.is_empty() && !order::breaks_circle(&engine.resources, engine.circling(), id) {
        let names: Vec<_> = dependants.iter().map(ResourceId::as_str).collect();
        let message = format!("goes after {}", names.join(", "));
        let standing = Standing::of(phase).because("Dependants", message).waiting_for(dependants);
        return Verdict::act(Act::Await, standing);
    }
    if let Some(heir) = order::heir(&engine.resources, id) {
        let message = format!("is handed over to {heir}");
        return Verdict::rest(Standing::of(phase).because("HandingOver", message).waiting_for([heir]));
    }
    take(engine, id, me, now, phase, false)
}

/// It is wanted, but must let go of something first so that others, and then itself, can go on.
pub(super) fn make_room(engine: &Engine, id: &ResourceId, me: &Resource, now: BootTime) -> Verdict {
    take(engine, id, me, now, Phase::Reconciling, true)
}

fn take(
    engine: &Engine,
    id: &ResourceId,
    me: &Resource,
    now: BootTime,
    phase: Phase,
    makes_room: bool,
) -> Verdict {
    if let Some(verdict) = held_back(engine, me, None, phase, now) {
        return verdict;
    }
    let running = me.observation().is_some_and(|seen| seen.running);
    if let Some(verdict) = closed_gate(engine, id, me, phase).filter(|_| running) {
        return verdict;
    }
    let standing = Standing::of(phase).because("TakingAway", "");
    let Some(row) = &me.row else {
        return Verdict::rest(standing);
    };
    if !matches!(row.intent, Some(Intent::Take { .. })) {
        return Verdict { act: Act::Intend(Arc::new(rows::taking(row))), ..not_durable_yet(engine, phase) };
    }
    if !me.saved.is_durable() && !engine.breaks(Rule::IntentFirst) {
        return not_durable_yet(engine, phase);
    }
    Verdict::act(Act::Start { work: Work::Take, makes_room }, standing)
}

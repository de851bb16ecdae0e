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
    plan::order::{self, Why},
};

/// So many of those that are waited for are told.
const MOST_NAMED: usize = 20;

/// It is not wanted any more, or not as this kind.
pub(super) fn release(engine: &Engine, id: &ResourceId, me: &Resource, now: BootTime) -> Verdict {
    let phase = if me.wanted.is_none() { Phase::Deleting } else { Phase::Reconciling };
    let dependants = order::dependants(&engine.resources, id);
    let gives_up = || order::breaks_circle(&engine.resources, engine.circling(), id);
    if !dependants.is_empty() && gives_up() != Some(Why::Dependant) {
        return await_others(phase, "Dependants", "it goes after what depends on it", dependants);
    }
    if let Some(heir) = order::heir(&engine.resources, id) {
        let message = format!("is handed over to {heir}");
        return Verdict::rest(Standing::of(phase).because("HandingOver", message).waiting_for([heir]));
    }
    let mates = order::mates(&engine.resources, me);
    if !mates.is_empty() && gives_up().is_none() {
        return await_others(phase, "Group", "it goes once these of its group have what they need", mates);
    }
    take(engine, id, me, now, phase, false)
}

fn await_others(phase: Phase, reason: &'static str, why: &str, others: Vec<ResourceId>) -> Verdict {
    let mut others = others;
    let more = others.len().saturating_sub(MOST_NAMED);
    others.truncate(MOST_NAMED);
    let names: Vec<_> = others.iter().map(ResourceId::as_str).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let message = format!("{why}: {}{more}", names.join(", "));
    Verdict::act(Act::Await, Standing::of(phase).because(reason, message).waiting_for(others))
}

/// It is wanted, but must let go of something first so that others, and then itself, can go on.
pub(super) fn make_room(engine: &Engine, id: &ResourceId, me: &Resource, now: BootTime) -> Verdict {
    let verdict = take(engine, id, me, now, Phase::Reconciling, true);
    // Who forbids it may be gone since it was seen.
    let is_away = engine.kinds.get(me.kind()).is_some_and(|facts| facts.unseen.is_some());
    if verdict.standing.reason != Some("Locked") || !me.look.due || me.look.hung.is_some() || is_away {
        return verdict;
    }
    match me.look.not_before.filter(|at| *at > now) {
        _ if me.look.ticket.is_some() => verdict,
        None => Verdict::act(Act::Look, verdict.standing),
        later => verdict.until(later),
    }
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
    // Whatever it was held against: what is taken away to make room is wanted otherwise. Of what was not seen it may run.
    let last = me.sight.as_ref().and_then(|sight| sight.seen.as_ref().ok());
    let may_run = last.is_none_or(|seen| seen.running);
    if let Some(verdict) = closed_gate(engine, id, me, phase).filter(|_| may_run) {
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

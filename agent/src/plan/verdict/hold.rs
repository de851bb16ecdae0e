//! The decision on a resource that is to be held at a spec.

use std::{collections::BTreeMap, sync::Arc};

use manifest_types::{claim::Claim, digest::Digest, kinds::Spec, name::ResourceId, status::Phase};
use reconcilers::{error::Failure, observation::Observation, registry::Work};

use super::{Act, Verdict, closed_gate, held_back, not_durable_yet, on_health, put, quarantined, rows};
use crate::{
    clock::BootTime,
    engine::{
        Engine,
        resource::{Resource, Standing},
    },
    ledger::row::{Intent, Row},
    plan::order,
};

/// All that the decision depends on.
pub(super) struct Case<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: &'a ResourceId,
    pub(super) me: &'a Resource,
    pub(super) spec: &'a Arc<Spec>,
    pub(super) digest: Digest,
    pub(super) seen: &'a Observation,
    pub(super) now: BootTime,
}

pub(super) fn hold(case: &Case<'_>) -> Verdict {
    if needs_change(case) { change(case) } else { rest(case) }
}

/// What somebody else holds is waited for, inherited, or, in a circle of such waits, given way to. All of that comes before any look:
/// what was seen of a place while others held it says nothing of what was there before us.
pub(super) fn await_claims(
    engine: &Engine,
    id: &ResourceId,
    me: &Resource,
    spec: &Arc<Spec>,
    now: BootTime,
) -> Option<Verdict> {
    if me.neighbours.is_empty() {
        return None;
    }
    let claims = spec.claims(id);
    let holders = order::holders(&engine.resources, id, &claims);
    if holders.is_empty() && !is_waited_for(engine, me, &claims) {
        return None;
    }
    if let Some(from) = order::bequest(&engine.resources, id) {
        return Some(Verdict::act(Act::Inherit(from), me.standing.clone()));
    }
    if me.row.is_some() && order::breaks_circle(&engine.resources, engine.circling(), id).is_some() {
        return Some(super::release::make_room(engine, id, me, now));
    }
    if holders.is_empty() {
        return None;
    }
    let message = "what it claims is held by others, until they have let go of it";
    let standing = Standing::of(Phase::Pending).because("ClaimHeld", message).waiting_for(holders);
    Some(Verdict::act(Act::AwaitClaims, standing))
}

/// Whether others wait for something that this one holds and its wanted spec does not.
fn is_waited_for(engine: &Engine, me: &Resource, claims: &[Claim]) -> bool {
    let Some(row) = &me.row else { return false };
    let given_up: Vec<_> = row.held.keys().filter(|claim| !claims.contains(claim)).collect();
    let wants = |other: &Resource| {
        other.aim().is_some_and(|aim| aim.claims.iter().any(|claim| given_up.contains(&claim)))
    };
    !given_up.is_empty() && me.neighbours.iter().filter_map(|id| engine.resources.get(id)).any(wants)
}

fn needs_change(case: &Case<'_>) -> bool {
    let off_target = !case.seen.on_target() && !case.me.tolerates_drift();
    let row = case.me.row.as_ref();
    let unfinished = row.is_some_and(|row| row.intent.is_some());
    off_target
        || unfinished
        || row.is_some_and(|row| holds_more(case, row))
        || order::restart_is_due(&case.engine.resources, case.me)
}

fn holds_more(case: &Case<'_>, row: &Row) -> bool {
    let claims = case.spec.claims(case.id);
    row.held.keys().any(|claim| !claims.contains(claim))
}

/// The device is as wanted; at most the ledger has something to learn.
fn rest(case: &Case<'_>) -> Verdict {
    let Case { engine, id, me, spec, digest, seen, .. } = case;
    let standing = match quarantined(me) {
        Some(standing) => standing,
        None => {
            let drifted = !seen.on_target()
                && me
                    .wanted
                    .as_ref()
                    .is_some_and(|wanted| wanted.drift != manifest_types::manifest::DriftPolicy::Ignore);
            Standing { drifted, ..on_health(&seen.health) }
        }
    };
    let row = rows::settled(engine, id, me, spec, *digest, seen);
    let reached = row.reached || standing.phase == Phase::Ready;
    let row = Row { reached, ..row };
    if me.row.as_deref() == Some(&row) || me.is_quarantined() {
        return Verdict::rest(standing);
    }
    Verdict::act(Act::Settle(Arc::new(row)), standing)
}

fn change(case: &Case<'_>) -> Verdict {
    let Case { engine, id, me, digest, now, .. } = case;
    if let Some(verdict) = held_back(engine, me, Some(*digest), Phase::Reconciling, *now) {
        return verdict;
    }
    let restart = order::restart_is_due(&engine.resources, me);
    if let Some(verdict) = await_dependencies(case) {
        return verdict;
    }
    let at = me.repairs.next();
    if at > *now {
        let failure =
            Failure::new("Contended", "something keeps changing it back; repairs are slowed down", true);
        let attempts = me.row.as_ref().map_or(0, |row| u32::try_from(row.drift.count).unwrap_or(u32::MAX));
        let standing = Standing::of(Phase::Failed).failed(&failure, attempts, Some(at));
        return Verdict::rest(standing).until(Some(at));
    }
    let disrupts =
        case.seen.running && (restart || case.seen.differences.iter().any(|difference| !difference.in_place));
    if let Some(verdict) = closed_gate(engine, id, me, Phase::Pending).filter(|_| disrupts) {
        return verdict;
    }
    begin(case, restart)
}

fn await_dependencies(case: &Case<'_>) -> Option<Verdict> {
    let unmet = order::awaited(&case.engine.resources, case.me);
    if unmet.is_empty() {
        return None;
    }
    let names: Vec<_> = unmet.iter().map(ResourceId::as_str).collect();
    let message = format!("waits for {}", names.join(", "));
    Some(Verdict::rest(Standing::of(Phase::Pending).because("Dependencies", message).waiting_for(unmet)))
}

/// First the intent, and once that is durable, the change.
fn begin(case: &Case<'_>, restart: bool) -> Verdict {
    let Case { engine, id, me, spec, digest, seen, .. } = case;
    let intended = me
        .row
        .as_ref()
        .is_some_and(|row| intends(row, *digest, &rows::revisions(engine, me), &spec.claims(id)));
    if !intended {
        let row = rows::putting(engine, id, me, spec, *digest, seen);
        let waiting = not_durable_yet(engine, Phase::Reconciling);
        return Verdict { act: Act::Intend(Arc::new(row)), ..waiting };
    }
    if !me.saved.is_durable() && !engine.breaks(crate::engine::sabotage::Rule::IntentFirst) {
        return not_durable_yet(engine, Phase::Reconciling);
    }
    let standing = Standing::of(Phase::Reconciling).because("Applying", "");
    let work: Work = put(spec, *digest, restart);
    Verdict::act(Act::Start { work, makes_room: false }, standing)
}

fn intends(row: &Row, digest: Digest, revisions: &BTreeMap<ResourceId, u64>, claims: &[Claim]) -> bool {
    match &row.intent {
        Some(Intent::Put { target, saw }) => {
            target.digest == digest
                && saw == revisions
                && claims.iter().all(|claim| row.held.contains_key(claim))
        }
        Some(Intent::Take { .. }) | None => false,
    }
}

//! Takes in what was seen, and tells drift from work that is not done yet.

use std::{sync::Arc, time::Duration};

use manifest_types::{
    claim::Claim,
    manifest::DriftPolicy,
    name::ResourceId,
    status::{DriftAction, DriftField, DriftRecord},
};
use reconcilers::{
    error::Failure,
    observation::{Before, Difference, Observation},
    reconciler::Hint,
};

use super::{
    Engine, Unseen,
    event::LookResult,
    resource::{Goal, Resource, Sight},
    steps::trace,
};
use crate::{
    clock::{BootTime, Now},
    plan::backoff,
};

/// What is left to drift may change all day long: it is looked at so long after it was heard of.
const SLOWED: Duration = Duration::from_secs(5);

impl Engine {
    pub(super) fn hinted(&mut self, kind: &str, hint: Hint, now: BootTime) {
        let all_are_paused = self.paused_until.is_some_and(|until| until > now);
        match hint {
            Hint::Resource(id) => {
                if let Some(resource) = self.resources.get_mut(&id).filter(|resource| resource.heeds_hints())
                {
                    resource.look.due = true;
                    if all_are_paused || resource.is_left_to_drift(now) {
                        let soon = resource.look.not_before.filter(|at| *at > now);
                        resource.look.not_before = soon.or(Some(now + SLOWED));
                    }
                    self.touched.insert(id);
                }
            }
            Hint::Kind => {
                self.kinds.entry(kind.to_owned()).or_default().unseen = None;
                for (id, resource) in &mut self.resources {
                    if resource.kind() == kind {
                        resource.look.due = true;
                        self.touched.insert(id.clone());
                    }
                }
            }
        }
    }

    pub(super) fn observed(&mut self, ticket: u64, kind: &str, result: LookResult, now: Now) {
        let Some(ids) = self.looks.remove(&ticket) else {
            return;
        };
        let facts = self.kinds.entry(kind.to_owned()).or_default();
        if facts.lone_looks.remove(&ticket) {
            self.touched.append(&mut facts.waiting);
        }
        self.saw_kind(kind, &result, now);
        let several = ids.len() > 1;
        for id in ids {
            let Some(resource) = self.resources.get_mut(&id) else { continue };
            let Some((_, against)) = resource.look.ticket.take_if(|(own, _)| *own == ticket) else {
                continue;
            };
            resource.look.is_known |= matches!(result, LookResult::Seen(_));
            let seen = match &result {
                LookResult::Seen(seen) => seen.get(&id).cloned().unwrap_or_else(|| Err(not_told())),
                LookResult::TimedOut if several => {
                    resource.look.alone = true;
                    resource.look.due = true;
                    self.touched.insert(id);
                    continue;
                }
                LookResult::TimedOut => {
                    resource.look.hung = Some(ticket);
                    Err(timed_out())
                }
                LookResult::Unseen(_) => {
                    resource.look.due = true;
                    continue;
                }
            };
            self.take_sight(&id, Sight { against, foreseen: false, seen, at: now.boot }, now);
        }
    }

    pub(super) fn look_returned(&mut self, ticket: u64) {
        for (id, resource) in &mut self.resources {
            if resource.look.hung.take_if(|hung| *hung == ticket).is_some() {
                resource.look.due = true;
                resource.look.not_before = None;
                self.touched.insert(id.clone());
            }
        }
        for facts in self.kinds.values_mut() {
            self.touched.append(&mut facts.waiting);
        }
    }

    /// A kind that cannot be seen is not asked again at once; one that was seen again is known to be back.
    pub(super) fn saw_kind(&mut self, kind: &str, result: &LookResult, now: Now) {
        let times =
            self.kinds.get(kind).and_then(|facts| facts.unseen.as_ref()).map_or(0, |unseen| unseen.times);
        let unseen = match result {
            LookResult::Unseen(away) => {
                // Asking costs little, and what it needs may be back at any moment.
                let delay = backoff::delay((times + 1).min(4), self.chance(kind, u64::from(times)));
                Some(Unseen {
                    reason: away.reason.to_owned(),
                    message: away.message.clone(),
                    times: times + 1,
                    retry_at: now.boot + delay,
                })
            }
            LookResult::Seen(_) => None,
            LookResult::TimedOut => return,
        };
        let facts = self.kinds.entry(kind.to_owned()).or_default();
        let came_back = facts.unseen.is_some() && unseen.is_none();
        let changed = facts.unseen.is_some() != unseen.is_some();
        facts.unseen = unseen;
        if came_back {
            // What failed for want of it has a new chance.
            let of_kind = self.resources.values_mut().filter(|resource| resource.kind() == kind);
            of_kind.for_each(|resource| resource.trouble = None);
        }
        if changed || self.kinds.get(kind).is_some_and(|facts| facts.unseen.is_some()) {
            self.touch_kind(kind);
        }
    }

    /// Takes in what was seen of one resource that nobody is changing.
    pub(super) fn take_sight(&mut self, id: &ResourceId, sight: Sight, now: Now) {
        let failures = self.resources.get(id).map_or(0, |resource| resource.look.failures);
        let delay = backoff::delay(failures + 1, self.chance(id.as_str(), u64::from(failures)));
        let Some(resource) = self.resources.get_mut(id) else { return };
        if resource.step.is_some() {
            return;
        }
        if sight.against != resource.compared() {
            resource.look.due = true;
            self.touched.insert(id.clone());
            return;
        }
        match &sight.seen {
            Ok(seen) => {
                resource.look.failures = 0;
                resource.look.not_before = None;
                resource.look.alone = false;
                forgive(resource, seen);
                let learned = note_original(id, resource, seen);
                let drifts = resource.row.as_ref().map(|row| row.drift.count);
                let noted = note_drift(resource, seen, now);
                let row = resource.row.as_ref().filter(|row| Some(row.drift.count) != drifts);
                if let Some(record) = row.and_then(|row| row.drift.last.clone()) {
                    self.drifts.push((id.clone(), record));
                }
                if noted || learned {
                    self.ledger.lazy_since.get_or_insert(now.boot);
                    self.ledger.unsaved.insert(id.clone());
                }
            }
            Err(_) => {
                resource.look.failures += 1;
                resource.look.due = true;
                resource.look.not_before = Some(now.boot + delay);
            }
        }
        let holder = |sight: &Sight| sight.seen.as_ref().ok().and_then(|seen| seen.holder.clone());
        let opens_or_closes = resource.sight.as_ref().and_then(holder) != holder(&sight);
        resource.sight = Some(sight);
        self.touch(id);
        if opens_or_closes {
            self.touch_all();
        }
    }
}

fn not_told() -> Failure {
    Failure::new("NotObserved", "the reconciler said nothing of it", true)
}

fn timed_out() -> Failure {
    Failure::new(
        "ObserveTimedOut",
        "looking at it takes too long; the file system or engine beneath may hang",
        true,
    )
}

/// Somebody changed what a failed step left behind: trying again may help.
fn forgive(resource: &mut Resource, seen: &Observation) {
    let changed = resource
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.left.is_some_and(|left| left != trace(&trouble.failure, seen)));
    if changed {
        resource.trouble = None;
    }
}

/// What was there before us was found only when we came to change it: then that is what deleting must put back. Whether the row has changed.
fn note_original(id: &ResourceId, resource: &mut Resource, seen: &Observation) -> bool {
    let looked_at = match resource.goal() {
        Goal::Hold(spec, _) => Some(spec.clone()),
        Goal::Release | Goal::Leave => resource.row.as_ref().and_then(|row| row.spec()).cloned(),
    };
    let (Some(spec), Some(row), true) = (looked_at, &mut resource.row, seen.keeps_original) else {
        return false;
    };
    let stale = |claim: &Claim| row.held.get(claim).is_some_and(|before| *before != Before::Original);
    let wrong: Vec<_> = spec.claims(id).into_iter().filter(stale).collect();
    let learned = !wrong.is_empty();
    if learned {
        Arc::make_mut(&mut Arc::make_mut(row).held)
            .extend(wrong.into_iter().map(|claim| (claim, Before::Original)));
        resource.saved.changed();
    }
    learned
}

/// Records what differs from a spec that was reached before. Whether the row has changed.
fn note_drift(resource: &mut Resource, seen: &Observation, now: Now) -> bool {
    let policy = resource.wanted.as_ref().map(|wanted| wanted.drift).unwrap_or_default();
    let held = resource.is_applied() || resource.is_quarantined();
    let Some(row) = resource.row.as_mut().filter(|row| row.reached && held && row.intent.is_none()) else {
        return false;
    };
    if seen.on_target() {
        resource.drift_lasts = false;
        let repairing = row.drift.last.as_ref().filter(|record| record.action == DriftAction::Repairing);
        let repaired =
            repairing.map(|record| DriftRecord { action: DriftAction::Repaired, ..record.clone() });
        let is_repaired = repaired.is_some();
        if is_repaired {
            Arc::make_mut(row).drift.last = repaired;
            resource.saved.changed();
        }
        return is_repaired;
    }
    if policy == DriftPolicy::Ignore {
        return false;
    }
    let fields: Vec<_> = seen.differences.iter().map(field).collect();
    let known = row.drift.last.as_ref().is_some_and(|record| record.fields == fields);
    if resource.drift_lasts && known {
        return false;
    }
    let action = match policy {
        DriftPolicy::Report => DriftAction::Reported,
        DriftPolicy::Enforce | DriftPolicy::Ignore => DriftAction::Repairing,
    };
    let drift = &mut Arc::make_mut(row).drift;
    drift.count += 1;
    drift.last = Some(DriftRecord { at: now.wall, action, fields });
    resource.drift_lasts = true;
    resource.saved.changed();
    true
}

fn field(difference: &Difference) -> DriftField {
    let Difference { path, want, got, .. } = difference.clone();
    DriftField { path, want, got }
}

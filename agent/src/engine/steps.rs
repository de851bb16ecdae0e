//! Takes in how steps went.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use manifest_types::{digest::Digest, name::ResourceId, status::Progress};
use reconcilers::{
    error::Failure,
    observation::{Difference, Observation},
};

use super::{
    Engine,
    event::{LookResult, StepEnd},
    resource::{Resource, RunningStep, Sight, Trouble},
    sabotage::Rule,
};
use crate::{
    clock::{BootTime, Now},
    ledger::row::{Intent, Quarantine, Row},
    plan::backoff,
};

/// The reason of a step that was told to stop, and did.
const CANCELLED: &str = "Cancelled";

impl Engine {
    /// A step that tells its progress is a long one: what it waits for is not the device's, and others of its kind do not wait for it.
    pub(super) fn progressed(&mut self, step: u64, id: &ResourceId, progress: Progress) {
        if let Some(members) = self.steps.get_mut(&step).filter(|members| !members.is_long) {
            members.is_long = true;
            let facts = self.kinds.entry(members.kind.clone()).or_default();
            facts.steps -= 1;
            self.touched.append(&mut facts.waiting);
        }
        let running = self.resources.get_mut(id).and_then(|resource| resource.step.as_mut());
        if let Some(running) = running.filter(|running| running.id == step) {
            running.progress = Some(progress);
        }
    }

    pub(super) fn step_ended(&mut self, step: u64, ended: StepEnd, now: Now) {
        let Some(members) = self.steps.remove(&step) else {
            return;
        };
        let facts = self.kinds.entry(members.kind.clone()).or_default();
        facts.steps -= usize::from(!members.is_long);
        self.touched.append(&mut facts.waiting);
        let (mut results, seen) = match ended {
            StepEnd::Done { results, seen } => (results, seen),
            StepEnd::GivenUp { .. } => (Default::default(), LookResult::TimedOut),
        };
        self.saw_kind(&members.kind, &seen, now);
        let proved_bad =
            |id: &ResourceId| matches!(results.get(id), Some(Err(failure)) if failure.rolled_back);
        let digest_of = |id: &ResourceId| self.resources.get(id)?.step.as_ref()?.puts;
        let bad = members.ids.iter().filter(|id| proved_bad(id));
        let together: BTreeMap<ResourceId, Digest> =
            bad.filter_map(|id| Some((id.clone(), digest_of(id)?))).collect();
        for id in &members.ids {
            let Some(resource) = self.resources.get_mut(id) else { continue };
            let Some(running) = resource.step.take_if(|running| running.id == step) else { continue };
            let result = results.remove(id).unwrap_or_else(|| Err(given_up()));
            let sight = match &seen {
                LookResult::Seen(seen) => seen.get(id).cloned(),
                LookResult::Unseen(_) | LookResult::TimedOut => None,
            };
            let left = sight.as_ref().and_then(|seen| seen.as_ref().ok());
            self.step_result(id, &running, result, left, &together, now);
            self.look_after_step(id, &running, sight, now);
            self.touch(id);
        }
    }

    fn step_result(
        &mut self,
        id: &ResourceId,
        running: &RunningStep,
        result: Result<(), Failure>,
        left: Option<&Observation>,
        together: &BTreeMap<ResourceId, Digest>,
        now: Now,
    ) {
        let attempts =
            self.resources.get(id).and_then(|resource| resource.row.as_ref()).map_or(0, |row| row.attempts);
        let delay = backoff::delay(attempts + 1, self.chance(id.as_str(), u64::from(attempts)));
        let Some(resource) = self.resources.get_mut(id) else { return };
        match (result, running.puts) {
            (Ok(()), Some(_)) => applied(id, resource),
            (Ok(()), None) => {
                resource.row = None;
                resource.saved = Default::default();
                resource.trouble = None;
                self.ledger.removed.insert(id.clone());
                self.ledger.urgent = true;
                self.ledger.unsaved.remove(id);
                return;
            }
            (Err(failure), _) if failure.reason == CANCELLED || running.cancelled => {}
            (Err(failure), Some(digest)) if failure.rolled_back && is_new(resource, digest) => {
                let row = resource.row.as_mut().map(Arc::make_mut);
                let with = together.iter().filter(|(other, _)| *other != id);
                let with = with.map(|(other, digest)| (other.clone(), *digest)).collect();
                quarantine(row.expect("what is new has a row"), digest, &failure, with);
            }
            (Err(failure), of) => {
                let until = failure.can_retry.then(|| now.boot + delay);
                let left = left.map(|seen| trace(&failure, seen));
                let trouble = Trouble { failure, of, attempts: attempts + 1, until, left };
                resource.trouble = Some(Box::new(trouble));
                if let Some(row) = &mut resource.row {
                    Arc::make_mut(row).attempts += 1;
                }
            }
        }
        resource.saved.changed();
        self.unsaved(id, now.boot);
    }

    /// What was seen right after a step is the first look at its result.
    fn look_after_step(
        &mut self,
        id: &ResourceId,
        running: &RunningStep,
        sight: Option<Result<Observation, Failure>>,
        now: Now,
    ) {
        let lies = self.breaks(Rule::ReadyIsSeen);
        let Some(resource) = self.resources.get_mut(id) else { return };
        if lies && let Some(sight) = &mut resource.sight {
            if let (Ok(seen), Some(_)) = (&mut sight.seen, running.puts) {
                seen.present = true;
                seen.differences.clear();
                resource.look.due = false;
            }
            return;
        }
        resource.sight = None;
        resource.look.due = sight.is_none();
        if let Some(seen) = sight {
            self.take_sight(id, Sight { against: running.puts, foreseen: false, seen, at: now.boot }, now);
        }
    }

    /// A row has changed, and may be written when it suits.
    pub(crate) fn unsaved(&mut self, id: &ResourceId, now: BootTime) {
        self.ledger.unsaved.insert(id.clone());
        self.ledger.lazy_since.get_or_insert(now);
    }
}

fn given_up() -> Failure {
    Failure::new("DeadlineExceeded", "the step did not end in time and was given up", true)
}

/// A spec was applied whole: it alone is what is held now.
fn applied(id: &ResourceId, resource: &mut Resource) {
    resource.trouble = None;
    let aim = resource.aim().map(|aim| aim.digest);
    let wanted = resource.wanted.as_ref().map(|wanted| wanted.edges.clone());
    let Some(row) = resource.row.as_mut().map(Arc::make_mut) else { return };
    let Some(Intent::Put { target, saw }) = row.intent.take() else { return };
    if let Some(edges) = wanted.filter(|_| aim == Some(target.digest)) {
        row.edges = edges;
    }
    row.reached &= row.applied_digest() == Some(target.digest);
    row.saw = saw;
    row.attempts = 0;
    let claims = target.spec.claims(id);
    Arc::make_mut(&mut row.held).retain(|claim, _| claims.contains(claim));
    row.applied = Some(target);
}

/// What of a sight must change before something that failed is worth another try: anything; where what was there before is back, and is only beginning to fare
/// well again, where it differs from what is wanted.
pub(super) fn trace(failure: &Failure, seen: &Observation) -> u64 {
    if !failure.rolled_back {
        return seen.fingerprint;
    }
    let mut hasher = DefaultHasher::new();
    for Difference { path, want, got, .. } in &seen.differences {
        (path, want.to_string(), got.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a spec is another than the one that was applied before it. That one is what is held when the other proves bad; a repair of its own that proves bad
/// is a failure like any.
fn is_new(resource: &Resource, digest: Digest) -> bool {
    resource.row.as_ref().is_some_and(|row| row.applied_digest() != Some(digest))
}

/// A spec proved bad, and the former one is back.
fn quarantine(row: &mut Row, digest: Digest, failure: &Failure, with: BTreeMap<ResourceId, Digest>) {
    let Failure { reason, message, .. } = failure.clone();
    row.quarantine = Some(Quarantine { digest, reason, message, with });
    // Without a former spec, what was begun is all that says what may be there.
    row.intent.take_if(|_| row.applied.is_some());
    row.attempts = 0;
}

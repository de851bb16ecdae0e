//! Takes in manifests, and what the ledger remembers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use manifest_types::{
    claim::Claim,
    digest::Digest,
    manifest::{Body, Resource as Entry},
    name::ResourceId,
    problem::in_words,
    status::DriftAction,
};
use reconcilers::{
    observation::{Before, Difference, Observation},
    reconciler::Batch,
};

use super::{
    Engine, KindFacts,
    resource::{Aim, Resource, Sight, Wanted, WantedBody},
    sabotage::Rule,
};
use crate::{
    admit::{Admitted, Rejection, readmit},
    clock::Now,
    ledger::{
        memory::Memory,
        row::{Applied, Row},
    },
    plan::backoff::Repairs,
};

/// No more changes of one manifest than this are begun without a look. A joint look costs little for many, and finds out about
/// a disk that hangs before steps do, each of which keeps others from beginning.
const FORESEEN: usize = 2;

impl Engine {
    pub(super) fn remember(&mut self, memory: Memory, now: Now) {
        for (id, row) in memory.rows {
            let resource = self.resources.entry(id).or_insert_with(|| Resource::new(now.wall));
            // A drift that is told as lasting is counted once, however often the agent is started while it lasts.
            resource.drift_lasts =
                row.drift.last.as_ref().is_some_and(|last| last.action != DriftAction::Repaired);
            resource.row = Some(row);
        }
        for (id, row) in memory.opaque {
            let resource = self.resources.entry(id).or_insert_with(|| Resource::new(now.wall));
            resource.opaque = Some(Box::new(row));
        }
        self.manifest.admissions = memory.generations;
        let remembered = memory.manifest.as_ref().and_then(readmit);
        if let Some(admitted) = remembered.filter(|_| !self.breaks(Rule::Offline)) {
            self.manifest.observed_generation = admitted.generation.get();
            self.adopt(admitted, now);
        }
        self.meet_neighbours();
    }

    pub(super) fn admitted(&mut self, admitted: Admitted, revision: u64, now: Now) {
        self.manifest.observed_revision = revision;
        self.manifest.observed_generation = admitted.generation.get();
        self.manifest.refused = None;
        let admission = admitted.admission();
        let source = &admitted.saved.source;
        let is_in_force =
            self.manifest.in_force.as_ref().is_some_and(|(of, known)| of == source && *known == admission);
        // After its generations were forgotten, even the one in force is new.
        if is_in_force && self.manifest.admissions.get(source) == Some(&admission) {
            return;
        }
        self.manifest.admissions.insert(admitted.saved.source.clone(), admission);
        self.manifest.unsaved = Some((admitted.saved.clone(), admission, now.boot));
        self.adopt(admitted, now);
        self.meet_neighbours();
    }

    pub(super) fn refused(&mut self, rejection: &Rejection, revision: u64) {
        self.manifest.observed_revision = revision;
        if let Some(generation) = rejection.generation {
            self.manifest.observed_generation = generation.get();
        }
        self.manifest.refused = Some((rejection.reason.to_string(), rejection.message.clone()));
        if self.breaks(Rule::RefusedIsInert) {
            self.resources.values_mut().for_each(|resource| resource.wanted = None);
            self.touch_all();
        }
    }

    /// Sabotage: what was only wanted counts as owned.
    fn usurp(&mut self) {
        for (id, resource) in self.resources.iter_mut().filter(|(_, resource)| resource.row.is_none()) {
            let Some(aim) = resource.aim().cloned() else { continue };
            let mut row = Row::new(aim.spec.kind());
            row.held = Arc::new(aim.claims.iter().map(|claim| (claim.clone(), Before::Absent)).collect());
            row.applied = Some(Applied { digest: aim.digest, spec: aim.spec });
            resource.row = Some(Arc::new(row));
            self.ledger.unsaved.insert(id.clone());
            resource.saved.changed();
        }
    }

    /// What `admitted` wants is what is wanted from now on.
    fn adopt(&mut self, admitted: Admitted, now: Now) {
        self.manifest.generation = Some(admitted.generation);
        self.manifest.in_force = Some((admitted.saved.source.clone(), admitted.admission()));
        if self.breaks(Rule::OnlyOwned) {
            self.usurp();
        }
        let mut wanted: BTreeMap<_, _> = admitted
            .manifest
            .resources
            .into_iter()
            .map(|entry| (entry.id.clone(), self.wanted(entry)))
            .collect();
        let mut changed = Vec::new();
        for (id, resource) in &mut self.resources {
            let now_wanted = wanted.remove(id);
            if resource.wanted == now_wanted {
                continue;
            }
            let before = resource.compared();
            resource.wanted = now_wanted;
            if resource.compared() != before || resource.wanted.is_none() {
                resource.trouble = None;
                changed.push((id.clone(), foreseen(resource)));
                resource.look.due = true;
                resource.look.not_before = None;
                resource.drift_lasts &= resource.is_applied();
                resource.repairs = Repairs::default();
                if let Some(row) = resource.row.as_mut().filter(|row| row.attempts > 0) {
                    Arc::make_mut(row).attempts = 0;
                }
            }
        }
        if wanted.is_empty() && changed.len() <= FORESEEN {
            self.foresee(changed);
        }
        for (id, new) in wanted {
            self.resources.insert(id, Resource { wanted: Some(new), ..Resource::new(now.wall) });
        }
        self.pardon(now);
        self.touch_all();
    }

    /// What proved bad together with something that is wanted otherwise now, or not at all, may be good without it.
    fn pardon(&mut self, now: Now) {
        let is_as_before = |(id, digest): (&ResourceId, &Digest)| {
            let aim = self.resources.get(id).and_then(Resource::aim);
            aim.is_some_and(|aim| aim.digest == *digest)
        };
        let quarantine_of =
            |resource: &Resource| resource.row.as_ref().and_then(|row| row.quarantine.clone());
        let all =
            self.resources.iter().filter_map(|(id, resource)| Some((id.clone(), quarantine_of(resource)?)));
        let pardoned: Vec<_> = all
            .filter(|(_, quarantine)| !quarantine.with.iter().all(is_as_before))
            .map(|(id, _)| id)
            .collect();
        for id in pardoned {
            if self.resources.get_mut(&id).is_some_and(Resource::retry) {
                self.unsaved(&id, now.boot);
            }
        }
    }

    /// Takes for seen what is plain without a look, if that is so of all that has changed: else their intents would not share a commit.
    fn foresee(&mut self, changed: Vec<(ResourceId, Option<Sight>)>) {
        let all: Option<Vec<_>> =
            changed.into_iter().map(|(id, sight)| sight.map(|sight| (id, sight))).collect();
        for (id, sight) in all.into_iter().flatten() {
            let Some(resource) = self.resources.get_mut(&id) else { continue };
            resource.look.due = false;
            resource.sight = Some(sight);
        }
    }

    fn wanted(&self, entry: Entry) -> Wanted {
        let body = match entry.body {
            Body::Spec(spec, digest) => WantedBody::Spec(Aim {
                claims: spec.claims(&entry.id),
                batch: (self.settings.batch)(&spec),
                spec,
                digest,
            }),
            Body::UnknownKind => WantedBody::UnknownKind,
            Body::Invalid(problems) => WantedBody::Invalid { message: in_words(&problems, problems.len()) },
        };
        Wanted { kind: entry.kind, body, edges: entry.edges, drift: entry.drift }
    }

    /// Whose decisions depend on whose facts: those that an edge, wanted or applied, connects, and those that claim the same thing.
    pub(crate) fn meet_neighbours(&mut self) {
        let mut pairs: Vec<(ResourceId, ResourceId)> = Vec::new();
        let mut claimants: Vec<(&Claim, &ResourceId)> = Vec::with_capacity(self.resources.len() * 2);
        for (id, resource) in &self.resources {
            let wanted = resource.wanted.as_ref().map(|wanted| &wanted.edges);
            let applied = resource.row.as_ref().map(|row| &row.edges);
            let opaque = resource.opaque.as_ref().map(|row| &row.edges);
            for edges in [wanted, applied, opaque].into_iter().flatten() {
                pairs.extend(edges.depends_on.keys().map(|to| (id.clone(), to.clone())));
            }
            let claimed = resource.aim().into_iter().flat_map(|aim| &aim.claims);
            let held = resource.row.iter().flat_map(|row| row.held.keys());
            let opaque = resource.opaque.iter().flat_map(|row| row.held.keys());
            claimants.extend(claimed.chain(held).chain(opaque).map(|claim| (claim, id)));
        }
        pairs.extend(self.nested());
        claimants.sort_unstable();
        claimants.dedup();
        for rivals in claimants.chunk_by(|(one, _), (other, _)| one == other) {
            let all = rivals.iter().flat_map(|(_, one)| rivals.iter().map(move |(_, other)| (*one, *other)));
            pairs.extend(
                all.filter(|(one, other)| one != other).map(|(one, other)| (one.clone(), other.clone())),
            );
        }
        let kinds: BTreeSet<_> = self.resources.values().map(Resource::kind).collect();
        for kind in kinds {
            if !self.kinds.contains_key(kind) {
                self.kinds.insert(kind.to_owned(), KindFacts::default());
            }
        }
        for resource in self.resources.values_mut() {
            resource.neighbours.clear();
        }
        for (one, other) in pairs.into_iter().filter(|(one, other)| one != other) {
            for (of, neighbour) in [(&one, &other), (&other, &one)] {
                if let Some(resource) = self.resources.get_mut(of) {
                    resource.neighbours.insert(neighbour.clone());
                }
            }
        }
    }

    /// Those that hold a path in a directory that another one holds, each with that one.
    fn nested(&self) -> Vec<(ResourceId, ResourceId)> {
        let held = || {
            let rows = self.resources.iter().filter_map(|(id, resource)| Some((id, resource.row.as_ref()?)));
            rows.flat_map(|(id, row)| row.held.keys().map(move |claim| (claim, id)))
        };
        let owners: HashMap<&Claim, &ResourceId> = held().collect();
        let mut nested = Vec::new();
        for (claim, id) in held() {
            let outer = claim.around().filter_map(|outer| owners.get(&&outer).copied());
            nested.extend(outer.map(|outer| (id.clone(), outer.clone())));
        }
        nested
    }

    /// The batch that a resource changes with, as it is wanted or as it is held.
    pub(crate) fn batch_of(&self, resource: &Resource) -> Option<Batch> {
        let held = resource.row.as_ref().and_then(|row| row.spec());
        match resource.aim() {
            Some(aim) => aim.batch.clone(),
            None => held.and_then(|spec| (self.settings.batch)(spec)),
        }
    }
}

/// What a look at a changed spec would find, where that is plain without one: what was right before is wrong now.
/// It never makes anything Ready, and the step looks for itself.
fn foreseen(resource: &Resource) -> Option<Sight> {
    let (sight, row, aim) = (resource.sight.as_ref()?, resource.row.as_ref()?, resource.aim()?);
    let applied = row.applied.as_ref().filter(|_| row.intent.is_none() && !resource.look.due)?;
    let seen = sight.seen.as_ref().ok().filter(|seen| seen.on_target())?;
    if sight.against != Some(applied.digest) || !aim.spec.contradicts(&applied.spec) {
        return None;
    }
    let changed = Difference {
        path: "spec".into(),
        want: aim.digest.to_string().into(),
        got: applied.digest.to_string().into(),
        in_place: false,
    };
    let seen = Observation { differences: vec![changed], ..seen.clone() };
    Some(Sight { against: Some(aim.digest), foreseen: true, seen: Ok(seen), at: sight.at })
}

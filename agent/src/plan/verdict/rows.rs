//! Rows as they are to be written: each a function of the facts.

use std::{collections::BTreeMap, sync::Arc};

use manifest_types::{digest::Digest, kinds::Spec, name::ResourceId};
use reconcilers::observation::Observation;

use crate::{
    engine::{Engine, resource::Resource, sabotage::Rule},
    ledger::row::{Applied, Intent, Row},
    plan::order::{highest_seen, owner},
};

/// The revisions of the resource's `restartOn` that a start sees now.
pub(super) fn revisions(engine: &Engine, me: &Resource) -> BTreeMap<ResourceId, u64> {
    let restart_on = me.wanted.as_ref().map_or(&[][..], |wanted| &wanted.edges.restart_on);
    let seen = |id: &ResourceId| owner(&engine.resources, id).map_or(0, Resource::seen_revision);
    restart_on.iter().map(|id| (id.clone(), seen(id))).collect()
}

/// The row of a resource that is as wanted already: nothing on the device changes for it.
pub(super) fn settled(
    engine: &Engine,
    id: &ResourceId,
    me: &Resource,
    spec: &Arc<Spec>,
    digest: Digest,
    seen: &Observation,
) -> Row {
    let mut row = holding(id, me, spec, seen);
    let now = revisions(engine, me);
    let first = row.applied.is_none();
    row.reached &= row.applied_digest() == Some(digest);
    row.saw = now
        .into_iter()
        .map(|(id, revision)| {
            let saw = row.saw.get(&id).copied().filter(|_| !first);
            (id, saw.unwrap_or(revision))
        })
        .collect();
    row.applied = Some(Applied { digest, spec: spec.clone() });
    if let Some(wanted) = &me.wanted {
        row.edges = wanted.edges.clone();
    }
    row
}

/// The row of a resource that is about to be brought to a spec.
pub(super) fn putting(
    engine: &Engine,
    id: &ResourceId,
    me: &Resource,
    spec: &Arc<Spec>,
    digest: Digest,
    seen: &Observation,
) -> Row {
    let mut row = holding(id, me, spec, seen);
    if me.row.is_none() {
        row.revision = highest_seen(&engine.resources, me, id);
    }
    // What is half done must be undone by the edges of either spec.
    if let Some(wanted) = &me.wanted {
        let former = std::mem::replace(&mut row.edges, wanted.edges.clone());
        for (id, until) in former.depends_on {
            row.edges.depends_on.entry(id).or_insert(until);
        }
    }
    let saw = revisions(engine, me);
    row.intent = Some(Intent::Put { target: Applied { digest, spec: spec.clone() }, saw });
    if !engine.breaks(Rule::SurvivesKill) {
        row.revision += 1;
    }
    row
}

/// The row of a resource that is about to be taken away.
pub(super) fn taking(row: &Row) -> Row {
    let attempted = row.attempted().cloned();
    Row { intent: Some(Intent::Take { attempted }), ..row.clone() }
}

fn holding(id: &ResourceId, me: &Resource, spec: &Arc<Spec>, seen: &Observation) -> Row {
    let mut row = me.row.as_deref().cloned().unwrap_or_else(|| Row::new(spec.kind()));
    let before = seen.before();
    let held = Arc::make_mut(&mut row.held);
    for claim in spec.claims(id) {
        held.entry(claim).or_insert(before);
    }
    row
}

//! What goes to the ledger, and when: intents and removals at once, everything else when it suits.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use manifest_types::name::ResourceId;

use crate::{
    clock::BootTime,
    engine::{Engine, command::Command},
    ledger::{memory::LedgerWrite, row::Row},
};

/// Outcomes are written after so long, unless something else is written earlier: losing one costs an observation.
const OUTCOMES_WAIT: Duration = Duration::from_secs(2);
/// A manifest waits so long for the first looks at what it wants, so that its first intents share its commit.
const MANIFEST_WAITS: Duration = Duration::from_millis(200);

/// The write that should begin now.
pub(super) fn remember(engine: &mut Engine, now: BootTime) -> Option<Command> {
    if engine.ledger.in_flight.is_some() || due_at(engine, now)? > now {
        return None;
    }
    let broken = engine.ledger.broken.as_ref();
    let only_lets_go = broken.is_some_and(|fault| fault.full && fault.retry_at > now);
    let seq = engine.fresh_id();
    let mut write = LedgerWrite { lets_go: only_lets_go, ..LedgerWrite::default() };
    write.rows = rows(engine, seq, only_lets_go);
    if !only_lets_go {
        write.forgets_generations = std::mem::take(&mut engine.ledger.forgets_generations);
        write.manifest =
            engine.manifest.unsaved.as_ref().map(|(saved, admission, _)| (saved.clone(), *admission));
        engine.ledger.lazy_since = None;
        engine.ledger.flush = false;
    }
    engine.ledger.urgent = false;
    if write.is_empty() {
        return None;
    }
    let write = Arc::new(write);
    engine.ledger.in_flight = Some((seq, write.clone()));
    Some(Command::Remember { seq, write })
}

/// The rows that the write `seq` takes with it: all that have changed, or of those only what lets go of things.
fn rows(engine: &mut Engine, seq: u64, only_lets_go: bool) -> BTreeMap<ResourceId, Option<Arc<Row>>> {
    let mut rows = Vec::with_capacity(engine.ledger.unsaved.len() + engine.ledger.removed.len());
    for id in std::mem::take(&mut engine.ledger.unsaved) {
        let resource = engine.resources.get_mut(&id).filter(|resource| resource.saved.is_unsaved());
        let Some((row, resource)) = resource.and_then(|resource| Some((resource.row.clone()?, resource)))
        else {
            continue;
        };
        if only_lets_go && !row.lets_go() {
            engine.ledger.unsaved.insert(id);
            continue;
        }
        resource.saved.written(seq);
        rows.push((id, Some(row)));
    }
    for id in std::mem::take(&mut engine.ledger.removed) {
        let resource = engine.resources.get_mut(&id);
        if resource.as_ref().is_some_and(|resource| resource.row.is_some()) {
            // What is owned anew since then is written as such, or, on a full disk, not yet.
            if only_lets_go {
                engine.ledger.removed.insert(id);
            }
            continue;
        }
        if let Some(resource) = resource {
            resource.saved.written(seq);
        }
        rows.push((id, None));
    }
    rows.into_iter().collect()
}

/// When there will be something to write.
pub(super) fn due(engine: &Engine, now: BootTime) -> Option<BootTime> {
    if engine.ledger.in_flight.is_some() { None } else { due_at(engine, now) }
}

fn due_at(engine: &Engine, now: BootTime) -> Option<BootTime> {
    let ledger = &engine.ledger;
    if let Some(fault) = &ledger.broken {
        // On a full disk, what lets go of things is tried at once, from the reserve.
        return Some(if fault.full && ledger.urgent { now } else { fault.retry_at });
    }
    if ledger.urgent || ledger.flush && engine.has_unsaved() {
        return Some(now);
    }
    let outcomes = ledger.lazy_since.map(|since| since + OUTCOMES_WAIT);
    let manifest = engine
        .manifest
        .unsaved
        .as_ref()
        .map(|(_, _, since)| if engine.looks.is_empty() { now } else { *since + MANIFEST_WAITS });
    [outcomes, manifest].into_iter().flatten().min()
}

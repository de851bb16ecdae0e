//! What goes to the ledger, and when: intents and removals at once, everything else when it suits.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::BootTime,
    engine::{Engine, command::Command},
    ledger::memory::LedgerWrite,
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
    let mut write = LedgerWrite { lets_go: only_lets_go, ..LedgerWrite::default() };
    for id in &engine.ledger.unsaved {
        let Some(resource) = engine.resources.get(id).filter(|resource| resource.saved.is_unsaved()) else {
            continue;
        };
        if let Some(row) = resource.row.as_ref().filter(|row| !only_lets_go || row.lets_go()) {
            write.rows.insert(id.clone(), Some(row.clone()));
        }
    }
    for id in &engine.ledger.removed {
        // What is owned anew since then is written as such, or, on a full disk, not yet.
        let is_owned = engine.resources.get(id).is_some_and(|resource| resource.row.is_some());
        if !is_owned {
            write.rows.insert(id.clone(), None);
        }
    }
    if !only_lets_go {
        write.forgets_generations = std::mem::take(&mut engine.ledger.forgets_generations);
        write.manifest =
            engine.manifest.unsaved.as_ref().map(|(saved, admission, _)| (saved.clone(), *admission));
    }
    written(engine, &write, only_lets_go);
    if write.is_empty() {
        return None;
    }
    let seq = engine.fresh_id();
    for id in write.rows.keys() {
        if let Some(resource) = engine.resources.get_mut(id) {
            resource.saved.written(seq);
        }
    }
    let write = Arc::new(write);
    engine.ledger.in_flight = Some((seq, write.clone()));
    Some(Command::Remember { seq, write })
}

/// When there will be something to write.
pub(super) fn due(engine: &Engine, now: BootTime) -> Option<BootTime> {
    if engine.ledger.in_flight.is_some() { None } else { due_at(engine, now) }
}

fn written(engine: &mut Engine, write: &LedgerWrite, only_lets_go: bool) {
    engine.ledger.urgent = false;
    if only_lets_go {
        for id in write.rows.keys() {
            engine.ledger.unsaved.remove(id);
            engine.ledger.removed.remove(id);
        }
    } else {
        engine.ledger.unsaved.clear();
        engine.ledger.removed.clear();
        engine.ledger.lazy_since = None;
        engine.ledger.flush = false;
    }
}

fn due_at(engine: &Engine, now: BootTime) -> Option<BootTime> {
    let ledger = &engine.ledger;
    if let Some(fault) = &ledger.broken {
        // On a full disk, what lets go of things is tried at once, from the reserve.
        return Some(if fault.full && ledger.urgent { now } else { fault.retry_at });
    }
    if ledger.urgent || ledger.flush && has_something(engine) {
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

fn has_something(engine: &Engine) -> bool {
    !engine.ledger.unsaved.is_empty()
        || !engine.ledger.removed.is_empty()
        || engine.manifest.unsaved.is_some()
}

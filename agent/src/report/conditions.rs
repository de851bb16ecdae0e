//! The conditions: what holds for the device as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use manifest_types::status::{Condition, ConditionStatus, Phase};

use super::is_invalid;
use crate::{clock::Now, engine::Engine};

/// So many resources are named in a condition; the others are counted.
const MOST_NAMES: usize = 20;

/// Since when each condition's status is what it is.
pub(crate) type Since = BTreeMap<&'static str, (ConditionStatus, Timestamp)>;

struct Said {
    about: &'static str,
    status: ConditionStatus,
    reason: String,
    message: String,
    generation: u64,
}

pub(super) fn conditions(engine: &Engine, now: Now) -> Vec<Condition> {
    said(engine).into_iter().map(|said| dated(said, &engine.condition_since, now)).collect()
}

/// Notes when a condition's status has changed.
pub(crate) fn note_changes(engine: &mut Engine, now: Now) {
    for said in said(engine) {
        let since = engine.condition_since.entry(said.about).or_insert((said.status, now.wall));
        if since.0 != said.status {
            *since = (said.status, now.wall);
        }
    }
}

fn dated(said: Said, since: &Since, now: Now) -> Condition {
    let known = since.get(said.about).filter(|(status, _)| *status == said.status);
    Condition {
        condition_type: said.about.to_owned(),
        status: said.status,
        reason: said.reason,
        message: said.message,
        since: known.map_or(now.wall, |(_, since)| *since),
        observed_generation: said.generation,
    }
}

fn said(engine: &Engine) -> Vec<Said> {
    let mut said = vec![ready(engine), manifest_accepted(engine), drifted(engine)];
    said.extend(source_away(engine));
    said.extend(ledger_writable(engine));
    said.extend(fenced(engine));
    said.extend(paused(engine));
    said
}

fn of(about: &'static str, holds: bool, reason: &str, message: String, generation: u64) -> Said {
    let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
    Said { about, status, reason: reason.to_owned(), message, generation }
}

/// True only when every wanted resource is Ready and everything unwanted is gone.
fn ready(engine: &Engine) -> Said {
    let (generation, _) = engine.generations();
    if generation == 0 {
        let message = "no manifest was admitted yet".to_owned();
        return Said {
            about: "Ready",
            status: ConditionStatus::Unknown,
            reason: "NoManifest".into(),
            message,
            generation,
        };
    }
    let mut counts: BTreeMap<Phase, usize> = BTreeMap::new();
    for resource in engine.resources.values() {
        *counts.entry(resource.standing.phase).or_default() += 1;
    }
    let ready = counts.remove(&Phase::Ready).unwrap_or(0);
    if counts.is_empty() {
        return of("Ready", true, "AllResourcesReady", format!("{ready} of {ready} ready"), generation);
    }
    let reason = if counts.contains_key(&Phase::Failed) {
        "ResourcesFailed"
    } else if counts.keys().all(|phase| *phase == Phase::Deleting) {
        "Deleting"
    } else {
        "Reconciling"
    };
    let total = ready + counts.values().sum::<usize>();
    let others: Vec<_> =
        counts.iter().map(|(phase, count)| format!("{count} {}", phase.to_string().to_lowercase())).collect();
    of("Ready", false, reason, format!("{ready} of {total} ready, {}", others.join(", ")), generation)
}

fn manifest_accepted(engine: &Engine) -> Said {
    let (generation, observed) = engine.generations();
    match &engine.manifest.refused {
        Some((reason, message)) => of("ManifestAccepted", false, reason, message.clone(), observed),
        None if generation == 0 => Said {
            about: "ManifestAccepted",
            status: ConditionStatus::Unknown,
            reason: "NoManifest".into(),
            message: "no manifest has come yet".into(),
            generation: 0,
        },
        None => {
            let bad = engine.resources.values().filter(|resource| is_invalid(resource)).count();
            match bad {
                0 => of("ManifestAccepted", true, "Accepted", String::new(), observed),
                _ => of(
                    "ManifestAccepted",
                    true,
                    "AcceptedInPart",
                    format!("{bad} entries are invalid"),
                    observed,
                ),
            }
        }
    }
}

fn drifted(engine: &Engine) -> Said {
    let (generation, _) = engine.generations();
    let ids: Vec<_> = engine
        .resources
        .iter()
        .filter(|(_, resource)| resource.standing.drifted)
        .map(|(id, _)| id.as_str())
        .collect();
    match ids.as_slice() {
        [] => of("Drifted", false, "NoDrift", String::new(), generation),
        ids => {
            let told = ids.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
            let more = ids.len().saturating_sub(MOST_NAMES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            of("Drifted", true, "DriftReported", format!("left as they are: {told}{more}"), generation)
        }
    }
}

fn ledger_writable(engine: &Engine) -> Option<Said> {
    if engine.ledger.slow {
        let message = "a write to the ledger takes very long; nothing is begun until it ends".to_owned();
        return Some(of("LedgerWritable", false, "Slow", message, engine.generations().0));
    }
    let fault = engine.ledger.broken.as_ref()?;
    let reason = if fault.full { "DiskFull" } else { "WriteFailed" };
    let message = format!("nothing is changed until the ledger can be written: {}", fault.message);
    Some(of("LedgerWritable", false, reason, message, engine.generations().0))
}

fn source_away(engine: &Engine) -> Option<Said> {
    let why = engine.manifest.source_away.clone()?;
    Some(of("SourceConnected", false, "Unreachable", why, engine.generations().0))
}

fn fenced(engine: &Engine) -> Option<Said> {
    let by = engine.outbox.fenced_by()?;
    let message = format!("another agent of this id holds the status: instance {by}");
    Some(of("Fenced", true, "AnotherInstance", message, engine.generations().0))
}

fn paused(engine: &Engine) -> Option<Said> {
    engine.paused_until?;
    Some(of(
        "Paused",
        true,
        "OperatorAsked",
        "nothing is changed until it is resumed".into(),
        engine.generations().0,
    ))
}

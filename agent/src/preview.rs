//! What a manifest would change on the device: it is looked at, nothing is touched.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use manifest_types::{
    claim::Claim,
    kinds::Spec,
    manifest::{AgentManifest, Body, DriftPolicy, Resource},
    name::ResourceId,
    status::DriftField,
};
use reconcilers::{
    error::Failure,
    observation::{Difference, Observation},
    registry::{AnyOwned, AnyTarget, Registry},
};
use tokio::sync::Semaphore;

use crate::{
    ask::{Forecast, Preview},
    ledger::row::Row,
};

/// A kind that takes longer to be looked at cannot be forecast.
const LOOK: Duration = Duration::from_secs(60);

/// The looks under way. One that hangs keeps a thread for as long as it does: nobody begins another one beside it.
#[derive(Debug, Default)]
pub struct Looks(Mutex<BTreeMap<String, Arc<Semaphore>>>);

impl Looks {
    fn of(&self, kind: &str) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(kind.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }
}

type Rows = BTreeMap<ResourceId, Arc<Row>>;
type Sights = BTreeMap<ResourceId, Result<Observation, Failure>>;

/// What `manifest` would change, on a device that holds `rows`.
pub async fn preview(
    registry: &Arc<Registry>,
    looks: &Looks,
    rows: &Rows,
    manifest: &AgentManifest,
) -> Preview {
    let mut sights = Sights::new();
    for (kind, targets) in targets(rows, manifest) {
        sights.extend(look(registry, looks.of(kind), kind, targets).await);
    }
    forecast_all(rows, manifest, &sights)
}

/// One look at each kind. What cannot be seen is a failure of each of its resources.
async fn look(
    registry: &Arc<Registry>,
    turn: Arc<Semaphore>,
    kind: &'static str,
    targets: Vec<AnyTarget>,
) -> Sights {
    let ids: Vec<_> = targets.iter().map(|target| target.id.clone()).collect();
    let registry = registry.clone();
    let looked = async {
        let turn = turn.acquire_owned().await;
        // In a task of its own, so that the turn is over when the look is, whoever waits for it.
        let look = tokio::spawn(async move {
            let seen = registry.observe(kind, &targets).await;
            drop(turn);
            seen
        });
        look.await
    };
    let failure = match tokio::time::timeout(LOOK, looked).await {
        Ok(Ok(Ok(seen))) => return seen,
        Ok(Ok(Err(unseen))) => Failure::new(unseen.reason, unseen.message, true),
        Ok(Err(error)) => {
            Failure::new("Panicked", format!("the look broke off; please report this: {error}"), true)
        }
        Err(_) => Failure::new("TimedOut", format!("looking took longer than {} s", LOOK.as_secs()), true),
    };
    ids.into_iter().map(|id| (id, Err(failure.clone()))).collect()
}

/// What has to be looked at, by kind.
fn targets(rows: &Rows, manifest: &AgentManifest) -> BTreeMap<&'static str, Vec<AnyTarget>> {
    let mut targets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for resource in &manifest.resources {
        let Some(spec) = resource.spec() else { continue };
        let row = rows.get(&resource.id).filter(|row| row.kind == spec.kind());
        let target = AnyTarget {
            id: resource.id.clone(),
            wanted: Some(spec.clone()),
            owned: row.and_then(|row| owned(row)),
        };
        targets.entry(spec.kind()).or_default().push(target);
    }
    targets
}

fn owned(row: &Row) -> Option<AnyOwned> {
    let attempted = row.attempted().map(|attempted| attempted.spec.clone());
    Some(AnyOwned {
        spec: row.spec()?.clone(),
        applied: row.applied.is_some(),
        attempted,
        held: row.held.clone(),
    })
}

/// The forecast for everything in the manifest, and for everything held that is not in it. Pure.
fn forecast_all(rows: &Rows, manifest: &AgentManifest, sights: &Sights) -> Preview {
    let wanted = manifest.resources.iter().map(|resource| {
        let (row, sight) = (rows.get(&resource.id).map(Arc::as_ref), sights.get(&resource.id));
        (resource.id.clone(), forecast(resource, row, sight))
    });
    let mut resources: BTreeMap<_, _> = wanted.collect();
    for (id, row) in rows {
        if !resources.contains_key(id) && !is_handed_over(row, rows, manifest) {
            resources.insert(id.clone(), Forecast::Delete);
        }
    }
    Preview { resources, problems: manifest.problems().map(Into::into).collect() }
}

/// What would become of one resource of the manifest. Pure.
fn forecast(
    resource: &Resource,
    row: Option<&Row>,
    sight: Option<&Result<Observation, Failure>>,
) -> Forecast {
    let (spec, digest) = match &resource.body {
        Body::Spec(spec, digest) => (spec, digest),
        Body::UnknownKind => {
            let message = format!(
                "this agent does not know the kind {:?}; what it holds under this id stays",
                resource.kind
            );
            return unclear("UnknownKind", message);
        }
        Body::Invalid(problems) => {
            let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
            return unclear("InvalidSpec", told.join("; "));
        }
    };
    if let Some(row) = row.filter(|row| row.kind != spec.kind()) {
        return Forecast::Change { fields: vec![field("kind", spec.kind(), row.kind.as_str())] };
    }
    if let Some(failed) =
        row.and_then(|row| row.quarantine.as_ref()).filter(|failed| failed.digest == *digest)
    {
        let message = format!(
            "{}; it is not tried again until it changes or `holdfast retry {}` asks",
            failed.message, resource.id
        );
        return unclear(&failed.reason, message);
    }
    let seen = match sight {
        Some(Ok(seen)) => seen,
        Some(Err(failure)) => return unclear(&failure.reason, failure.message.clone()),
        None => return unclear("NotObserved", "nothing was seen of it".to_owned()),
    };
    let moved = row.and_then(|row| moved(&resource.id, spec, row));
    match moved {
        None if seen.on_target() || is_left(resource, digest, row) => Forecast::Unchanged,
        None if !seen.present => Forecast::Create,
        moved => {
            Forecast::Change { fields: moved.into_iter().chain(seen.differences.iter().map(told)).collect() }
        }
    }
}

/// Whether what drifted is left as it is, because it was Ready once and its policy says so.
fn is_left(resource: &Resource, digest: &manifest_types::digest::Digest, row: Option<&Row>) -> bool {
    let reached = row.is_some_and(|row| row.reached && row.applied_digest() == Some(*digest));
    reached && matches!(resource.drift, DriftPolicy::Report | DriftPolicy::Ignore)
}

/// What is held now and would be let go of, where the new spec is at another place.
fn moved(id: &ResourceId, spec: &Spec, row: &Row) -> Option<DriftField> {
    let wanted = spec.claims(id);
    let leaves_some = row.held.keys().any(|held| !wanted.contains(held));
    let names =
        |claims: &mut dyn Iterator<Item = &Claim>| -> Vec<_> { claims.map(ToString::to_string).collect() };
    leaves_some.then(|| field("holds", names(&mut wanted.iter()), names(&mut row.held.keys())))
}

/// Whether only the id changes: then what is held is handed over, and nothing is taken away.
fn is_handed_over(row: &Row, rows: &Rows, manifest: &AgentManifest) -> bool {
    let inherits = |heir: &Resource| {
        let spec = heir.spec().filter(|spec| spec.kind() == row.kind && !rows.contains_key(&heir.id));
        let claims = spec.map(|spec| spec.claims(&heir.id)).unwrap_or_default();
        !claims.is_empty()
            && claims.len() == row.held.len()
            && claims.iter().all(|claim| row.held.contains_key(claim))
    };
    manifest.resources.iter().any(inherits)
}

fn unclear(reason: &str, message: String) -> Forecast {
    Forecast::Unclear { reason: reason.to_owned(), message }
}

fn field(path: &str, want: impl Into<serde_json::Value>, got: impl Into<serde_json::Value>) -> DriftField {
    DriftField { path: path.to_owned(), want: want.into(), got: got.into() }
}

fn told(difference: &Difference) -> DriftField {
    let Difference { path, want, got, .. } = difference.clone();
    DriftField { path, want, got }
}

#[cfg(test)]
mod tests;

//! Containers keep the contract in the fake engine, and what is replaced there is replaced safely.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::{ResourceSpec, container::ContainerSpec, engine::Texts},
    name::ResourceId,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    ContainerReconciler,
    fixture::{Containers, host},
};
use crate::{
    contract::drop_after,
    engine::{
        ContainerEngine, NewContainer,
        bed::FakeBed,
        fake::{Behaviour, FakeEngine},
        images::Images,
        link::Link,
        terms::{Activity, Container},
    },
    error::Failure,
    host::Host,
    observation::{Before, Health, Observation, Observed},
    reconciler::{Owned, Put, Reconciler, StepContext, Take, Target},
    registry::observation,
};

mod abuse;
mod images;
mod replacing;
mod taken_over;

crate::promises!(Containers<FakeBed>);

const GOOD: &str = "docker.io/library/web:1";
const BETTER: &str = "docker.io/library/web:2";
const BAD: &str = "docker.io/library/web:3";

/// A device with a fake engine, on which one resource is held.
struct Rig {
    fake: FakeEngine,
    reconciler: ContainerReconciler<FakeEngine>,
    id: ResourceId,
    state: TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::with(FakeEngine::default()).await
    }

    async fn with(fake: FakeEngine) -> Self {
        fake.add_image(GOOD, "sha256:good", Behaviour::Runs);
        fake.add_image(BETTER, "sha256:better", Behaviour::Runs);
        fake.add_image(BAD, "sha256:bad", Behaviour::IsUnwell);
        let state = tempfile::tempdir().unwrap();
        Self { reconciler: reconciler(&fake, state.path()).await, fake, id: "web".parse().unwrap(), state }
    }

    /// The same device after its agent was started again.
    async fn restarted(self) -> Self {
        Self { reconciler: reconciler(&self.fake, self.state.path()).await, ..self }
    }

    async fn put(
        &self,
        old: Option<&ContainerSpec>,
        spec: &ContainerSpec,
        restart: bool,
    ) -> Result<(), Failure> {
        self.step(old, spec, restart).await.map(drop)
    }

    /// A step; whether it says what it has seen at its end.
    async fn step(
        &self,
        old: Option<&ContainerSpec>,
        spec: &ContainerSpec,
        restart: bool,
    ) -> Result<bool, Failure> {
        let held = held(spec, &self.id);
        let owned = Owned { spec: old.unwrap_or(spec), applied: old.is_some(), attempted: None, held: &held };
        let put = Put { id: &self.id, spec, digest: Digest::of(b""), owned, restart };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        let outcome = self.reconciler.reconcile(&cx, &put).await;
        outcome.map(|told| told.is_some()).map_err(|error| error.to_failure())
    }

    /// A step that is cut off after so many wakes.
    async fn put_and_die(&self, old: &ContainerSpec, spec: &ContainerSpec, wakes: usize) {
        drop_after(self.put(Some(old), spec, false), wakes).await;
    }

    async fn take(&self, spec: &ContainerSpec) {
        let held = held(spec, &self.id);
        let owned = Owned { spec, applied: true, attempted: None, held: &held };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        let taken = self.reconciler.delete(&cx, &Take { id: &self.id, owned }).await;
        taken.map_err(|error| error.to_failure()).unwrap();
    }

    async fn see(&self, spec: &ContainerSpec) -> Observation {
        let held = held(spec, &self.id);
        let owned = Owned { spec, applied: true, attempted: None, held: &held };
        let target = Target { id: &self.id, wanted: Some(spec), owned: Some(owned) };
        let mut sights = self.reconciler.observe(&[target]).await.unwrap();
        let sight = sights.remove(&self.id).unwrap().map_err(|error| error.to_failure()).unwrap();
        assert!(sight.details().is_some() || !sight.is_present());
        observation(&sight, Some(spec))
    }

    /// The paths in which it drifts.
    async fn drift(&self, spec: &ContainerSpec) -> Vec<String> {
        self.see(spec).await.differences.into_iter().map(|difference| difference.path).collect()
    }

    /// All containers: name, image, and what they do.
    async fn all(&self) -> Vec<(String, String, Activity)> {
        let mut all = Vec::new();
        for listed in self.fake.containers().await.unwrap() {
            all.push((listed.name, listed.image_id, listed.activity));
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }
}

async fn reconciler(fake: &FakeEngine, state_dir: &Path) -> ContainerReconciler<FakeEngine> {
    let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
    link.open().await.unwrap();
    let host = Host { state_dir: state_dir.to_owned(), ..host() };
    let images = Images::new(&host, Arc::clone(&link));
    ContainerReconciler::new(&host, Arc::clone(&link), images).settling(Duration::ZERO)
}

fn held(spec: &ContainerSpec, id: &ResourceId) -> BTreeMap<Claim, Before> {
    spec.claims(id).into_iter().map(|claim| (claim, Before::Absent)).collect()
}

fn spec(image: &str, more: Value) -> ContainerSpec {
    let mut spec = json!({ "image": image, "update": { "healthyWithin": "1s" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn runs(name: &str, image: &str) -> (String, String, Activity) {
    (name.into(), format!("sha256:{image}"), Activity::Running)
}

fn is_well(seen: &Observation) -> bool {
    seen.on_target() && seen.health == Health::Healthy
}

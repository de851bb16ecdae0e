//! Volumes keep the contract in the fake engine.

use std::collections::BTreeMap;

use manifest_types::{digest::Digest, kinds::ResourceSpec};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{fixture::Volumes, *};
use crate::engine::{
    NewContainer,
    bed::FakeBed,
    fake::{Behaviour, FakeEngine},
};

crate::promises!(Volumes<FakeBed>);

#[tokio::test]
async fn a_volume_that_gets_another_name_does_not_wait_for_who_waits_for_it() {
    let fake = FakeEngine::default();
    fake.add_image("docker.io/library/web:1", "sha256:1", Behaviour::Runs);
    let reconciler = VolumeReconciler::new(Link::new(fake.clone(), "pump-17".parse().unwrap()));
    let id: ResourceId = "data".parse().unwrap();
    let old: VolumeSpec = serde_json::from_value(json!({ "onDelete": "Remove" })).unwrap();
    let new: VolumeSpec = serde_json::from_value(json!({ "name": "store", "onDelete": "Remove" })).unwrap();
    let put = async |old: &VolumeSpec, new: &VolumeSpec| {
        let claims = old.claims(&id).into_iter().chain(new.claims(&id));
        let held: BTreeMap<_, _> = claims.map(|claim| (claim, Before::Absent)).collect();
        let owned = Owned { spec: old, applied: true, attempted: None, held: &held };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        let put = Put { id: &id, spec: new, digest: Digest::of(b""), owned, restart: false };
        reconciler.reconcile(&cx, &put).await.map(drop).map_err(|error| error.to_failure())
    };
    put(&old, &old).await.unwrap();
    let web =
        json!({ "image": "web:1", "mounts": [{ "type": "Volume", "source": "data", "target": "/data" }] });
    let (web, none) = (serde_json::from_value(web).unwrap(), Default::default());
    fake.create(&NewContainer { name: "web", spec: &web, marks: &none }).await.unwrap();
    put(&old, &new).await.unwrap();
    let names =
        async || fake.volumes().await.unwrap().into_iter().map(|volume| volume.name).collect::<Vec<_>>();
    assert_eq!(names().await, ["data", "store"], "what is in use is kept");
    fake.lose("web").unwrap();
    put(&old, &new).await.unwrap();
    assert_eq!(names().await, ["store"]);
}

/// Brings the volume `data`, which was brought before, to a spec: why not, if it cannot be.
async fn put_data(
    reconciler: &VolumeReconciler<FakeEngine>,
    id: &ResourceId,
    spec: &VolumeSpec,
) -> Result<(), String> {
    let held = [(Claim::Volume("data".into()), Before::Absent)].into();
    let owned = Owned { spec, applied: true, attempted: None, held: &held };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let put = Put { id, spec, digest: Digest::of(b""), owned, restart: false };
    reconciler.reconcile(&cx, &put).await.map(drop).map_err(|error| error.to_failure().reason)
}

#[tokio::test]
async fn what_others_have_made_is_taken_over_and_what_is_in_it_stays() {
    let fake = FakeEngine::default();
    let reconciler = VolumeReconciler::new(Link::new(fake.clone(), "pump-17".parse().unwrap()));
    let id: ResourceId = "data".parse().unwrap();
    let spec = |more: serde_json::Value| -> VolumeSpec {
        let mut spec = json!({ "labels": { "app": "shop" }, "onDelete": "Remove", "takeOver": {} });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(spec).unwrap()
    };
    let without_labels: VolumeSpec = serde_json::from_value(json!({})).unwrap();
    fake.create_volume("data", &without_labels, &Default::default()).await.unwrap();
    let put = async |spec: &VolumeSpec| put_data(&reconciler, &id, spec).await;
    put(&spec(json!({}))).await.unwrap();
    let options = spec(json!({ "options": { "type": "tmpfs" } }));
    assert_eq!(put(&options).await, Err("VolumeDiffers".into()), "what is in it is worth more");
    let others = spec(json!({ "takeOver": { "labels": { "made-by": "hand" } } }));
    assert_eq!(put(&others).await, Err("Conflict".into()), "that one is not meant");
    assert_eq!(fake.volumes().await.unwrap().len(), 1);
    let spec = spec(json!({}));
    let held = [(Claim::Volume("data".into()), Before::Absent)].into();
    let owned = Owned { spec: &spec, applied: true, attempted: None, held: &held };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    reconciler.delete(&cx, &Take { id: &id, owned }).await.map_err(|error| error.to_failure()).unwrap();
    assert_eq!(fake.volumes().await.unwrap(), []);
}

#[tokio::test]
async fn labels_that_no_engine_can_change_are_no_drift_where_what_is_there_is_taken_over() {
    let fake = FakeEngine::default();
    let reconciler = VolumeReconciler::new(Link::new(fake.clone(), "pump-17".parse().unwrap()));
    let id: ResourceId = "data".parse().unwrap();
    let spec = |label: &str, take_over: bool| -> VolumeSpec {
        let mut spec = json!({ "labels": { "tier": label } });
        if take_over {
            spec["takeOver"] = json!({});
        }
        serde_json::from_value(spec).unwrap()
    };
    let put = async |spec: &VolumeSpec| put_data(&reconciler, &id, spec).await;
    put(&spec("front", true)).await.unwrap();
    put(&spec("back", true)).await.unwrap();
    assert_eq!(put(&spec("back", false)).await, Err("VolumeDiffers".into()), "it is told where it matters");
}

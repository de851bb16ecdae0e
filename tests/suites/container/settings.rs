//! Every field of a spec, set by the agent on Docker and on Podman: it is as it was wanted, and stays so however often it is looked at.

use std::{collections::BTreeSet, sync::Arc};

use e2e::parts;
use manifest_types::{kinds::container::ContainerSpec, name::ResourceId};
use reconcilers::{
    container::{ContainerReconciler, fixture::host},
    engine::{ContainerEngine, contract::full, docker::Docker, link::Link},
    observation::Observed,
    reconciler::{Reconciler, Target},
};
use serde_json::{Value, json};

use crate::{IMAGE, rig::Rig};

const SCHEMA: &str = include_str!("../../../schemas/agent-manifest.schema.json");

fn merged(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// The fields of a Container's spec.
fn fields() -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    schema["$defs"]["ContainerSpec"]["properties"].as_object().unwrap().keys().cloned().collect()
}

async fn every_field_is_set_and_stays(place: String, subnet: &str) {
    let rig = Rig::on(place.clone()).await;
    let name = |of: &str| format!("{}-{of}", rig.device.id);
    let mut set = full(false, &name("net"), &name("volume"), &format!("{subnet}.5"));
    // Podman leaves the timing of healthchecks to systemd, which need not be there: a container that is not to run does not wait for one.
    let healthcheck = set.as_object_mut().unwrap().remove("healthcheck").unwrap();
    let exec = json!({ "exec": { "command": ["true"] } });
    let full = merged(
        set,
        json!({
            "name": name("full"), "image": IMAGE, "pullPolicy": "IfNotPresent", "registryCredentials": "/etc/registry.json",
            "probes": { "readiness": exec, "liveness": exec }, "update": { "strategy": "StopFirst", "healthyWithin": "30s" }, "desired": "Running"
        }),
    );
    // What excludes something of the above; and rights that this machine may not have itself.
    let other = json!({ "name": name("other"), "image": IMAGE, "networkMode": "Host", "privileged": true, "desired": "Stopped", "healthcheck": healthcheck });
    let set: BTreeSet<_> =
        [&full, &other].iter().flat_map(|spec| spec.as_object().unwrap().keys().cloned()).collect();
    let left: Vec<_> = fields().into_iter().filter(|field| !set.contains(field)).collect();
    assert_eq!(left, ["annotations"], "neither engine here knows annotations");
    rig.apply_all(json!([
        { "id": "net", "kind": "ContainerNetwork", "spec": { "name": name("net"), "ipam": { "pools": [{ "subnet": format!("{subnet}.0/24") }] } } },
        { "id": "volume", "kind": "Volume", "spec": { "name": name("volume"), "onDelete": "Remove" } },
        { "id": "full", "kind": "Container", "dependsOn": ["net", "volume"], "spec": full },
        { "id": "other", "kind": "Container", "spec": other },
    ]))
    .await;
    rig.device.ready(&rig.fleet, 1).await;
    let born = async |of: &str| {
        let found = rig.engine.container(&name(of)).await.unwrap().unwrap();
        (found.id, found.state.started_at)
    };
    let before = [born("full").await, born("other").await];
    let link = Link::new(Docker::new(vec![place]), rig.device.id.clone());
    for (id, spec) in [("full", full), ("other", other)] {
        let (id, spec): (ResourceId, ContainerSpec) =
            (id.parse().unwrap(), serde_json::from_value(spec).unwrap());
        for look in 1..=100 {
            // One that remembers nothing reads all of it anew.
            let reconciler = ContainerReconciler::new(&host(), Arc::clone(&link));
            let target = Target { id: &id, wanted: Some(&spec), owned: None };
            let sight = reconciler.observe(&[target]).await.unwrap().remove(&id).unwrap();
            assert_eq!(sight.unwrap().drift(&spec), [], "look {look} at {id}");
        }
    }
    let status = rig.device.ready(&rig.fleet, 1).await;
    assert!(status.resources.values().all(|resource| resource.drift_count == 0), "{status:?}");
    assert_eq!([born("full").await, born("other").await], before);
    rig.clear().await;
}

#[tokio::test]
async fn every_field_is_set_and_stays_on_docker() {
    every_field_is_set_and_stays(parts::docker(), "10.91.41").await;
}

#[tokio::test]
async fn every_field_is_set_and_stays_on_podman() {
    every_field_is_set_and_stays(parts::podman(), "10.91.42").await;
}

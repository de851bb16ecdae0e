//! Every field of a spec, set by the agent on Docker and on Podman: it is as it was wanted, and stays so however often it is looked at.

use std::sync::Arc;

use e2e::parts;
use manifest_types::name::ResourceId;
use reconcilers::{
    container::{ContainerReconciler, fixture::host},
    container_network::ContainerNetworkReconciler,
    engine::{ContainerEngine, contract::full, docker::Docker, images::Images, link::Link},
    observation::Observed,
    reconciler::{Reconciler, Target},
    volume::VolumeReconciler,
};
use serde_json::{Value, json};

use crate::{IMAGE, rig::Rig};

const SCHEMA: &str = include_str!("../../../schemas/agent-manifest.schema.json");

fn merged(mut spec: Value, more: Value) -> Value {
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// The fields of a kind's spec that are in none of these.
fn left_out(kind: &str, specs: &[&Value]) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let is_set = |field: &String| specs.iter().any(|spec| spec.get(field).is_some());
    let fields = schema["$defs"][format!("{kind}Spec")]["properties"].as_object().unwrap().keys().cloned();
    fields.filter(|field| !is_set(field)).collect()
}

/// However often it is looked at by one who remembers nothing, it is as it was wanted.
async fn stays<R: Reconciler>(id: &str, spec: &Value, make: impl Fn() -> R) {
    let (id, spec): (ResourceId, R::Spec) =
        (id.parse().unwrap(), serde_json::from_value(spec.clone()).unwrap());
    for look in 1..=100 {
        let target = Target { id: &id, wanted: Some(&spec), owned: None };
        let sight = make().observe(&[target]).await.unwrap().remove(&id).unwrap();
        assert_eq!(sight.unwrap().drift(&spec), [], "look {look} at {id}");
    }
}

/// `subnet` and `six` begin the network's addresses.
async fn every_field_is_set_and_stays(place: String, subnet: &str, six: &str) {
    let rig = Rig::on(place.clone()).await;
    let name = |of: &str| format!("{}-{of}", rig.device.id);
    let mut set = full(false, &name("net"), &name("volume"), &format!("{subnet}.135"));
    // Podman leaves the timing of healthchecks to systemd, which need not be there: a container that is not to run does not wait for one.
    let healthcheck = set.as_object_mut().unwrap().remove("healthcheck").unwrap();
    let exec = json!({ "exec": { "command": ["true"] }, "timeout": "30s" });
    let made = std::path::Path::new("/var/tmp").join(name("made"));
    let created = json!({ "type": "Bind", "source": made, "target": "/mnt/made", "createSource": true });
    set["mounts"].as_array_mut().unwrap().push(created);
    // Nobody else has any such.
    let take_over = json!({ "labels": { "of": name("others") } });
    // Podman has no use for it.
    let is_podman = place == parts::podman();
    if !is_podman {
        set["domainname"] = json!("example");
    }
    let full = merged(
        set,
        json!({
            "name": name("full"), "image": IMAGE, "pullPolicy": "IfNotPresent", "registryCredentials": "/etc/registry.json",
            "initialEnv": { "BORN": "once" }, "takeOver": take_over, "probes": { "readiness": exec, "liveness": exec }, "update": { "strategy": "StopFirst", "healthyWithin": "30s" }, "desired": "Running"
        }),
    );
    // What excludes something of the above; and rights that this machine may not have itself.
    let other = json!({ "name": name("other"), "image": IMAGE, "networkMode": "Host", "privileged": true, "uts": "host", "userns": "host", "cgroup": "Host", "cgroupParent": "/holdfast", "desired": "Stopped", "healthcheck": healthcheck, "command": [], "workingDir": "/", "mounts": [{ "type": "Bind", "source": "/", "target": "/device", "readOnly": true }] });
    // Docker alone can.
    let guest = match is_podman {
        true => json!({ "name": name("guest"), "image": IMAGE, "desired": "Stopped" }),
        false => {
            json!({ "name": name("guest"), "image": IMAGE, "stopGracePeriod": "0s", "networkOf": name("full") })
        }
    };
    assert_eq!(
        left_out("Container", &[&full, &other, &guest]),
        ["annotations", "deviceRequests", "domainname", "networkOf", "runtime", "storageOpt"]
            .into_iter()
            .filter(|field| is_podman || !["domainname", "networkOf"].contains(field))
            .collect::<Vec<_>>(),
        "what the engines here do not know, or have only where the machine is made for it"
    );
    let net = json!({
        "name": name("net"), "driver": "bridge", "internal": false, "ipv6": true, "labels": { "tier": "front" }, "takeOver": take_over,
        "options": { "com.docker.network.driver.mtu": "1400" },
        "ipam": { "driver": "default", "pools": [
            { "subnet": format!("{subnet}.0/24"), "gateway": format!("{subnet}.1"), "ipRange": format!("{subnet}.128/25") },
            { "subnet": format!("{six}::/64"), "gateway": format!("{six}::1") }
        ] }
    });
    assert_eq!(left_out("ContainerNetwork", &[&net]), Vec::<String>::new());
    let volume = json!({
        "name": name("volume"), "driver": "local", "options": { "type": "tmpfs", "device": "tmpfs", "o": "mode=0700" },
        "labels": { "tier": "data" }, "onDelete": "Remove", "takeOver": take_over
    });
    assert_eq!(left_out("Volume", &[&volume]), Vec::<String>::new());
    rig.apply_all(json!([
        { "id": "net", "kind": "ContainerNetwork", "spec": net },
        { "id": "volume", "kind": "Volume", "spec": volume },
        { "id": "full", "kind": "Container", "dependsOn": ["net", "volume"], "spec": full },
        { "id": "other", "kind": "Container", "spec": other },
        { "id": "guest", "kind": "Container", "dependsOn": ["full"], "spec": guest },
    ]))
    .await;
    rig.device.ready(&rig.fleet, 1).await;
    assert!(made.is_dir(), "what a container sees is made where it is missing");
    let born = async |of: &str| {
        let found = rig.engine.container(&name(of)).await.unwrap().unwrap();
        (found.id, found.state.started_at)
    };
    let all = async || [born("full").await, born("other").await, born("guest").await];
    let before = all().await;
    let link = Link::new(Docker::new(vec![place]), rig.device.id.clone());
    for (id, spec) in [("full", &full), ("other", &other), ("guest", &guest)] {
        let anew =
            || ContainerReconciler::new(&host(), Arc::clone(&link), Images::new(&host(), Arc::clone(&link)));
        stays(id, spec, anew).await;
    }
    stays("net", &net, || ContainerNetworkReconciler::new(Arc::clone(&link))).await;
    stays("volume", &volume, || VolumeReconciler::new(Arc::clone(&link))).await;
    let status = rig.device.ready(&rig.fleet, 1).await;
    assert!(status.resources.values().all(|resource| resource.drift_count == 0), "{status:?}");
    assert_eq!(all().await, before);
    rig.clear().await;
    std::fs::remove_dir(made).unwrap();
}

#[tokio::test]
async fn every_field_is_set_and_stays_on_docker() {
    every_field_is_set_and_stays(parts::docker(), "10.91.41", "fd91:41").await;
}

#[tokio::test]
async fn every_field_is_set_and_stays_on_podman() {
    every_field_is_set_and_stays(parts::podman(), "10.91.42", "fd91:42").await;
}

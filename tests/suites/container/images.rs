//! Images that come from a registry and go when nothing needs them, on Docker and on Podman; a slow registry; a disk that is too small.

use std::time::Duration;

use e2e::{
    Cable, Device, DockerEngine, Fleet, NatsServer, Registry, agent::LONG, cable::State, fleet, parts, until,
};
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, contract::fresh, docker::Docker};
use serde_json::json;

use crate::{IMAGE, rig::Rig};

async fn images_are_removed_when_nothing_needs_them(place: String) {
    let registry = Registry::open().await;
    let names: Vec<_> = (1..=4).map(|version| format!("shop/web:{version}")).collect();
    for name in &names {
        registry.push_variant(&parts::docker(), IMAGE, name).await;
    }
    let rig = Rig::on(place).await;
    let there = async || {
        let mut there = Vec::new();
        for (version, name) in (1..).zip(&names) {
            if rig.engine.image(&registry.image(name)).await.unwrap().is_some() {
                there.push(version);
            }
        }
        there
    };
    for (generation, name) in (1..).zip(&names[..3]) {
        rig.apply(json!({ "image": registry.image(name) })).await;
        rig.device.ready(&rig.fleet, generation).await;
    }
    until("the present and the previous one are kept", LONG, async || there().await == [2, 3]).await;

    // Somebody else uses one, and has a name of their own for another.
    let theirs = rig.engine.image(&registry.image(&names[1])).await.unwrap().unwrap();
    let foreign = fresh("foreign");
    let spec = serde_json::from_value(json!({ "image": registry.image(&names[1]) })).unwrap();
    let new = reconcilers::engine::NewContainer { name: &foreign, spec: &spec, marks: &Default::default() };
    let container = rig.engine.create(&new).await.unwrap();
    rig.apply(json!({ "image": registry.image(&names[3]) })).await;
    let status = rig.device.ready(&rig.fleet, 4).await;
    let details = serde_json::to_value(status.resources.values().next().unwrap()).unwrap();
    let digest = details["details"]["imageDigest"].as_str().unwrap_or_default();
    assert!(digest.starts_with("sha256:"), "{details}");
    rig.clear().await;
    until("only what others use is there", LONG, async || there().await == [2]).await;
    assert_eq!(rig.engine.image(&theirs.id).await.unwrap().map(|image| image.id), Some(theirs.id));
    assert!(rig.engine.image(IMAGE).await.unwrap().is_some(), "what was not pulled stays");
    rig.engine.remove(&container).await.unwrap();
    rig.apply(json!({ "image": IMAGE })).await;
    until("it goes with the next change", LONG, async || there().await.is_empty()).await;
    rig.clear().await;
    assert!(rig.engine.image(IMAGE).await.unwrap().is_some(), "what was not pulled stays");
}

#[tokio::test]
async fn images_are_removed_when_nothing_needs_them_on_docker() {
    images_are_removed_when_nothing_needs_them(parts::docker()).await;
}

#[tokio::test]
async fn images_are_removed_when_nothing_needs_them_on_podman() {
    images_are_removed_when_nothing_needs_them(parts::podman()).await;
}

fn manifest(name: &str, image: &str) -> serde_json::Value {
    let spec = json!({ "name": name, "image": image, "networkMode": "None", "stopGracePeriod": "0s" });
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [{ "id": "web", "kind": "Container", "spec": spec }] })
}

#[tokio::test]
async fn how_far_a_pull_is_is_told_and_a_newer_manifest_does_not_wait_for_it() {
    let registry = Registry::open().await;
    registry.push_unknown(&parts::docker(), "shop/large:1", 40).await;
    let cable = Cable::to(registry.port()).await;
    cable.set(State::Slow);
    let rig = Rig::on(parts::docker()).await;
    let large = format!("127.0.0.1:{}/shop/large:1", cable.port());
    rig.apply(json!({ "image": large })).await;
    let pulling = |status: &AgentStatus| {
        let progress = status.resources.values().find_map(|resource| resource.progress.as_ref());
        progress.is_some_and(|told| told.done > 0 && told.total.is_some_and(|total| told.done < total))
    };
    rig.device.status(&rig.fleet, "the pull's progress is told".into(), pulling).await;
    rig.apply(json!({ "image": IMAGE })).await;
    rig.device.ready(&rig.fleet, 2).await;
    // Were it still pulled, it would be there now.
    cable.set(State::Whole);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(rig.engine.image(&large).await.unwrap().is_none(), "nobody pulls it any more");
    rig.clear().await;
}

/// Waits until the device tells that `reason` is why its container is not there.
async fn failed(device: &Device, fleet: &Fleet, generation: u64, reason: &str) -> String {
    let error = |status: &AgentStatus| {
        let web = status.resources.values().next().filter(|web| web.phase == Phase::Failed)?;
        let error = web.error.as_ref().filter(|error| error.reason == reason)?;
        (status.manifest_generation == generation).then(|| error.message.clone())
    };
    let what = format!("generation {generation} fails for {reason}");
    let status = device.status(fleet, what, |status| error(status).is_some()).await;
    error(&status).unwrap()
}

#[tokio::test]
async fn a_disk_that_is_too_small_for_an_image_is_told_and_not_filled() {
    let registry = Registry::open().await;
    registry.push_unknown(&parts::docker(), "shop/large:1", 64).await;
    registry.push_unknown(&parts::docker(), "shop/medium:1", 30).await;
    registry.push(&parts::docker(), IMAGE, "shop/web:1").await;
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let mut engine = DockerEngine::with_disk(48);
    engine.start().await;
    let device =
        Device::with_flags("pump-1", &["--nats-url", &server.url(), "--docker-host", &engine.address()]);
    let _registry = registry.serve_on_network_of(&engine);
    let _agent = engine.start_at_disk(device.command());
    let name = fresh("small");
    // Known beforehand: nothing is filled.
    fleet.apply(&device.id, &manifest(&name, &registry.image("shop/large:1"))).await;
    let told = failed(&device, &fleet, 1, "InsufficientStorage").await;
    assert!(told.contains("needs 65 MiB at least"), "{told}");
    // The download has room, and what is in it has not.
    fleet.apply(&device.id, &manifest(&name, &registry.image("shop/medium:1"))).await;
    let told = failed(&device, &fleet, 2, "InsufficientStorage").await;
    assert!(told.contains("no space left"), "{told}");
    // What has room is not kept from it.
    fleet.apply(&device.id, &manifest(&name, &registry.image("shop/web:1"))).await;
    tokio::time::timeout(Duration::from_secs(60), device.ready(&fleet, 3)).await.unwrap();
    let there = Docker::new(vec![engine.address()]).images().await.unwrap();
    assert_eq!(there.len(), 1, "{there:?}");
}

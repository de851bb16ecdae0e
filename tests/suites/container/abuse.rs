//! What somebody does to a container by hand, with the engine's own command line: it is told as drift, by its field, and mended.

use e2e::parts;
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, NewContainer, terms::Activity};
use serde_json::json;

use crate::{
    IMAGE,
    rig::{Rig, docker, variant},
};

/// The fields of the last drift that was told, and how many there were.
fn drift(status: &AgentStatus) -> (u64, Vec<String>) {
    let web = status.resources.values().next().unwrap();
    let fields = web.last_drift.iter().flat_map(|drift| &drift.fields);
    (web.drift_count, fields.map(|field| field.path.clone()).collect())
}

/// What is done (`NAME` is the container's name), the fields in which that is told (none: whichever), and whether the container survives the mending.
type Case = (&'static [&'static str], &'static [&'static str], bool);

async fn each_is_told_and_mended(place: String, cases: &[Case]) {
    let rig = Rig::on(place.clone()).await;
    let name = rig.device.id.to_string();
    let [image, moved] = [1, 2].map(|tag| format!("localhost/holdfast/{name}:{tag}"));
    let other = format!("other-{name}");
    docker(&place, &["tag", IMAGE, &image]).await;
    variant(&place, "LABEL moved=true", &moved).await;
    docker(&place, &["network", "create", "--internal", &other]).await;
    let limits = json!({ "memory": "64Mi" });
    rig.apply(json!({ "image": image, "networkMode": "Bridge", "resources": limits, "update": { "healthyWithin": "20s" } }))
        .await;
    rig.device.ready(&rig.fleet, 1).await;
    for (done, fields, survives) in cases {
        let before = rig.container().await.unwrap();
        let (count, _) = drift(&rig.fleet.status(&rig.device.id).await.unwrap());
        let named = |words: &[&str]| words.iter().map(|word| word.replace("NAME", &name)).collect::<Vec<_>>();
        let (done, fields) = (named(done), named(fields));
        docker(&place, &done.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let is_mended = |status: &AgentStatus| {
            let (now, told) = drift(status);
            now > count
                && (told == fields || fields.is_empty())
                && status.resources.values().all(|web| web.phase == Phase::Ready)
        };
        rig.device.status(&rig.fleet, format!("{done:?} is mended"), is_mended).await;
        let after = rig.container().await.unwrap();
        assert_eq!((after.id == before.id, after.state.activity), (*survives, Activity::Running), "{done:?}");
    }
    rig.clear().await;
    docker(&place, &["network", "rm", &other]).await;
    docker(&place, &["rmi", &image, &moved]).await;
}

#[tokio::test]
async fn what_is_done_by_hand_is_told_and_mended_on_docker() {
    let cases: &[Case] = &[
        (&["update", "--memory-swap", "512m", "NAME"], &["resources.memorySwap"], true),
        (&["update", "--memory", "32m", "--memory-swap", "64m", "NAME"], &["resources.memory"], true),
        (&["update", "--cpu-quota", "50000", "NAME"], &["resources.cpus"], false),
        (&["update", "--cpuset-cpus", "0", "NAME"], &["resources.cpuset"], false),
        (&["update", "--restart", "no", "NAME"], &["restartPolicy"], true),
        (&["network", "connect", "other-NAME", "NAME"], &["networks.other-NAME"], true),
        (&["network", "disconnect", "bridge", "NAME"], &["networks.bridge"], true),
        (&["pause", "NAME"], &["running"], true),
        (&["kill", "NAME"], &["running"], true),
        (&["rename", "NAME", "NAME-renamed"], &["beside", "container"], true),
        (&["tag", "localhost/holdfast/NAME:2", "localhost/holdfast/NAME:1"], &["image"], false),
        // It ends first, which may be seen or not.
        (&["rm", "--force", "NAME"], &[], false),
    ];
    each_is_told_and_mended(parts::docker(), cases).await;
}

#[tokio::test]
async fn what_is_done_by_hand_is_told_and_mended_on_podman() {
    let cases: &[Case] = &[
        (&["network", "connect", "other-NAME", "NAME"], &["networks.other-NAME"], true),
        (&["network", "disconnect", "podman", "NAME"], &["networks.bridge"], true),
        (&["pause", "NAME"], &["running"], true),
        (&["kill", "NAME"], &["running"], true),
        (&["rename", "NAME", "NAME-renamed"], &["beside", "container"], true),
        (&["tag", "localhost/holdfast/NAME:2", "localhost/holdfast/NAME:1"], &["image"], false),
        // It ends first, which may be seen or not.
        (&["rm", "--force", "NAME"], &[], false),
    ];
    each_is_told_and_mended(parts::podman(), cases).await;
}

async fn a_name_that_is_taken_is_a_conflict(place: String) {
    let rig = Rig::on(place).await;
    let spec = serde_json::from_value(json!({ "image": IMAGE, "networkMode": "None" })).unwrap();
    let new = NewContainer { name: rig.device.id.as_str(), spec: &spec, marks: &Default::default() };
    let theirs = rig.engine.create(&new).await.unwrap();
    rig.engine.start(&theirs).await.unwrap();
    let before = rig.container().await.unwrap();
    rig.apply(json!({})).await;
    let is_refused = |status: &AgentStatus| {
        let errors = status.resources.values().filter_map(|web| web.error.as_ref());
        errors.into_iter().any(|error| error.reason == "Conflict")
    };
    rig.device.status(&rig.fleet, "the conflict is told".into(), is_refused).await;
    assert_eq!(rig.container().await.unwrap(), before, "it is untouched");
    // What is not ours is not taken away with what is.
    rig.apply_all(json!([])).await;
    rig.device.ready(&rig.fleet, 2).await;
    assert_eq!(rig.container().await.unwrap(), before, "it is untouched");
    rig.apply(json!({})).await;
    rig.device.status(&rig.fleet, "the conflict is told".into(), is_refused).await;
    rig.engine.remove(&theirs).await.unwrap();
    rig.device.ready(&rig.fleet, 3).await;
    assert_ne!(rig.container().await.unwrap().id, theirs);
    rig.clear().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_on_docker() {
    a_name_that_is_taken_is_a_conflict(parts::docker()).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_on_podman() {
    a_name_that_is_taken_is_a_conflict(parts::podman()).await;
}

async fn another_id_keeps_the_container(place: String) {
    let rig = Rig::on(place).await;
    let spec =
        json!({ "name": rig.device.id, "image": IMAGE, "networkMode": "None", "stopGracePeriod": "0s" });
    let mut seen = Vec::new();
    for (generation, id) in [(1, "web"), (2, "front")] {
        rig.apply_all(json!([{ "id": id, "kind": "Container", "spec": spec }])).await;
        let status = rig.device.ready(&rig.fleet, generation).await;
        assert_eq!(status.resources.keys().map(|id| id.as_str()).collect::<Vec<_>>(), [id]);
        let found = rig.container().await.unwrap();
        seen.push((found.id, found.state.started_at));
    }
    assert_eq!(seen[0], seen[1]);
    // It is the new id that takes it away.
    rig.clear().await;
}

#[tokio::test]
async fn another_id_keeps_the_container_on_docker() {
    another_id_keeps_the_container(parts::docker()).await;
}

#[tokio::test]
async fn another_id_keeps_the_container_on_podman() {
    another_id_keeps_the_container(parts::podman()).await;
}

//! Updates that prove bad, on real engines: the old one is back, and how long it was away is told.

use std::time::Duration;

use e2e::{agent::LONG, parts, until};
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, contract::listed, terms::Activity};
use serde_json::json;

use crate::{
    IMAGE,
    rig::{Rig, docker, variant},
};

/// Waits until the update has failed and the old one is back.
async fn rolled_back(rig: &Rig) -> AgentStatus {
    let is_told = |status: &AgentStatus| {
        let errors = status.resources.values().filter_map(|resource| resource.error.as_ref());
        errors.map(|error| error.reason.as_str()).any(|reason| reason == "UpdateRolledBack")
    };
    rig.device.status(&rig.fleet, "the update is rolled back".into(), is_told).await
}

/// An update to an image that proves bad: `flaw` is what makes it so.
async fn a_bad_image_is_rolled_back(place: String, strategy: &str, flaw: &str) {
    let rig = Rig::on(place.clone()).await;
    let name = rig.device.id.to_string();
    let [good, bad] = ["good", "bad"].map(|tag| format!("localhost/holdfast/{name}:{tag}"));
    docker(&place, &["tag", IMAGE, &good]).await;
    variant(&place, flaw, &bad).await;
    let of = |image: &str| {
        json!({
            "image": image, "update": { "strategy": strategy, "healthyWithin": "10s" },
            "probes": { "readiness": { "exec": { "command": ["sh", "-c", "test -z \"$FLAW\""] }, "interval": "200ms" } }
        })
    };
    rig.apply(of(&good)).await;
    rig.device.ready(&rig.fleet, 1).await;
    let old = rig.container().await.unwrap();
    rig.apply(of(&bad)).await;
    let status = rolled_back(&rig).await;
    let error = status.resources.values().find_map(|resource| resource.error.as_ref()).unwrap();
    assert!(
        error.message.contains(&good) && error.message.contains(&bad),
        "both are named: {}",
        error.message
    );
    let back = rig.container().await.unwrap();
    assert_eq!((&back.id, back.state.activity), (&old.id, Activity::Running));
    let all = listed(&rig.engine).await;
    assert_eq!(all.iter().filter(|listed| listed.name.starts_with(&name)).count(), 1);
    if strategy == "StartFirst" {
        assert_eq!(back.state.started_at, old.state.started_at, "it never stopped");
    } else {
        let (ended, started) = (back.state.finished_at.unwrap(), back.state.started_at.unwrap());
        assert!(ended > old.state.started_at.unwrap() && started > ended, "it made room: {back:?}");
        eprintln!("{flaw}: the old one was away for {:#}", started.duration_since(ended));
    }

    // What failed is not tried again, and the old one is what is held.
    // Podman refuses it for a moment right after a start.
    until("somebody stops it", LONG, async || rig.engine.stop(&back.id, Duration::ZERO).await.is_ok()).await;
    let again = async || {
        let now = rig.container().await;
        now.is_some_and(|now| {
            now.id == old.id
                && now.state.activity == Activity::Running
                && now.state.started_at > back.state.started_at
        })
    };
    until("the old one runs again", LONG, again).await;
    rolled_back(&rig).await;
    rig.clear().await;
    docker(&place, &["rmi", &good, &bad]).await;
}

const FAILS: &str = r#"HEALTHCHECK --interval=1s --retries=1 CMD false"#;
const IS_NEVER_READY: &str = "ENV FLAW=yes";
const ENDS: &str = r#"CMD ["sh", "-c", "exit 3"]"#;

#[tokio::test]
async fn a_failing_healthcheck_brings_the_old_one_back_on_docker() {
    a_bad_image_is_rolled_back(parts::docker(), "StopFirst", FAILS).await;
}

#[tokio::test]
async fn with_start_first_a_failing_healthcheck_costs_nothing_on_docker() {
    a_bad_image_is_rolled_back(parts::docker(), "StartFirst", FAILS).await;
}

#[tokio::test]
async fn what_ends_at_once_brings_the_old_one_back_on_docker() {
    a_bad_image_is_rolled_back(parts::docker(), "StopFirst", ENDS).await;
}

#[tokio::test]
async fn what_ends_at_once_brings_the_old_one_back_on_podman() {
    a_bad_image_is_rolled_back(parts::podman(), "StopFirst", ENDS).await;
}

#[tokio::test]
async fn what_is_never_ready_brings_the_old_one_back_on_docker() {
    a_bad_image_is_rolled_back(parts::docker(), "StopFirst", IS_NEVER_READY).await;
}

#[tokio::test]
async fn what_is_never_ready_brings_the_old_one_back_on_podman() {
    a_bad_image_is_rolled_back(parts::podman(), "StopFirst", IS_NEVER_READY).await;
}

#[tokio::test]
async fn with_start_first_what_ends_at_once_costs_nothing_on_podman() {
    a_bad_image_is_rolled_back(parts::podman(), "StartFirst", ENDS).await;
}

async fn it_runs_when_it_is_wanted_to(place: String) {
    let rig = Rig::on(place).await;
    let wants = async |generation: u64, desired: &str, activity: Activity| {
        rig.apply(json!({ "desired": desired })).await;
        rig.device.ready(&rig.fleet, generation).await;
        let container = rig.container().await.unwrap();
        assert_eq!(container.state.activity, activity, "{desired}");
        container.id
    };
    let made = wants(1, "Stopped", Activity::Created).await;
    assert_eq!(wants(2, "Running", Activity::Running).await, made);
    assert_eq!(wants(3, "Stopped", Activity::Exited).await, made, "it is stopped, not replaced");
    rig.clear().await;
}

#[tokio::test]
async fn it_runs_when_it_is_wanted_to_on_docker() {
    it_runs_when_it_is_wanted_to(parts::docker()).await;
}

#[tokio::test]
async fn it_runs_when_it_is_wanted_to_on_podman() {
    it_runs_when_it_is_wanted_to(parts::podman()).await;
}

async fn a_crash_loop_is_told_with_what_it_printed(place: String) {
    let rig = Rig::on(place).await;
    // It lives for long enough to be seen alive.
    rig.apply(json!({ "command": ["sh", "-c", "echo there is no cheese >&2; sleep 1; exit 7"] })).await;
    let told = |status: &AgentStatus| {
        let errors = status.resources.values().filter_map(|resource| resource.error.as_ref());
        errors.into_iter().any(|error| {
            error.reason == "CrashLoop"
                && error.message.contains("code 7")
                && error.message.contains("no cheese")
        })
    };
    rig.device.status(&rig.fleet, "the crash loop is told".into(), told).await;
    // That it runs once more, for a moment, does not make it well.
    let lives = async || rig.container().await.map(|container| container.state.restarts).unwrap_or_default();
    let before = lives().await;
    until("it has lived twice more", LONG, async || {
        let status = rig.fleet.status(&rig.device.id).await.unwrap();
        let web = status.resources.values().next().unwrap();
        assert_eq!(web.phase, Phase::Failed, "{web:?}");
        let details = serde_json::to_value(&web.details).unwrap();
        assert_eq!(details["exitCode"], 7, "{details}");
        lives().await >= before + 2
    })
    .await;
    rig.clear().await;
}

#[tokio::test]
async fn a_crash_loop_is_told_with_what_it_printed_on_docker() {
    a_crash_loop_is_told_with_what_it_printed(parts::docker()).await;
}

#[tokio::test]
async fn a_crash_loop_is_told_with_what_it_printed_on_podman() {
    a_crash_loop_is_told_with_what_it_printed(parts::podman()).await;
}

/// `tells`: whether the engine says that it was for want of memory. Podman 4 does not where the kernel has the first generation of cgroups.
async fn what_ran_out_of_memory_is_told(place: String, tells: bool) {
    let rig = Rig::on(place).await;
    let eats = json!({
        "command": ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=100"],
        "resources": { "memory": "16Mi" }, "restartPolicy": "OnFailure", "maxRestarts": 2
    });
    rig.apply(eats).await;
    let told = |status: &AgentStatus| {
        let web = status.resources.values().next();
        let details = web.and_then(|web| serde_json::to_value(&web.details).ok()).unwrap_or_default();
        let is_told = !tells || details["oomKilled"] == true;
        is_told && details["exitCode"] == 137 && details["restarts"] == 2 && details["state"] == "exited"
    };
    let status = rig.device.status(&rig.fleet, "its end is told".into(), told).await;
    let web = status.resources.values().next().unwrap();
    let error = web.error.as_ref().unwrap();
    assert_eq!((web.phase, error.reason.as_str()), (Phase::Failed, "Exited"));
    assert!(!tells || error.message.contains("out of memory"), "{error:?}");
    rig.clear().await;
}

#[tokio::test]
async fn what_ran_out_of_memory_is_told_on_docker() {
    what_ran_out_of_memory_is_told(parts::docker(), true).await;
}

#[tokio::test]
async fn what_ran_out_of_memory_is_told_on_podman() {
    what_ran_out_of_memory_is_told(parts::podman(), false).await;
}

/// The old one has been stopped, and a newer manifest wants something that has to wait: what ran runs.
async fn superseded_while_nothing_runs_the_old_one_runs_again(place: String) {
    let rig = Rig::on(place).await;
    // It ends once there is a file.
    let sign = tempfile::TempDir::new().unwrap();
    let slow = |mode: &str| {
        json!({
            "mounts": [{ "type": "Bind", "source": sign.path(), "target": "/srv" }],
            "name": rig.device.id, "image": IMAGE, "networkMode": "None", "stopGracePeriod": "20s", "env": { "MODE": mode },
            "command": ["sh", "-c", "trap 'until [ -e /srv/go ]; do sleep 0.1; done; exit 0' TERM; while :; do sleep 0.1; done"]
        })
    };
    rig.apply_all(json!([{ "id": "web", "kind": "Container", "spec": slow("1") }])).await;
    rig.device.ready(&rig.fleet, 1).await;
    let old = rig.container().await.unwrap();
    rig.apply_all(json!([{ "id": "web", "kind": "Container", "spec": slow("2") }])).await;
    until("it is being stopped", LONG, async || rig.agent.stderr().contains("next=Stop(")).await;
    let missing = json!({ "id": "never", "kind": "File", "spec": { "path": "/nowhere/at/all", "content": { "inline": "x" } } });
    rig.apply_all(
        json!([missing, { "id": "web", "kind": "Container", "dependsOn": ["never"], "spec": slow("3") }]),
    )
    .await;
    let is_admitted = || rig.agent.stderr().contains("manifest admitted generation=3");
    until("the newer one is there", LONG, async || is_admitted()).await;
    std::fs::write(sign.path().join("go"), "").unwrap();
    until("what ran runs again", LONG, async || {
        rig.container().await.is_some_and(|now| {
            now.id == old.id
                && now.state.activity == Activity::Running
                && now.state.started_at > old.state.started_at
        })
    })
    .await;
    rig.clear().await;
}

#[tokio::test]
async fn superseded_while_nothing_runs_the_old_one_runs_again_on_docker() {
    superseded_while_nothing_runs_the_old_one_runs_again(parts::docker()).await;
}

#[tokio::test]
async fn superseded_while_nothing_runs_the_old_one_runs_again_on_podman() {
    superseded_while_nothing_runs_the_old_one_runs_again(parts::podman()).await;
}

//! Updates that prove bad, on real engines: the old one is back, and how long it was away is told.

use std::time::Duration;

use e2e::{agent::LONG, parts, until};
use jiff::Timestamp;
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, terms::Activity};
use serde_json::{Value, json};

use crate::rig::Rig;

/// Waits until the update has failed and the old one is back.
async fn rolled_back(rig: &Rig) -> AgentStatus {
    let is_told = |status: &AgentStatus| {
        let errors = status.resources.values().filter_map(|resource| resource.error.as_ref());
        errors.map(|error| error.reason.as_str()).any(|reason| reason == "UpdateRolledBack")
    };
    rig.device.status(&rig.fleet, "the update is rolled back".into(), is_told).await
}

/// A new one whose healthcheck fails, or that ends at once where healthchecks are not run.
async fn a_bad_update_comes_back(place: String, strategy: &str, bad: Value) {
    let rig = Rig::on(place).await;
    let update = json!({ "strategy": strategy, "healthyWithin": "10s" });
    rig.apply(json!({ "env": { "VERSION": "1" }, "update": update })).await;
    rig.device.ready(&rig.fleet, 1).await;
    let old = rig.container().await.unwrap();
    let mut new = json!({ "env": { "VERSION": "2" }, "update": update });
    new.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
    rig.apply(new).await;
    rolled_back(&rig).await;
    let back = rig.container().await.unwrap();
    assert_eq!((&back.id, back.state.activity), (&old.id, Activity::Running));
    let all = rig.engine.containers().await.unwrap();
    assert_eq!(all.iter().filter(|listed| listed.name.starts_with(rig.device.id.as_str())).count(), 1);
    if strategy == "StartFirst" {
        assert_eq!(back.state.started_at, old.state.started_at, "it never stopped");
    } else {
        let away = back
            .state
            .started_at
            .unwrap()
            .duration_since(back.state.finished_at.unwrap_or(Timestamp::UNIX_EPOCH));
        eprintln!("{strategy}: the old one was away for {away:#}");
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
}

fn failing_check() -> Value {
    json!({ "healthcheck": { "command": ["false"], "interval": "1s", "retries": 1 } })
}

fn ends_at_once() -> Value {
    json!({ "command": ["sh", "-c", "exit 3"] })
}

#[tokio::test]
async fn a_failing_healthcheck_brings_the_old_one_back_on_docker() {
    a_bad_update_comes_back(parts::docker(), "StopFirst", failing_check()).await;
}

#[tokio::test]
async fn with_start_first_a_failing_healthcheck_costs_nothing_on_docker() {
    a_bad_update_comes_back(parts::docker(), "StartFirst", failing_check()).await;
}

#[tokio::test]
async fn what_ends_at_once_brings_the_old_one_back_on_docker() {
    a_bad_update_comes_back(parts::docker(), "StopFirst", ends_at_once()).await;
}

#[tokio::test]
async fn what_ends_at_once_brings_the_old_one_back_on_podman() {
    a_bad_update_comes_back(parts::podman(), "StopFirst", ends_at_once()).await;
}

#[tokio::test]
async fn with_start_first_what_ends_at_once_costs_nothing_on_podman() {
    a_bad_update_comes_back(parts::podman(), "StartFirst", ends_at_once()).await;
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

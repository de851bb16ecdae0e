//! Probes that the agent runs, on real engines.

use std::time::Duration;

use e2e::{Device, NatsServer, agent::LONG, fleet, parts, until};
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, contract::fresh, docker::Docker};
use serde_json::json;

use crate::{IMAGE, rig::Rig};

async fn probes_gate_and_restart(place: String) {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let name = fresh("probed");
    let device = Device::with_flags(&name, &["--nats-url", &server.url(), "--docker-host", &place]);
    let engine = Docker::new(vec![place]);
    let _agent = device.start();
    let spec = json!({
        "name": name, "image": IMAGE, "stopGracePeriod": "0s", "restartPolicy": "No",
        "command": ["sh", "-c", "mkdir -p /srv && touch /tmp/alive && exec httpd -f -p 8080 -h /srv"],
        "probes": {
            "readiness": { "http": { "port": 8080, "path": "/ready" }, "interval": "200ms" },
            "liveness": { "exec": { "command": ["test", "-f", "/tmp/alive"] }, "interval": "200ms", "timeout": "5s", "initialDelay": "1s" }
        }
    });
    let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [{ "id": "web", "kind": "Container", "spec": spec }] });
    fleet.apply(&device.id, &manifest).await;
    let stands = |phase: Phase, reason: &'static str| {
        move |status: &AgentStatus| {
            status.resources.values().any(|resource| {
                let told =
                    resource.error.as_ref().map(|error| error.reason.as_str()).or(resource.reason.as_deref());
                resource.phase == phase && told.unwrap_or_default() == reason
            })
        }
    };
    until("it is started", LONG, async || {
        engine.container(&name).await.unwrap().is_some_and(|own| own.state.activity.is_up())
    })
    .await;
    device
        .status(&fleet, "it runs, and is not ready yet".into(), stands(Phase::Reconciling, "Starting"))
        .await;
    let run = async |line: &str| {
        let command = ["sh", "-c", line].map(str::to_owned);
        assert_eq!(engine.run_in(&name, &command).await.unwrap(), 0, "{line}");
    };
    run("touch /srv/ready").await;
    device.ready(&fleet, 1).await;
    run("rm /srv/ready").await;
    device.status(&fleet, "it is not ready any more".into(), stands(Phase::Failed, "NotReady")).await;
    run("touch /srv/ready").await;
    device.ready(&fleet, 1).await;

    let before = engine.container(&name).await.unwrap().unwrap();
    run("rm /tmp/alive").await;
    let is_restarted = async || {
        let now = engine.container(&name).await.unwrap();
        now.is_some_and(|now| now.id == before.id && now.state.started_at > before.state.started_at)
    };
    until("what is dead is restarted", LONG, is_restarted).await;
    // The engine knows of the restart before the status does.
    let was_dead = |status: &AgentStatus| {
        let web = status.resources.values().next();
        let drift = web.and_then(|web| web.last_drift.as_ref());
        drift.is_some_and(|drift| drift.fields[0].path == "alive")
    };
    device.status(&fleet, "it was not alive".into(), was_dead).await;
    device.ready(&fleet, 1).await;
    fleet
        .apply(&device.id, &json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [] }))
        .await;
    tokio::time::timeout(Duration::from_secs(60), device.ready(&fleet, 2)).await.unwrap();
}

#[tokio::test]
async fn probes_gate_and_restart_on_docker() {
    probes_gate_and_restart(parts::docker()).await;
}

#[tokio::test]
async fn probes_gate_and_restart_on_podman() {
    probes_gate_and_restart(parts::podman()).await;
}

async fn a_port_that_opens_late_is_waited_for(place: String) {
    let rig = Rig::on(place).await;
    rig.apply(json!({
        "networkMode": "Bridge", "command": ["sh", "-c", "while [ ! -e /tmp/open ]; do sleep 0.1; done; exec httpd -f -p 8080"],
        "probes": { "readiness": { "tcp": { "port": 8080 }, "interval": "200ms" } }
    }))
    .await;
    let waits = |status: &AgentStatus| {
        let reasons =
            status.resources.values().map(|web| (web.phase, web.reason.as_deref().unwrap_or_default()));
        reasons.into_iter().any(|told| told == (Phase::Reconciling, "Starting"))
    };
    rig.device.status(&rig.fleet, "it is waited for".into(), waits).await;
    let web = rig.container().await.unwrap();
    let command = ["touch", "/tmp/open"].map(str::to_owned);
    until("it opens", LONG, async || rig.engine.run_in(&web.id, &command).await.is_ok_and(|code| code == 0))
        .await;
    rig.device.ready(&rig.fleet, 1).await;
    rig.clear().await;
}

#[tokio::test]
async fn a_port_that_opens_late_is_waited_for_on_docker() {
    a_port_that_opens_late_is_waited_for(parts::docker()).await;
}

#[tokio::test]
async fn a_port_that_opens_late_is_waited_for_on_podman() {
    a_port_that_opens_late_is_waited_for(parts::podman()).await;
}

/// A program that hangs is not begun again beside itself.
async fn a_probe_that_hangs_is_one(place: String) {
    let rig = Rig::on(place).await;
    let hangs = json!({ "exec": { "command": ["sleep", "7777"] }, "interval": "100ms", "timeout": "100ms" });
    let counts = json!({ "exec": { "command": ["sh", "-c", "echo >> /tmp/asked"] }, "interval": "100ms", "timeout": "30s" });
    rig.apply(json!({ "command": ["sleep", "10000"], "probes": { "readiness": hangs, "liveness": counts } }))
        .await;
    let agrees = async |line: &str| {
        let Some(web) = rig.container().await else { return false };
        let line = ["sh", "-c", line].map(str::to_owned);
        rig.engine.run_in(&web.id, &line).await.is_ok_and(|code| code == 0)
    };
    until("it is asked often", LONG, async || agrees("test $(wc -l < /tmp/asked) -gt 20").await).await;
    assert!(agrees("test $(ps | grep -c '[s]leep 7777') -eq 1").await);
    rig.clear().await;
}

#[tokio::test]
async fn a_probe_that_hangs_is_one_on_docker() {
    a_probe_that_hangs_is_one(parts::docker()).await;
}

#[tokio::test]
async fn a_probe_that_hangs_is_one_on_podman() {
    a_probe_that_hangs_is_one(parts::podman()).await;
}

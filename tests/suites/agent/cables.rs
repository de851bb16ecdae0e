//! Links that are slow, cut for long, or silently dead.

use std::time::Duration;

use e2e::{Cable, Device, Fleet, NatsServer, Running, agent::LONG, cable::State, fleet, until};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::files;

/// A device at the end of a cable, on which generation 1 is Ready.
struct Wired {
    _server: NatsServer,
    fleet: Fleet,
    cable: Cable,
    device: Device,
    agent: Running,
}

async fn wired(flags: &[&str]) -> Wired {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let cable = Cable::to(server.port()).await;
    let device = Device::with_flags("pump-1", &[&["--nats-url", &cable.url()], flags].concat());
    let agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "1")])).await;
    device.ready(&fleet, 1).await;
    Wired { _server: server, fleet, cable, device, agent }
}

#[tokio::test]
async fn more_heartbeats_than_any_queue_holds_are_missed_and_the_status_still_arrives() {
    let Wired { _server, fleet, cable, device, agent: _agent } = wired(&["--heartbeat", "1"]).await;
    cable.set(State::Cut);
    // As many beats as half an hour has at the usual pace and more: the client holds 64 requests, the sink 8 orders.
    tokio::time::sleep(Duration::from_secs(90)).await;
    fleet.apply(&device.id, &files(&[("/etc/a", "2")])).await;
    cable.set(State::Whole);
    device.ready(&fleet, 2).await;
}

#[tokio::test]
async fn a_cut_that_lasts_loses_nothing() {
    let Wired { _server, fleet, cable, device, agent } = wired(&[]).await;
    cable.set(State::Cut);
    until("the loss is noticed", LONG, async || agent.stderr().contains("connection to NATS is lost")).await;
    for generation in 2..=40 {
        fleet.apply(&device.id, &files(&[("/etc/a", &generation.to_string())])).await;
    }
    std::fs::write(device.path("/etc/a"), "changed").unwrap();
    until("drift is repaired without a link", LONG, async || device.read("/etc/a").as_deref() == Some("1"))
        .await;
    cable.set(State::Whole);
    let status = device.ready(&fleet, 40).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("40"));
    assert_eq!(status.resources.values().next().unwrap().drift_count, 1, "what happened meanwhile is told");
}

#[tokio::test]
async fn a_link_that_is_silently_dead_is_noticed_and_made_anew() {
    let Wired { _server, fleet, cable, device, agent } = wired(&[]).await;
    cable.set(State::Silent);
    fleet.apply(&device.id, &files(&[("/etc/a", "2")])).await;
    // Two pings, twenty seconds apart, that nobody answers.
    let limit = Duration::from_secs(120);
    until("the silence is noticed", limit, async || agent.stderr().contains("connection to NATS is lost"))
        .await;
    cable.set(State::Whole);
    device.ready(&fleet, 2).await;
}

#[tokio::test]
async fn a_slow_consumer_ends_with_the_last_manifest() {
    const LAST: u64 = 3000;
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "1")])).await;
    device.ready(&fleet, 1).await;
    agent.signal(Signal::SIGSTOP);
    let client = server.client().await;
    for generation in 2..=LAST {
        let mut manifest = files(&[("/etc/a", &generation.to_string())]);
        manifest["generation"] = json!(generation);
        client.publish("$KV.fleet.desired-state.pump-1", manifest.to_string().into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let all = async || fleet.desired(&device.id).await.is_some_and(|entry| entry.revision >= LAST);
    until("the server has all of them", LONG, all).await;
    agent.signal(Signal::SIGCONT);
    device.ready(&fleet, LAST).await;
    assert_eq!(device.read("/etc/a"), Some(LAST.to_string()));
    assert!(agent.stderr().contains("slow consumer"), "the test makes messages overflow");
}

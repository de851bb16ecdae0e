//! Two agents of one id: one is fenced, neither thrashes, and the other takes over when it ends.

use std::time::Duration;

use e2e::{Device, NatsServer, fleet};
use manifest_types::status::AgentStatus;

use crate::files;

#[tokio::test]
async fn of_two_agents_of_one_id_one_is_fenced() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let flags = ["--nats-url", &server.url(), "--heartbeat", "1", "--takeover-after", "20"];
    let device = Device::with_flags("pump-1", &flags);
    let _first = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "1")])).await;
    let status = device.ready(&fleet, 1).await;
    let first = status.instance_id.clone();

    let (state, socket) = (device.home().join("state-2"), device.home().join("api-2.sock"));
    let mut second = device.command_in(&state, &socket).start();
    let by_another = |status: &AgentStatus| status.instance_id != first;
    device.status(&fleet, "the second claims the key".into(), by_another).await;
    fleet.apply(&device.id, &files(&[("/etc/a", "2")])).await;
    let status = device.ready(&fleet, 2).await;
    assert_ne!(status.instance_id, first, "the first is fenced and says nothing");
    let revision = fleet.states.entry("actual-state.pump-1").await.unwrap().unwrap().revision;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let later = fleet.states.entry("actual-state.pump-1").await.unwrap().unwrap().revision;
    assert_eq!(later, revision, "neither thrashes");

    second.kill();
    let taken_over =
        device.status(&fleet, "the first takes over".into(), |status| status.instance_id == first);
    assert_eq!(taken_over.await.manifest_generation, 2);
}

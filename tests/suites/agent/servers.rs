//! Servers that are late, go away and come back, with their store or an empty one.

use std::time::Duration;

use async_nats::jetstream::kv;
use control_plane_sim::{
    manifest_file::{self, Reading},
    publish,
};
use e2e::{Cluster, Device, NatsServer, Store, agent::LONG, fleet, until, until_some};
use manifest_types::status::AgentStatus;

use crate::files;

#[tokio::test]
async fn the_agent_may_start_before_the_server_has_buckets() {
    let server = NatsServer::start().await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let fleet = fleet(&server).await;
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    device.ready(&fleet, 1).await;
}

#[tokio::test]
async fn the_agent_may_start_before_the_server() {
    let mut server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    server.kill();
    let _agent = device.start();
    server.restart(Store::Kept).await;
    device.ready(&fleet, 1).await;
}

#[tokio::test]
async fn offline_the_device_converges_on_its_ledger() {
    let mut server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    device.ready(&fleet, 1).await;
    assert!(agent.stop(LONG).await.success());
    server.kill();
    std::fs::write(device.path("/etc/a"), "changed while nobody looked").unwrap();
    let _agent = device.start();
    until("the file is right again", LONG, async || device.read("/etc/a").as_deref() == Some("a")).await;
    server.restart(Store::Kept).await;
    let drifted = |status: &AgentStatus| status.resources.values().any(|resource| resource.drift_count == 1);
    device.status(&fleet, "the drift is told once there is a server".into(), drifted).await;
}

#[tokio::test]
async fn a_server_that_comes_back_finds_its_device() {
    for store in [Store::Kept, Store::Emptied] {
        let mut server = NatsServer::start().await;
        let before = fleet(&server).await;
        let device = Device::new(&server, "pump-1");
        let _agent = device.start();
        before.apply(&device.id, &files(&[("/etc/a", "1")])).await;
        device.ready(&before, 1).await;
        server.kill();
        server.restart(store).await;
        let fleet = fleet(&server).await;
        // With an empty store the last status says what the generations were: the device tells it again.
        device.ready(&fleet, 1).await;
        fleet.apply(&device.id, &files(&[("/etc/a", "2")])).await;
        device.ready(&fleet, 2).await;
        assert_eq!(device.read("/etc/a").as_deref(), Some("2"));
    }
}

#[tokio::test]
async fn a_status_fits_into_a_bucket_that_takes_little_at_once() {
    let server = NatsServer::start().await;
    let jetstream = async_nats::jetstream::new(server.client().await);
    let small = kv::Config {
        bucket: "fleet".into(),
        history: 16,
        max_value_size: 16 * 1024,
        ..kv::Config::default()
    };
    jetstream.create_key_value(small).await.unwrap();
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let many: Vec<_> = (0..100).map(|number| (format!("/etc/{number}"), "x")).collect();
    let many: Vec<_> = many.iter().map(|(path, content)| (path.as_str(), *content)).collect();
    fleet.apply(&device.id, &files(&many)).await;
    let status = device.ready(&fleet, 1).await;
    assert!(
        !status.omitted.is_empty() || status.resources.values().all(|own| own.details.is_none()),
        "{status:?}"
    );
}

#[tokio::test]
async fn without_republish_the_key_is_watched() {
    let mut server = NatsServer::start().await;
    let client = server.client().await;
    let jetstream = async_nats::jetstream::new(client);
    for bucket in ["fleet", "fleet-heartbeat"] {
        let config = kv::Config { bucket: bucket.into(), history: 16, ..kv::Config::default() };
        jetstream.create_key_value(config).await.unwrap();
    }
    let address = control_plane_sim::link::Address::new(server.url());
    let link = control_plane_sim::link::Link::connect(&address).await.unwrap();
    let fleet = e2e::Fleet {
        states: link.fleet().await.unwrap(),
        heartbeats: link.heartbeats().await.unwrap(),
        link,
    };
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    for generation in 1..4 {
        fleet.apply(&device.id, &files(&[("/etc/a", &generation.to_string())])).await;
        device.ready(&fleet, generation).await;
    }
    server.kill();
    server.restart(Store::Kept).await;
    fleet.apply(&device.id, &files(&[("/etc/a", "after the restart")])).await;
    device.ready(&fleet, 4).await;
}

#[tokio::test]
async fn a_cluster_may_lose_any_of_its_servers() {
    let mut cluster = Cluster::start().await;
    let fleet = cluster.fleet().await;
    let device = Device::with_flags("pump-1", &["--nats-url", &cluster.url()]);
    let _agent = device.start();
    let mut generation = fleet.apply(&device.id, &files(&[("/etc/a", "0")])).await.generation.get();
    device.ready(&fleet, generation).await;
    for round in 1..=3 {
        let leader = cluster.leader(&fleet).await;
        cluster.servers[leader].kill();
        let wanted = files(&[("/etc/a", &round.to_string())]);
        generation = until_some("the two that are left elect a leader", LONG, async || {
            let reading = Reading { agent: Some(device.id.clone()), unknown_kinds: true };
            let checked = manifest_file::check(wanted.clone(), &reading).unwrap();
            publish::publish(&fleet.link, &checked, false).await.ok()
        })
        .await
        .generation
        .get();
        device.ready_at_last(&fleet, generation).await;
        assert_eq!(device.read("/etc/a").as_deref(), Some(round.to_string().as_str()));
        cluster.servers[leader].restart(Store::Kept).await;
    }
}

#[tokio::test]
async fn a_server_killed_again_and_again_while_manifests_change_is_outlived() {
    let mut server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    for round in 1..=20_u64 {
        let content = format!("round {round}");
        fleet.apply(&device.id, &files(&[("/etc/a", &content), ("/etc/b", &content)])).await;
        // A moment within what a change takes; chance is the scheduler's.
        tokio::time::sleep(Duration::from_micros(round * 731 % 8000)).await;
        server.kill();
        server.restart(Store::Kept).await;
        device.ready_at_last(&fleet, round).await;
        assert_eq!(device.read("/etc/b"), Some(content));
    }
}

#[tokio::test]
async fn a_server_that_loses_its_store_again_and_again_is_outlived() {
    let mut server = NatsServer::start().await;
    fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    for round in 1..=10_u64 {
        let fleet = fleet(&server).await;
        if round > 1 {
            // The status that the device tells again says which generation comes next.
            device.ready(&fleet, round - 1).await;
        }
        let content = format!("round {round}");
        fleet.apply(&device.id, &files(&[("/etc/a", &content)])).await;
        if round % 2 == 0 {
            device.ready(&fleet, round).await;
        } else {
            until("the manifest is taken up", LONG, async || device.read("/etc/a") == Some(content.clone()))
                .await;
        }
        server.kill();
        server.restart(Store::Emptied).await;
        assert_eq!(device.read("/etc/a"), Some(content));
    }
}

#[tokio::test]
async fn a_bucket_made_anew_under_a_standing_connection_is_noticed() {
    let server = NatsServer::start().await;
    let before = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    for generation in 1..=5 {
        before.apply(&device.id, &files(&[("/etc/a", &generation.to_string())])).await;
        device.ready(&before, generation).await;
    }
    before.jetstream().delete_key_value("fleet").await.unwrap();
    let fleet = fleet(&server).await;
    let mut next = files(&[("/etc/a", "anew")]);
    next["generation"] = serde_json::json!(6);
    fleet.put_desired(&device.id, next.to_string()).await;
    device.ready(&fleet, 6).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("anew"));
}

#[tokio::test]
async fn a_server_that_goes_back_in_time_is_followed() {
    let mut server = NatsServer::start().await;
    let before = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    before.apply(&device.id, &files(&[("/etc/a", "1")])).await;
    device.ready(&before, 1).await;
    server.set_store_aside().await;
    let fleet = fleet(&server).await;
    for generation in 2..=4 {
        fleet.apply(&device.id, &files(&[("/etc/a", &generation.to_string())])).await;
        device.ready(&fleet, generation).await;
    }
    // What was acknowledged since is gone; the stream's numbers begin again where it was.
    server.restart(Store::AsSetAside).await;
    let tells = |status: &AgentStatus| status.manifest_generation == 4;
    device
        .status(&fleet, "the device tells what it holds, not what the server remembers".into(), tells)
        .await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("4"));
    fleet.apply(&device.id, &files(&[("/etc/a", "5")])).await;
    device.ready(&fleet, 5).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("5"));
}

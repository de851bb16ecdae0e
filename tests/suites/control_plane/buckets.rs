use std::time::Duration;

use async_nats::jetstream::{self, kv};
use e2e::{ControlPlane, NatsServer};
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use super::{apply, manifest, ready};

#[tokio::test]
async fn init_makes_both_buckets_once() {
    let server = NatsServer::start().await;
    let control = ControlPlane::new(&server);
    assert_eq!(control.run(["init"]).await.printed(), "fleet: created\nfleet-heartbeat: created\n");
    assert_eq!(
        control.run(["init"]).await.printed(),
        "fleet: already there\nfleet-heartbeat: already there\n"
    );
    let told = control.run(["init", "-o", "json"]).await.json();
    assert_eq!(told[0], json!({ "bucket": "fleet", "created": false, "differences": [] }));

    let jetstream = jetstream::new(server.client().await);
    let fleet = jetstream.get_stream("KV_fleet").await.unwrap();
    let config = &fleet.cached_info().config;
    assert_eq!(config.max_messages_per_subject, 16);
    assert!(config.allow_direct);
    let heartbeats = jetstream.get_stream("KV_fleet-heartbeat").await.unwrap();
    assert_eq!(heartbeats.cached_info().config.max_age.as_secs(), 90);
}

#[tokio::test]
async fn a_manifest_is_republished_to_plain_subscribers() {
    let (server, control) = ready().await;
    let client = server.client().await;
    let mut subscriber = client.subscribe("holdfast.fleet.desired-state.pump-17").await.unwrap();
    client.flush().await.unwrap();
    apply(&control, &manifest(&["a"])).await;
    let message = timeout(Duration::from_secs(20), subscriber.next()).await.unwrap().unwrap();
    assert_eq!(message.headers.unwrap().get("Nats-Sequence").unwrap().as_str(), "1");
    let value: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(value["generation"], 1);
}

#[tokio::test]
async fn a_bucket_that_differs_is_told_and_left_alone() {
    let server = NatsServer::start().await;
    let control = ControlPlane::new(&server);
    let jetstream = jetstream::new(server.client().await);
    let config = kv::Config { bucket: "fleet".to_owned(), history: 3, ..kv::Config::default() };
    jetstream.create_key_value(config).await.unwrap();
    let told = control.run(["init"]).await.failed(1);
    assert!(
        told.contains("fleet: differs\n  history: is 3, wanted 16\n  republish: is none, wanted "),
        "{told}"
    );
    assert!(told.contains("fleet-heartbeat: created"), "the other one is made: {told}");
    let fleet = jetstream.get_stream("KV_fleet").await.unwrap();
    assert_eq!(fleet.cached_info().config.max_messages_per_subject, 3);
}

#[tokio::test]
async fn buckets_may_have_other_names() {
    let server = NatsServer::start().await;
    let control = ControlPlane::new(&server);
    let names = ["--bucket", "plant", "--heartbeat-bucket", "plant-beats"];
    let told = control.run([&names[..], &["init", "--storage", "memory"]].concat()).await.printed();
    assert_eq!(told, "plant: created\nplant-beats: created\n");
    let jetstream = jetstream::new(server.client().await);
    let config = jetstream.get_stream("KV_plant").await.unwrap().cached_info().config.clone();
    assert_eq!(config.storage, jetstream::stream::StorageType::Memory);
    assert_eq!(config.republish.unwrap().destination, "holdfast.plant.desired-state.>");
}

//! The four ways in which a service is replaced: what comes after what, and what is left.

use e2e::{Registry, agent::LONG, parts, until};
use reconcilers::engine::ContainerEngine;
use serde_json::{Value, json};

use super::Rig;
use crate::IMAGE;

fn service(image: &str, strategy: &str, command: &str) -> Value {
    let labels =
        json!({ "io.balena.update.strategy": strategy, "io.balena.update.handover-timeout": "1500" });
    let service = json!({ "image": image, "command": ["sh", "-c", command], "labels": labels, "stop_grace_period": 0, "network_mode": "none" });
    json!({ "services": { "main": service } })
}

/// How a service is replaced by one that runs beside it at first. Whether the new one is waited for once more depends on how long that took.
const HAND_OVER: [&str; 7] = ["Create", "Start", "AwaitHandOver", "Rename", "Stop", "Remove", "Done"];

fn but_for_waits(mut moves: Vec<String>) -> Vec<String> {
    moves.retain(|next| next != "Await");
    moves
}

const RESTS: &str = "exec sleep 10000";

impl Rig {
    /// The moves that the agent has made since it had told so much, each sort in a row once.
    fn moves(&self, told: usize) -> Vec<String> {
        let log = self.agent.stderr();
        let lines = log[told..].lines().filter_map(|line| line.split("next=").nth(1));
        let mut moves: Vec<String> =
            lines.map(|next| next.split('(').next().unwrap().trim().to_owned()).collect();
        moves.dedup();
        moves
    }

    /// Has a fleet of one service replaced in some way: the moves.
    async fn replaced(&self, release: Value) -> Vec<String> {
        let told = self.agent.stderr().len();
        let commit = self.cloud.release(release).await;
        self.poll().await;
        self.cloud.runs(&commit).await;
        self.moves(told)
    }
}

#[tokio::test]
async fn each_strategy_has_its_order() {
    let registry = Registry::open().await;
    let mut images = Vec::new();
    for tag in 1..=5 {
        let name = format!("shop/strategies:{tag}");
        registry.push_variant(&parts::docker(), IMAGE, &name).await;
        images.push(registry.image(&name));
    }
    let rig = Rig::on(&parts::docker()).await;
    let has_image = async |image: &str| rig.engine.image(image).await.unwrap().is_some();
    let first = rig.replaced(service(&images[0], "download-then-kill", RESTS)).await;
    // Where the image is there before, that is not the container's work.
    assert_eq!(first, ["Create", "Start", "Done"]);

    let moves = rig.replaced(service(&images[1], "download-then-kill", RESTS)).await;
    assert_eq!(moves, ["Create", "Stop", "Rename", "Start", "Await", "Remove", "Done"]);
    let moves = rig.replaced(service(&images[2], "kill-then-download", RESTS)).await;
    assert_eq!(moves, ["Stop", "Pull", "Create", "Rename", "Start", "Await", "Remove", "Done"]);
    let moves = rig.replaced(service(&images[3], "delete-then-download", RESTS)).await;
    assert_eq!(moves, ["Stop", "Remove", "RemoveImage", "Pull", "Create", "Start", "Done"]);
    assert!(!has_image(&images[2]).await && has_image(&images[3]).await);

    // The new one says that it has taken over; until then both run.
    let says = "sleep 1; touch /tmp/balena/handover-complete; exec sleep 10000";
    let moves = rig.replaced(service(&images[4], "hand-over", says)).await;
    assert_eq!(but_for_waits(moves), HAND_OVER);
    // One that says nothing takes over after its time.
    let moves = rig.replaced(service(&images[4], "hand-over", "exec sleep 10001")).await;
    assert_eq!(but_for_waits(moves), HAND_OVER);
    assert_eq!(rig.containers().await.len(), 1);

    // An image that cannot be had: what was stopped for it runs again.
    let commit = rig
        .cloud
        .release(service(&registry.image("shop/strategies:none"), "kill-then-download", RESTS))
        .await;
    rig.poll().await;
    rig.cloud.told("the failure", |told| told["updates"][&commit] == "aborted").await;
    until("the old one runs again", LONG, async || rig.agrees("main", "true").await).await;
    rig.clear().await;
}

#[tokio::test]
async fn no_service_is_stopped_before_the_images_of_all_are_there() {
    let registry = Registry::open().await;
    let name = |service: &str, tag: u8| format!("shop/{service}:{tag}");
    for (service, tag) in [("one", 1), ("two", 1), ("one", 2)] {
        registry.push_variant(&parts::docker(), IMAGE, &name(service, tag)).await;
    }
    let release = |tag: u8| {
        let service = |service: &str| json!({ "image": registry.image(&name(service, tag)), "command": "sleep 10000", "stop_grace_period": 0, "network_mode": "none" });
        json!({ "services": { "one": service("one"), "two": service("two") } })
    };
    let rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(release(1)).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let runs = rig.containers().await;

    // One that cannot be had keeps all as it is.
    let second = rig.cloud.release(release(2)).await;
    rig.poll().await;
    let aborted = rig.cloud.told("the failure", |told| told["updates"][&second] == "aborted").await;
    assert_eq!(aborted["running"], first.as_str());
    let has = async |name: String| rig.engine.image(&registry.image(&name)).await.unwrap().is_some();
    until("the image that can be had is there", LONG, async || has(name("one", 2)).await).await;
    let both_wait = async || {
        let Some(status) = rig.told(&["status"]).await else { return false };
        ["one", "two"].iter().all(|service| {
            status["resources"][format!("{}.{service}", rig.cloud.fleet)]["reason"] == "Dependencies"
        })
    };
    until("both wait", LONG, both_wait).await;
    assert_eq!(rig.containers().await, runs);

    // A lock keeps none away.
    assert!(rig.agrees("one", "touch /tmp/balena/updates.lock").await);
    registry.push_variant(&parts::docker(), IMAGE, &name("two", 2)).await;
    let retried = rig.told(&["retry", &format!("{}.image.two", rig.cloud.fleet)]).await;
    assert!(retried.is_some(), "a person need not wait for the next try");
    let downloaded = rig.cloud.told("the download", |told| told["updates"][&second] == "downloaded").await;
    assert_eq!(downloaded["running"], first.as_str());
    assert!(has(name("two", 2)).await);
    assert_eq!(rig.containers().await, runs);
    assert!(rig.agrees("one", "rm /tmp/balena/updates.lock").await);
    rig.cloud.runs(&second).await;
    rig.clear().await;
}

#[tokio::test]
async fn a_service_that_is_renamed_runs_until_the_image_of_the_new_one_is_there() {
    let registry = Registry::open().await;
    let release = |service: &str| {
        let image = registry.image(&format!("shop/{service}:1"));
        let service_of = json!({ "image": image, "command": "sleep 10000", "stop_grace_period": 0, "network_mode": "none" });
        json!({ "services": { service: service_of } })
    };
    registry.push_variant(&parts::docker(), IMAGE, "shop/old:1").await;
    let rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(release("old")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let runs = rig.containers().await;
    let second = rig.cloud.release(release("new")).await;
    rig.poll().await;
    let told = rig.cloud.told("the failure", |told| told["updates"][&second] == "aborted").await;
    assert_eq!(
        (&told["running"], &told["installs"][&first]["old"]["status"]),
        (&json!(first), &json!("Running"))
    );
    assert_eq!(rig.containers().await, runs);
    registry.push_variant(&parts::docker(), IMAGE, "shop/new:1").await;
    assert!(rig.told(&["retry", &format!("{}.image.new", rig.cloud.fleet)]).await.is_some());
    rig.cloud.runs(&second).await;
    assert_eq!(rig.containers().await.keys().collect::<Vec<_>>(), ["new"]);
    rig.clear().await;
}

//! Locks of services: while one is there, nothing of its app is disrupted.

use std::{fs, path::PathBuf};

use e2e::{agent::LONG, parts, until};
use reconcilers::engine::ContainerEngine;
use serde_json::{Value, json};

use super::Rig;
use crate::IMAGE;

fn two(mode: &str) -> Value {
    let service = json!({ "image": IMAGE, "command": "sleep 10000", "environment": { "MODE": mode }, "stop_grace_period": 0, "network_mode": "none" });
    json!({ "services": { "one": service, "two": service } })
}

impl Rig {
    /// Whether the agent says that all of its services wait for a lock.
    async fn is_locked(&self) -> bool {
        let Some(status) = self.told(&["status"]).await else { return false };
        let resources = status["resources"].as_object().unwrap();
        let containers: Vec<_> = resources.values().filter(|own| own["kind"] == "Container").collect();
        let is_locked = |own: &&Value| {
            own["reason"] == "Locked" && own["message"].as_str().unwrap().contains("updates.lock")
        };
        containers.len() == 2 && containers.iter().all(is_locked)
    }

    fn lock_of(&self, service: &str, file: &str) -> PathBuf {
        PathBuf::from(format!("/tmp/balena-supervisor/services/{}/{service}/{file}", self.cloud.fleet))
    }
}

#[tokio::test]
async fn while_one_service_is_locked_nothing_of_its_app_is_disrupted() {
    let rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(two("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let runs = rig.containers().await;
    // A service makes it where it sees it, in either form.
    for (service, inside, file) in [
        ("one", "/tmp/balena/updates.lock", "updates.lock"),
        ("two", "/tmp/resin/resin-updates.lock", "resin-updates.lock"),
    ] {
        assert!(rig.agrees(service, &format!("touch {inside}")).await);
        assert!(rig.lock_of(service, file).exists());
        let next = rig.cloud.release(two(&format!("after {service}"))).await;
        rig.poll().await;
        until("both are locked", LONG, async || rig.is_locked().await).await;
        let told = rig.cloud.told("the download", |told| told["updates"][&next] == "downloaded").await;
        assert_eq!(told["running"], first.as_str());
        assert_eq!(told["installs"][&first]["two"]["status"], "Running", "both are told");
        assert_eq!(rig.containers().await, runs, "{service}");
        rig.cloud.change_fleet(json!({ "target": first })).await;
        rig.poll().await;
        until("all is as it was wanted before", LONG, async || rig.is_ready().await).await;
        assert!(rig.agrees(service, &format!("rm {inside}")).await);
    }

    // Released, it goes on at once.
    assert!(rig.agrees("one", "mkdir /tmp/balena/updates.lock").await, "a directory is one, too");
    let second = rig.cloud.release(two("second")).await;
    rig.poll().await;
    until("both are locked", LONG, async || rig.is_locked().await).await;
    assert!(rig.agrees("one", "rmdir /tmp/balena/updates.lock").await);
    rig.cloud.runs(&second).await;
    assert!(!rig.lock_of("one", "updates.lock").exists(), "the agent's own is gone again");

    // A person may go over it, and so may the configuration.
    assert!(rig.agrees("two", "touch /tmp/balena/updates.lock").await);
    let third = rig.cloud.release(two("third")).await;
    rig.poll().await;
    until("both are locked", LONG, async || rig.is_locked().await).await;
    let mut forced = rig.device.ask(["balena", "poll", "--force"]).start();
    assert!(forced.wait(LONG).await.success());
    rig.cloud.runs(&third).await;
    assert!(rig.lock_of("two", "updates.lock").exists(), "it is its own");
    rig.poll().await;
    let fourth = rig.cloud.release(two("fourth")).await;
    rig.poll().await;
    until("both are locked", LONG, async || rig.is_locked().await).await;
    rig.cloud.change_fleet(json!({ "config": { "BALENA_SUPERVISOR_OVERRIDE_LOCK": "1" } })).await;
    rig.poll().await;
    rig.cloud.runs(&fourth).await;
    fs::remove_file(rig.lock_of("two", "updates.lock")).unwrap();
    rig.clear().await;
}

/// One service in a network of these addresses.
fn in_network(subnet: &str) -> Value {
    json!({
        "services": { "one": { "image": IMAGE, "command": "sleep 10000", "stop_grace_period": 0, "networks": ["inner"] } },
        "networks": { "inner": { "ipam": { "config": [{ "subnet": subnet }] } } },
    })
}

#[tokio::test]
async fn a_network_is_not_made_anew_under_who_is_locked() {
    let rig = Rig::on(&parts::docker()).await;
    let number = std::process::id() % 200 + 20;
    let first = rig.cloud.release(in_network(&format!("10.201.{number}.0/24"))).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let network = async || {
        let all = rig.engine.networks().await.unwrap();
        let name = format!("{}_inner", rig.cloud.uuid);
        all.into_iter().find(|network| network.name == name).unwrap().id
    };
    let (before, runs) = (network().await, rig.containers().await);
    assert!(rig.agrees("one", "touch /tmp/balena/updates.lock").await);
    let second = rig.cloud.release(in_network(&format!("10.202.{number}.0/24"))).await;
    rig.poll().await;
    until("the network waits", LONG, async || {
        let Some(status) = rig.told(&["status"]).await else { return false };
        let all = status["resources"].as_object().unwrap();
        all.iter().any(|(id, own)| id.contains(".network.") && own["reason"] == "Locked")
    })
    .await;
    assert_eq!((network().await, rig.containers().await), (before.clone(), runs));
    let told =
        rig.cloud.told("that it is not done", |told| told["updates"][&second] == "applying changes").await;
    assert_eq!(told["running"], first.as_str(), "a release is more than its services");
    assert!(rig.agrees("one", "rm /tmp/balena/updates.lock").await);
    rig.cloud.runs(&second).await;
    until("it is another one", LONG, async || network().await != before && rig.is_ready().await).await;
    assert!(rig.agrees("one", "ip addr | grep -q 10.202.").await);
    rig.clear().await;
}

//! What is known of the API gets lost, in all ways that there are: what the device runs and has goes on.

use std::{fs, time::Duration};

use e2e::{agent::LONG, parts, until};
use reconcilers::engine::ContainerEngine;
use serde_json::{Value, json};

use super::Rig;
use crate::IMAGE;

fn release(volumes: &[&str]) -> Value {
    let mounts: Vec<_> = volumes.iter().map(|name| format!("{name}:/{name}")).collect();
    let all: serde_json::Map<_, _> = volumes.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let service = json!({ "image": IMAGE, "command": "sleep 10000", "volumes": mounts, "stop_grace_period": 0, "network_mode": "none" });
    json!({ "services": { "main": service }, "volumes": all })
}

impl Rig {
    /// The volumes of the fleet.
    async fn volumes(&self) -> Vec<String> {
        let all = self.engine.volumes().await.unwrap().into_iter();
        let own = all.filter(|own| own.labels.get("io.balena.app-uuid") == Some(&self.cloud.uuid));
        let mut names: Vec<_> = own.map(|own| own.name).collect();
        names.sort();
        names
    }

    /// Stops the agent, has something done to what it keeps of its API, and starts it: until it has asked again.
    async fn after(&mut self, what: impl AsyncFnOnce(&Self)) {
        assert!(self.agent.stop(Duration::from_secs(10)).await.success());
        what(self).await;
        self.agent = self.device.start();
        let asked = async || {
            let told = self.told(&["balena", "status"]).await?;
            told["lastPoll"]["answer"].as_str().map(str::to_owned)
        };
        until("it has asked", LONG, async || asked().await.is_some_and(|answer| answer == "a target state"))
            .await;
        until("what is rejected is told", LONG, async || self.rejects().await).await;
    }

    async fn rejects(&self) -> bool {
        let told = self.told(&["balena", "status"]).await.unwrap_or_default();
        told["target"]["apps"][&self.cloud.uuid]["rejected"].is_array()
    }

    fn target_file(&self) -> std::path::PathBuf {
        let mut folders = fs::read_dir(self.device.state_dir().join("balena")).unwrap();
        folders.next().unwrap().unwrap().path().join("target.json")
    }
}

#[tokio::test]
async fn what_a_device_has_stays_when_it_forgets_what_it_was_to_have_and_who_it_was() {
    let mut rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(release(&["former", "data"])).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    assert!(rig.agrees("main", "echo precious > /former/kept").await);
    let second = rig.cloud.release(release(&["data"])).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    let mut wrong = release(&["data"]);
    wrong["services"]["main"]["privileged"] = json!("who knows");
    rig.cloud.release(wrong).await;
    rig.poll().await;
    until("it is rejected", LONG, async || rig.rejects().await).await;
    let had = (rig.containers().await, rig.volumes().await);
    assert_eq!(had.1, ["data", "former"].map(|name| format!("{}_{name}", rig.cloud.fleet)));

    rig.after(async |rig| fs::write(rig.target_file(), "{").unwrap()).await;
    assert_eq!((rig.containers().await, rig.volumes().await), had, "what was kept cannot be read");
    rig.after(async |rig| fs::remove_file(rig.target_file()).unwrap()).await;
    assert_eq!((rig.containers().await, rig.volumes().await), had, "what was kept is gone");
    rig.after(async |rig| {
        let mut forget = rig.device.command_of(&["balena", "forget"]).start();
        assert!(forget.wait(LONG).await.success(), "{}", forget.stderr());
    })
    .await;
    assert_eq!(rig.cloud.devices().await.len(), 2, "it is another device there");
    assert_eq!((rig.containers().await, rig.volumes().await), had);

    // What is right again is run, with what it has been.
    rig.cloud.release(release(&["data", "former"])).await;
    rig.poll().await;
    until("it reads what it had", LONG, async || rig.agrees("main", "grep precious /former/kept").await)
        .await;
    rig.clear().await;
}

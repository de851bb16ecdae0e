//! A device of balena's: the simulated API on the one side, a real engine on the other. After each step both are asked: what is in the engine, and what has the API been told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use control_plane_sim::balena::{
    client::ask,
    server::{Server, serve},
};
use e2e::{Device, Running, agent::LONG, until, until_some};
use hyper::Method;
use manifest_types::status::{AgentStatus, ConditionStatus};
use reconcilers::engine::{
    ContainerEngine,
    contract::{fresh, listed},
    docker::Docker,
    terms::Container,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

mod away;
mod forgotten;
mod https;
mod kills;
mod locks;
mod moving;
mod pulls;
mod reports;
mod strategies;
mod updates;

use crate::IMAGE;

/// A release of one service that does nothing.
pub(crate) fn sleeper(mode: &str) -> Value {
    let service = json!({ "image": IMAGE, "command": "sleep 10000", "environment": { "MODE": mode }, "stop_grace_period": 0, "network_mode": "none" });
    json!({ "services": { "main": service } })
}

/// The API, and what belongs to one fleet there.
pub(crate) struct Cloud {
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
    /// The fleet's number, which is in the names of what its devices have.
    pub(crate) fleet: u64,
    /// Its uuid.
    pub(crate) uuid: String,
    key: String,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Cloud {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { drop(serve(listener, Arc::new(Server::default())).await) });
        // Devices of several tests share an engine.
        let digits: String = fresh("").chars().filter(char::is_ascii_digit).collect();
        let new = json!({ "id": digits.parse::<u64>().unwrap(), "name": fresh("fleet"), "deviceType": "genericx86-64-ext" });
        let fleet = ask(address, Method::POST, "/admin/fleets", &new).await.unwrap();
        let text = |name: &str| fleet[name].as_str().unwrap().to_owned();
        let (uuid, key) = (text("uuid"), text("provisioningKey"));
        Self { address, serving, fleet: fleet["id"].as_u64().unwrap(), uuid, key }
    }

    async fn tell(&self, method: Method, path: &str, body: Value) -> Value {
        ask(self.address, method, path, &body).await.unwrap()
    }

    /// Makes a release, which the fleet runs from now on: its commit.
    pub(crate) async fn release(&self, compose: Value) -> String {
        let path = format!("/admin/fleets/{}/releases", self.fleet);
        self.tell(Method::POST, &path, compose).await["commit"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn change_fleet(&self, to: Value) {
        self.tell(Method::PATCH, &format!("/admin/fleets/{}", self.fleet), to).await;
    }

    pub(crate) async fn change_device(&self, to: Value) {
        let device = self.device().await.expect("it is registered");
        let path = format!("/admin/devices/{}", device["uuid"].as_str().unwrap());
        self.tell(Method::PATCH, &path, to).await;
    }

    /// Moves the device to another fleet, which has no release.
    pub(crate) async fn move_device(&self) {
        let new = json!({ "name": fresh("fleet"), "deviceType": "genericx86-64-ext" });
        let fleet = self.tell(Method::POST, "/admin/fleets", new).await;
        self.change_device(json!({ "fleet": fleet["id"] })).await;
    }

    /// Where it is.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The certificate of the key that signs tokens for registries.
    pub(crate) async fn certificate(&self) -> String {
        self.tell(Method::GET, "/admin/certificate", Value::Null).await.as_str().unwrap().to_owned()
    }

    /// How many requests about something there were, and how they were answered.
    pub(crate) async fn requests(&self, about: &str) -> Value {
        self.tell(Method::GET, "/admin/requests", Value::Null).await[about].clone()
    }

    /// Deletes the device.
    pub(crate) async fn delete_device(&self) {
        let device = self.device().await.expect("it is registered");
        let path = format!("/admin/devices/{}", device["uuid"].as_str().unwrap());
        self.tell(Method::DELETE, &path, Value::Null).await;
    }

    pub(crate) async fn faults(&self, faults: Value) {
        self.tell(Method::PUT, "/admin/faults", faults).await;
    }

    pub(crate) async fn devices(&self) -> Vec<Value> {
        self.tell(Method::GET, "/admin/devices", Value::Null).await.as_array().unwrap().clone()
    }

    /// The one device.
    pub(crate) async fn device(&self) -> Option<Value> {
        self.devices().await.into_iter().next()
    }

    /// Waits until the device has reported something.
    pub(crate) async fn told(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until_some(format!("{what} is reported"), LONG, async || {
            let reported = self.device().await?["reported"].clone();
            is(&reported).then_some(reported)
        })
        .await
    }

    /// Waits until a release is whole: it runs, and nothing else is told of.
    pub(crate) async fn runs(&self, commit: &str) -> Value {
        self.told(commit, |reported| {
            let only = |map: &Value| map.as_object().is_some_and(|map| map.keys().eq([commit]));
            reported["running"] == commit
                && reported["updates"][commit] == "done"
                && only(&reported["installs"])
        })
        .await
    }
}

/// A device of the fleet.
pub(crate) struct Rig {
    pub(crate) cloud: Cloud,
    pub(crate) device: Device,
    pub(crate) engine: Docker,
    place: String,
    pub(crate) agent: Running,
}

impl Rig {
    /// One that is registered, and has asked once.
    pub(crate) async fn on(place: &str) -> Self {
        let rig = Self::starting(place).await;
        until("it is registered", LONG, async || {
            rig.cloud.device().await.is_some_and(|device| device["asked"] == true)
        })
        .await;
        rig
    }

    /// One that has just been started.
    pub(crate) async fn starting(place: &str) -> Self {
        let cloud = Cloud::open().await;
        let device = Self::device_of(&cloud, place);
        let agent = device.start();
        Self { cloud, device, engine: Docker::new(vec![place.to_owned()]), place: place.to_owned(), agent }
    }

    /// Another agent for the same device, which knows nothing of the first one but who the device is.
    pub(crate) async fn moved(&self, place: &str) -> Device {
        let device = self.cloud.device().await.expect("it is registered");
        let (uuid, key) = (device["uuid"].as_str().unwrap(), self.key());
        let who =
            ["--balena-uuid", uuid, "--balena-api-key", &key, "--balena-device-type", "genericx86-64-ext"];
        Device::of_balena(&fresh("pump"), &self.cloud.endpoint(), place, &who)
    }

    /// The device as it is to be another API's.
    pub(crate) fn at(&self, endpoint: &str) -> Device {
        let uuid = "a".repeat(32);
        let who = ["--balena-uuid", &uuid, "--balena-api-key", "none"];
        Device::of_balena(self.device.id.as_str(), endpoint, &self.place, &who)
    }

    /// One of the files that the device keeps of this API.
    fn kept(&self, file: &str) -> Value {
        let folders = std::fs::read_dir(self.device.state_dir().join("balena")).unwrap();
        let paths = folders.map(|folder| folder.unwrap().path().join(file));
        let found: Vec<_> = paths.filter_map(|path| std::fs::read(path).ok()).collect();
        serde_json::from_slice(&found[0]).unwrap()
    }

    /// The device's key.
    fn key(&self) -> String {
        self.kept("identity.json")["deviceKey"].as_str().unwrap().to_owned()
    }

    /// What the device remembers of its reports.
    pub(crate) fn reported(&self) -> Value {
        self.kept("report.json")
    }

    fn device_of(cloud: &Cloud, place: &str) -> Device {
        Device::new_of_balena(&fresh("pump"), &cloud.endpoint(), place, &cloud.key, cloud.fleet)
    }

    /// What one of the binary's commands tells of the device, as JSON; nothing while no agent answers.
    pub(crate) async fn told(&self, command: &[&str]) -> Option<Value> {
        let mut asked = self.device.ask(["-o", "json"].iter().chain(command)).start();
        asked.wait(LONG).await;
        serde_json::from_str(&asked.stdout()).ok()
    }

    /// Has the device ask now.
    pub(crate) async fn poll(&self) {
        let mut poll = self.device.ask(["balena", "poll"]).start();
        assert!(poll.wait(LONG).await.success(), "{}", poll.stderr());
    }

    /// Has the device ask now, and waits for the answer, which it gives.
    pub(crate) async fn polled(&self) -> String {
        let last = async || self.told(&["balena", "status"]).await.unwrap()["lastPoll"].clone();
        let before = last().await;
        self.poll().await;
        until("it has asked", LONG, async || last().await != before).await;
        last().await["answer"].as_str().unwrap().to_owned()
    }

    /// Whether the agent says that all is as wanted.
    pub(crate) async fn is_ready(&self) -> bool {
        let Some(status) = self.told(&["status"]).await else { return false };
        let Ok(status) = serde_json::from_value::<AgentStatus>(status) else { return false };
        let ready = status.condition("Ready");
        !status.resources.is_empty() && ready.is_some_and(|ready| ready.status == ConditionStatus::True)
    }

    pub(crate) async fn container(&self, service: &str) -> Option<Container> {
        self.engine.container(&format!("{service}_{}", self.cloud.fleet)).await.unwrap()
    }

    /// The containers of the fleet, by their services.
    pub(crate) async fn containers(&self) -> BTreeMap<String, String> {
        let all = listed(&self.engine).await;
        let own =
            all.into_iter().filter(|own| own.labels.get("io.balena.app-uuid") == Some(&self.cloud.uuid));
        own.map(|own| (own.labels["io.balena.service-name"].clone(), own.id)).collect()
    }

    /// Whether a shell in a service that runs agrees.
    pub(crate) async fn agrees(&self, service: &str, line: &str) -> bool {
        // One that is being replaced says nothing.
        let Some(container) = self.container(service).await else { return false };
        let command = ["sh", "-c", line].map(str::to_owned);
        self.engine.run_in(&container.id, &command).await.is_ok_and(|code| code == 0)
    }

    /// Nothing that the agent tells anybody has a key in it, whatever has happened.
    async fn tells_no_key(&self) {
        let mut told = vec![("its log", self.agent.stderr())];
        for words in [["-o", "json", "status"].as_slice(), &["-o", "json", "balena", "status"], &["status"]] {
            let mut asked = self.device.ask(words).start();
            asked.wait(LONG).await;
            told.push((words.last().unwrap(), asked.stdout() + &asked.stderr()));
        }
        for (what, text) in told {
            let is_there = [&self.key(), &self.cloud.key].into_iter().any(|key| text.contains(key));
            assert!(!is_there, "a key is in {what}");
        }
    }

    /// Takes all away, as for a device that is moved to another fleet.
    pub(crate) async fn clear(mut self) {
        self.tells_no_key().await;
        self.cloud.change_fleet(json!({ "target": "" })).await;
        self.poll().await;
        until("no container is left", LONG, async || self.containers().await.is_empty()).await;
        assert!(self.agent.stop(Duration::from_secs(10)).await.success());
        for volume in self.engine.volumes().await.unwrap() {
            if volume.labels.get("io.balena.app-uuid") == Some(&self.cloud.uuid) {
                self.engine.remove_volume(&volume.name).await.unwrap();
            }
        }
    }
}

//! The admin side: what a person, or a test, tells the simulation. Pure.

use std::collections::BTreeMap;

use manifest_types::digest::Digest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cloud::{Answer, Cloud, Fleet, Release, Service, Texts};

/// A fleet to be made.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewFleet {
    /// Its name.
    pub name: String,
    /// The type of its devices.
    pub device_type: String,
    /// Its number; made up, if there is none.
    #[serde(default)]
    pub id: Option<u64>,
    /// The key with which devices register themselves; made up, if there is none.
    #[serde(default)]
    pub provisioning_key: Option<String>,
}

/// What of a fleet is to be another.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChangedFleet {
    /// Its name.
    pub name: Option<String>,
    /// The release that it runs.
    pub target: Option<String>,
    /// Variables of all services.
    pub variables: Option<Texts>,
    /// Configuration variables.
    pub config: Option<Texts>,
}

/// What of a device is to be another.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ChangedDevice {
    /// Its name.
    pub name: Option<String>,
    /// The fleet that it belongs to, by its number.
    pub fleet: Option<u64>,
    /// The release that it is pinned to; empty, if to none.
    pub pin: Option<String>,
    /// Whether it may do nothing.
    pub frozen: Option<bool>,
    /// Its key.
    pub key: Option<String>,
    /// Variables of all its services.
    pub variables: Option<Texts>,
    /// Variables of some of its services.
    pub service_variables: Option<BTreeMap<String, Texts>>,
    /// Configuration variables.
    pub config: Option<Texts>,
}

impl Cloud {
    /// Makes a fleet.
    pub fn add_fleet(&mut self, new: NewFleet) -> Answer {
        let id = new.id.unwrap_or_else(|| self.next_id());
        let uuid = hex(&format!("fleet {id} {}", new.name));
        let provisioning_key = new.provisioning_key.unwrap_or_else(|| hex(&format!("key of {uuid}")));
        let told = json!({ "id": id, "uuid": uuid, "provisioningKey": provisioning_key });
        let fleet = Fleet {
            id,
            uuid,
            name: new.name,
            device_type: new.device_type,
            provisioning_key,
            target: None,
            variables: Texts::new(),
            config: Texts::new(),
            services: BTreeMap::new(),
        };
        self.fleets.insert(id, fleet);
        Answer::json(201, told)
    }

    /// Makes a release of a compose file, and has the fleet run it.
    pub fn add_release(&mut self, fleet: u64, compose: &Value) -> Answer {
        if !self.fleets.contains_key(&fleet) {
            return Answer::json(404, json!("there is no such fleet"));
        }
        let Some(services) = compose["services"].as_object() else {
            return Answer::json(400, json!("a compose file has services"));
        };
        let (id, mut made) = (self.next_id(), BTreeMap::new());
        for (name, service) in services {
            let Some(composition) = service.as_object() else {
                return Answer::json(400, json!(format!("the service {name} is no object")));
            };
            let mut composition = composition.clone();
            let Some(image) = composition.get("image").and_then(Value::as_str).map(str::to_owned) else {
                return Answer::json(400, json!(format!("the service {name} has no image")));
            };
            composition.remove("build");
            let contract = composition.remove("contract");
            let labels = composition.remove("labels").map(|labels| texts(&labels)).unwrap_or_default();
            let number = self.next_id();
            let fleet = self.fleets.get_mut(&fleet).expect("it was there");
            fleet.services.entry(name.clone()).or_insert(number);
            let image_id = self.next_id();
            made.insert(name.clone(), Service { image_id, image, contract, labels, composition });
        }
        let rest: Map<_, _> = ["networks", "volumes"]
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), compose.get(*name)?.clone())))
            .collect();
        let commit = hex(&format!("release {id} of {fleet}: {compose}"));
        let release = Release { id, fleet, commit: commit.clone(), services: made, rest };
        self.releases.insert(commit.clone(), release);
        self.fleets.get_mut(&fleet).expect("it was there").target = Some(commit.clone());
        Answer::json(201, json!({ "id": id, "commit": commit }))
    }

    /// Changes a fleet.
    pub fn change_fleet(&mut self, fleet: u64, to: ChangedFleet) -> Answer {
        let Some(fleet) = self.fleets.get_mut(&fleet) else { return Answer::bare(404) };
        to.name.into_iter().for_each(|name| fleet.name = name);
        to.target
            .into_iter()
            .for_each(|target| fleet.target = Some(target).filter(|target| !target.is_empty()));
        to.variables.into_iter().for_each(|variables| fleet.variables = variables);
        to.config.into_iter().for_each(|config| fleet.config = config);
        Answer::bare(200)
    }

    /// Changes a device.
    pub fn change_device(&mut self, uuid: &str, to: ChangedDevice) -> Answer {
        let Some(device) = self.devices.get_mut(uuid) else { return Answer::bare(404) };
        if to.fleet.is_some_and(|fleet| !self.fleets.contains_key(&fleet)) {
            return Answer::json(404, json!("there is no such fleet"));
        }
        to.name.into_iter().for_each(|name| device.name = name);
        to.fleet.into_iter().for_each(|fleet| device.fleet = fleet);
        to.pin.into_iter().for_each(|pin| device.pinned = Some(pin).filter(|pin| !pin.is_empty()));
        to.frozen.into_iter().for_each(|frozen| device.is_frozen = frozen);
        to.key.into_iter().for_each(|key| device.key = key);
        to.variables.into_iter().for_each(|variables| device.variables = variables);
        to.service_variables.into_iter().for_each(|variables| device.service_variables = variables);
        to.config.into_iter().for_each(|config| device.config = config);
        Answer::bare(200)
    }

    /// Deletes a device.
    pub fn delete_device(&mut self, uuid: &str) -> Answer {
        Answer::bare(if self.devices.remove(uuid).is_some() { 200 } else { 404 })
    }

    /// All devices, and what they have reported.
    pub fn describe(&self) -> Value {
        let device = |device: &super::cloud::Device| {
            json!({
                "id": device.id, "uuid": device.uuid, "fleet": device.fleet, "name": device.name, "pinned": device.pinned,
                "asked": device.asked.is_some(), "reported": device.reported,
            })
        };
        self.devices.values().map(device).collect()
    }
}

fn texts(value: &Value) -> Texts {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        Value::Array(lines) => {
            let lines = lines.iter().map(text);
            lines
                .map(|line| {
                    line.split_once('=').map_or((line.clone(), String::new()), |(name, value)| {
                        (name.to_owned(), value.to_owned())
                    })
                })
                .collect()
        }
        _ => Texts::new(),
    }
}

/// 32 digits that follow from a text.
fn hex(of: &str) -> String {
    let digest = Digest::of(of.as_bytes()).to_string();
    digest.trim_start_matches("sha256:").chars().take(32).collect()
}

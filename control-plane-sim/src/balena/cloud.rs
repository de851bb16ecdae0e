//! Fleets, releases and devices, and what devices are answered. Pure: the time is an input.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{report, target};

/// Texts by name.
pub type Texts = BTreeMap<String, String>;

/// A refusal of a key is remembered for so long, whatever becomes of the key.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// All that the API knows.
#[derive(Debug, Default)]
pub struct Cloud {
    last_id: u64,
    /// By number.
    pub fleets: BTreeMap<u64, Fleet>,
    /// By commit.
    pub releases: BTreeMap<String, Release>,
    /// By uuid.
    pub devices: BTreeMap<String, Device>,
    refused: BTreeMap<(String, String), Duration>,
}

/// A fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Its number.
    pub id: u64,
    /// Its uuid.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// The type of its devices.
    pub device_type: String,
    /// The key with which devices register themselves in it.
    pub provisioning_key: String,
    /// The release that devices run which are not pinned to another.
    pub target: Option<String>,
    /// Variables of all services.
    pub variables: Texts,
    /// Configuration variables.
    pub config: Texts,
    /// The numbers of its services.
    pub services: BTreeMap<String, u64>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its number.
    pub id: u64,
    /// Its fleet.
    pub fleet: u64,
    /// Its commit.
    pub commit: String,
    /// Its services.
    pub services: BTreeMap<String, Service>,
    /// Its networks and volumes, as its compose file has them.
    pub rest: serde_json::Map<String, Value>,
}

/// A service of a release.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its image's number.
    pub image_id: u64,
    /// Where its image is.
    pub image: String,
    /// What it requires of a device.
    pub contract: Option<Value>,
    /// Labels that are set beside the composition's.
    pub labels: Texts,
    /// The rest of its composition.
    pub composition: serde_json::Map<String, Value>,
}

/// A device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its number.
    pub id: u64,
    /// Its uuid.
    pub uuid: String,
    /// Its key.
    pub key: String,
    /// Its fleet.
    pub fleet: u64,
    /// Its name.
    pub name: String,
    /// The release that it is pinned to.
    pub pinned: Option<String>,
    /// Whether it may do nothing.
    pub is_frozen: bool,
    /// Variables of all its services.
    pub variables: Texts,
    /// Variables of some of its services.
    pub service_variables: BTreeMap<String, Texts>,
    /// Configuration variables.
    pub config: Texts,
    /// When it asked for its target state last.
    pub asked: Option<Duration>,
    /// What it has reported.
    pub reported: report::Reported,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// A document.
    Json(Value),
    /// A text.
    Html(String),
}

impl Answer {
    /// Only a status.
    pub fn bare(status: u16) -> Self {
        Self { status, body: Body::Empty }
    }

    /// A document.
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, body: Body::Json(body) }
    }
}

/// Whether a text is a device's uuid.
fn is_uuid(text: &str) -> bool {
    [32, 62].contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Cloud {
    /// A number that nothing has.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn fleet_of_key(&self, key: &str) -> Option<&Fleet> {
        self.fleets.values().find(|fleet| fleet.provisioning_key == key)
    }

    fn device_of_key(&self, key: &str) -> Option<&Device> {
        self.devices.values().find(|device| device.key == key)
    }

    /// `POST /device/register`.
    pub fn register(&mut self, key: &str, body: &Value) -> Answer {
        let Some(fleet) = self.fleet_of_key(key) else {
            return Answer::json(401, json!({ "error": "API key required" }));
        };
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let Some(application) = number(&body["application"]) else {
            return Answer::json(400, json!("application must be a number"));
        };
        let (Some(uuid), Some(device_type)) = (body["uuid"].as_str(), body["device_type"].as_str()) else {
            return Answer::json(400, json!("uuid and device_type are required"));
        };
        if application != fleet.id {
            return Answer::json(401, json!({ "error": "API key required" }));
        }
        if device_type != fleet.device_type {
            return Answer::json(404, json!("unknown device type"));
        }
        if !is_uuid(uuid) {
            return Answer::json(
                400,
                json!("Device UUID must be a 32 or 62 character long lower case hex string."),
            );
        }
        if self.devices.contains_key(uuid) {
            return Answer { status: 409, body: Body::Html("\"uuid\" must be unique.".to_owned()) };
        }
        let fleet = fleet.id;
        let (uuid, given) = (uuid.to_owned(), body["api_key"].as_str().map(str::to_owned));
        if given.as_ref().is_some_and(|given| self.device_of_key(given).is_some()) {
            return Answer::json(409, json!("\"key\" must be unique."));
        }
        let id = self.next_id();
        let key = given.unwrap_or_else(|| format!("{id:032}"));
        let device = Device {
            id,
            uuid: uuid.clone(),
            key: key.clone(),
            fleet,
            name: format!("device-{id}"),
            pinned: None,
            is_frozen: false,
            variables: Texts::new(),
            service_variables: BTreeMap::new(),
            config: Texts::new(),
            asked: None,
            reported: report::Reported::default(),
        };
        self.devices.insert(uuid.clone(), device);
        Answer::json(201, json!({ "id": id, "uuid": uuid, "api_key": key }))
    }

    /// `GET /v7/device?$filter=uuid eq '…'`: what the key may see.
    pub fn find(&self, key: &str, uuid: &str) -> Answer {
        let fleet = self.fleet_of_key(key).map(|fleet| fleet.id);
        let is_device = self.device_of_key(key).is_some();
        if fleet.is_none() && !is_device {
            return Answer::bare(401);
        }
        let found = self.devices.get(uuid).filter(|device| device.key == key || fleet == Some(device.fleet));
        let found: Vec<_> = found.into_iter().map(|device| json!({ "id": device.id })).collect();
        Answer::json(200, json!({ "d": found }))
    }

    /// `POST /api-key/device/{id}/device-key`.
    pub fn exchange(&mut self, key: &str, id: u64, body: &Value) -> Answer {
        let fleet = self.fleet_of_key(key).map(|fleet| fleet.id);
        let device = self.devices.values_mut().find(|device| device.id == id && fleet == Some(device.fleet));
        match (device, body["apiKey"].as_str()) {
            (Some(device), Some(key)) => {
                device.key = key.to_owned();
                Answer::json(200, json!(key))
            }
            (Some(_), None) => Answer::bare(400),
            (None, _) => Answer::bare(401),
        }
    }

    /// `GET /device/v3/{uuid}/state`.
    pub fn state(&mut self, key: &str, uuid: &str, now: Duration) -> Answer {
        // Of what is not there, nothing has changed, whoever asks.
        let Some(device) = self.devices.get(uuid) else { return Answer::bare(304) };
        let asking = (uuid.to_owned(), key.to_owned());
        let is_remembered = self.refused.get(&asking).is_some_and(|at| now.saturating_sub(*at) < REFUSED_FOR);
        if is_remembered || device.key != key {
            self.refused.entry(asking).or_insert(now);
            return Answer::bare(401);
        }
        self.refused.remove(&asking);
        if device.is_frozen {
            return Answer::bare(304);
        }
        let document = target::state(self, device);
        if let Some(device) = self.devices.get_mut(uuid) {
            device.asked = Some(now);
        }
        Answer::json(200, document)
    }

    /// `PATCH /device/v3/state`.
    pub fn report(&mut self, key: &str, body: &Value, now: Duration) -> Answer {
        let Some(devices) = body.as_object() else { return Answer::bare(400) };
        // Nobody reports, or not for itself.
        let Some((uuid, told)) = devices.iter().next() else { return Answer::bare(401) };
        let Some(told) = told.as_object().filter(|told| report::is_well_formed(told)) else {
            return Answer::bare(400);
        };
        let Some(device) = self.devices.get(uuid).filter(|device| device.key == key && !device.is_frozen)
        else {
            return Answer::bare(401);
        };
        let fleet = &self.fleets[&device.fleet];
        let releases = self.releases.values().filter(|release| release.fleet == fleet.id);
        let known = releases.map(|release| (release.commit.as_str(), release)).collect();
        if !told.get("apps").is_none_or(|apps| report::knows_all(apps, &fleet.uuid, &known)) {
            return Answer::bare(401);
        }
        let fleet = fleet.uuid.clone();
        if let Some(device) = self.devices.get_mut(uuid) {
            device.reported.take(told, &fleet, now);
        }
        Answer::bare(200)
    }
}

#[cfg(test)]
mod tests;

//! The fleet as it is known: what each device should hold, what it says, whether it lives. Pure.

use std::collections::BTreeMap;

use async_nats::jetstream::kv::Entry;
use jiff::Timestamp;
use manifest_types::{
    keys,
    name::AgentId,
    status::{AgentHeartbeat, AgentStatus},
};

use crate::{
    history::Revision,
    store,
    table::{self, Style},
};

mod row;
pub use row::{LinkState, Row};

/// All devices.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    devices: BTreeMap<AgentId, Device>,
}

/// One device.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// Its key of desired state: the last value or delete marker.
    pub desired: Option<Revision>,
    /// Its status.
    pub status: Option<Status>,
    /// Its last sign of life, and when it came, by the server's clock.
    pub heartbeat: Option<(AgentHeartbeat, Timestamp)>,
}

/// A status as it was found.
#[derive(Debug, Clone)]
pub enum Status {
    /// It can be read.
    Read(Box<AgentStatus>),
    /// It cannot, for this reason.
    Unreadable(String),
}

impl Device {
    /// Its status, if it has one that can be read.
    pub fn status(&self) -> Option<&AgentStatus> {
        match &self.status {
            Some(Status::Read(status)) => Some(status),
            Some(Status::Unreadable(_)) | None => None,
        }
    }

    /// Whether there is anything to say of it: a deleted key alone is nothing.
    pub fn is_known(&self) -> bool {
        self.status.is_some()
            || self.heartbeat.is_some()
            || self.desired.as_ref().is_some_and(|desired| desired.json().is_some())
    }
}

impl Fleet {
    /// Takes in an entry of either bucket.
    pub fn take(&mut self, entry: &Entry) {
        let key = entry.key.as_str();
        if let Some(agent) = keys::agent_of_desired(key) {
            self.device(agent).desired = Some(store::revision(entry));
        } else if let Some(agent) = keys::agent_of_actual(key) {
            self.device(agent).status = read_status(entry);
        } else if let Some(agent) = keys::agent_of_heartbeat(key) {
            let heartbeat = serde_json::from_slice(&entry.value).ok();
            self.device(agent).heartbeat = heartbeat.map(|heartbeat| (heartbeat, store::written(entry)));
        }
    }

    fn device(&mut self, agent: AgentId) -> &mut Device {
        self.devices.entry(agent).or_default()
    }

    /// The devices of which there is something to say.
    pub fn devices(&self) -> impl Iterator<Item = (&AgentId, &Device)> {
        self.devices.iter().filter(|(_, device)| device.is_known())
    }

    /// One device, if anything was ever heard of it: be it only that its manifest was deleted.
    pub fn get(&self, agent: &AgentId) -> Option<&Device> {
        self.devices.get(agent)
    }

    /// One line for each device.
    pub fn rows(&self, now: Timestamp) -> Vec<Row> {
        self.devices().map(|(id, device)| Row::of(id, device, now)).collect()
    }
}

/// A status that was taken away is none, one that cannot be read is worth a line.
fn read_status(entry: &Entry) -> Option<Status> {
    if entry.operation != async_nats::jetstream::kv::Operation::Put {
        return None;
    }
    Some(match serde_json::from_slice(&entry.value) {
        Ok(status) => Status::Read(Box::new(status)),
        Err(error) => Status::Unreadable(error.to_string()),
    })
}

/// The fleet as a table.
pub fn render(rows: &[Row], style: Style) -> String {
    if rows.is_empty() {
        return "no devices\n".to_owned();
    }
    let header =
        ["ID", "VERSION", "LINK", "GENERATION", "READY", "FAILED", "PENDING", "DRIFT", "AGE", "NOTE"];
    table::render(header, &rows.iter().map(Row::cells).collect::<Vec<_>>(), style)
}

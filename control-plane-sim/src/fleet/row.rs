//! One device as one line of the fleet's table.

use jiff::{SignedDuration, Timestamp};
use manifest_types::{
    keys,
    name::AgentId,
    status::{ConditionStatus, Phase},
};
use serde::Serialize;

use super::{Device, Status};
use crate::{
    age,
    table::{Cell, Tone},
};

/// One device as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The device.
    pub id: AgentId,
    /// The version of its agent; empty if it has never told.
    pub version: String,
    /// Whether it lives.
    pub link: LinkState,
    /// How long ago its last sign of life came; signs are forgotten after a while.
    pub heartbeat: Option<String>,
    /// The generation that it should hold; none if it has no manifest.
    pub wanted: Option<u64>,
    /// The generation that its status describes.
    pub seen: Option<u64>,
    /// Ready resources.
    pub ready: u64,
    /// Failed ones.
    pub failed: u64,
    /// All others.
    pub pending: u64,
    /// How often its resources have drifted.
    pub drift: u64,
    /// How long ago its status was written, by the device's clock.
    pub age: Option<String>,
    /// What else there is to say.
    pub note: String,
}

/// Whether a device gives signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It does.
    Online,
    /// It did.
    Offline,
    /// It never did.
    Never,
}

impl Row {
    /// What there is to say of a device.
    pub fn of(id: &AgentId, device: &Device, now: Timestamp) -> Self {
        let status = device.status();
        let counts = status.map(|status| status.counts()).unwrap_or_default();
        let count = |phase| counts.get(&phase).copied().unwrap_or(0);
        let all: u64 = counts.values().sum();
        let heartbeat = device.heartbeat.as_ref();
        let version =
            heartbeat.map(|(beat, _)| &beat.agent_version).or(status.map(|status| &status.agent_version));
        Self {
            id: id.clone(),
            version: version.cloned().unwrap_or_default(),
            link: link(device, now),
            heartbeat: heartbeat.map(|(_, at)| age::since(now, *at)),
            wanted: device
                .desired
                .as_ref()
                .and_then(|desired| desired.generation())
                .map(|generation| generation.get()),
            seen: status.map(|status| status.manifest_generation),
            ready: count(Phase::Ready),
            failed: count(Phase::Failed),
            pending: all - count(Phase::Ready) - count(Phase::Failed),
            drift: status
                .map_or(0, |status| status.resources.values().map(|resource| resource.drift_count).sum()),
            age: status.map(|status| age::since(now, status.updated_at)),
            note: note(device),
        }
    }

    pub(super) fn cells(&self) -> [Cell; 10] {
        let dash = || "-".to_owned();
        let number =
            |count: u64, tone| Cell::new(count.to_string(), if count == 0 { Tone::Dim } else { tone });
        let generation =
            |generation: Option<u64>| generation.map_or_else(dash, |generation| generation.to_string());
        let settled = self.wanted.is_some() && self.wanted == self.seen;
        [
            self.id.as_str().into(),
            if self.version.is_empty() { dash() } else { self.version.clone() }.into(),
            self.link_cell(),
            Cell::new(
                format!("{}/{}", generation(self.wanted), generation(self.seen)),
                if settled { Tone::Plain } else { Tone::Wait },
            ),
            number(self.ready, Tone::Good),
            number(self.failed, Tone::Bad),
            number(self.pending, Tone::Wait),
            number(self.drift, Tone::Wait),
            self.age.clone().unwrap_or_else(dash).into(),
            Cell::new(self.note.clone(), Tone::Bad),
        ]
    }

    fn link_cell(&self) -> Cell {
        let age = self.heartbeat.as_deref().unwrap_or_default();
        let (word, tone) = match self.link {
            LinkState::Online => ("online", Tone::Good),
            LinkState::Offline => ("offline", Tone::Bad),
            LinkState::Never => ("never", Tone::Dim),
        };
        Cell::new(format!("{word} {age}").trim_end(), tone)
    }
}

fn link(device: &Device, now: Timestamp) -> LinkState {
    let lives = SignedDuration::try_from(keys::HEARTBEAT_TTL).unwrap_or(SignedDuration::MAX);
    match &device.heartbeat {
        Some((_, at)) if now.duration_since(*at) < lives => LinkState::Online,
        Some(_) => LinkState::Offline,
        None if device.status.is_some() => LinkState::Offline,
        None => LinkState::Never,
    }
}

fn note(device: &Device) -> String {
    match &device.status {
        Some(Status::Unreadable(why)) => return format!("status cannot be read: {why}"),
        Some(Status::Read(status)) => {
            let accepted = status.condition("ManifestAccepted");
            if let Some(refused) = accepted.filter(|accepted| accepted.status == ConditionStatus::False) {
                return format!("refused {}: {}", refused.observed_generation, refused.reason);
            }
        }
        None => {}
    }
    match &device.desired {
        None => "no manifest".to_owned(),
        Some(desired) if desired.json().is_none() => "manifest deleted".to_owned(),
        Some(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fleet::{Fleet, render},
        history::tests::{deleted, written},
        table::Style,
        verdict::tests::status,
    };

    fn heartbeat(at: &str) -> Option<(manifest_types::status::AgentHeartbeat, Timestamp)> {
        let beat = json!({
            "apiVersion": "holdfast/v1", "kind": "AgentHeartbeat", "agentId": "a", "agentVersion": "0.2.0", "instanceId": "i",
            "manifestGeneration": 8, "observedGeneration": 8, "uptimeSeconds": 5, "sentAt": at,
        });
        Some((serde_json::from_value(beat).unwrap(), at.parse().unwrap()))
    }

    #[test]
    fn a_fleet_is_one_line_a_device() {
        let since = "2026-01-01T00:00:00Z";
        let resources = json!({
            "a": { "kind": "File", "phase": "Ready", "since": since, "driftCount": 2 },
            "b": { "kind": "File", "phase": "Failed", "since": since, "driftCount": 1 },
            "c": { "kind": "File", "phase": "Deleting", "since": since },
        });
        let read = |status| Some(Status::Read(Box::new(status)));
        let mut fleet = Fleet::default();
        let mut add = |id: &str, device| fleet.devices.insert(id.parse().unwrap(), device);
        add(
            "alive",
            Device {
                desired: Some(written(3, 9)),
                status: read(status(8, 8, &[], resources)),
                heartbeat: heartbeat("2026-01-01T00:00:31Z"),
            },
        );
        add(
            "late",
            Device {
                desired: Some(deleted(3)),
                status: read(status(8, 8, &[("ManifestAccepted", "False", 8)], json!({}))),
                heartbeat: heartbeat("2025-12-31T23:59:00Z"),
            },
        );
        add("gone", Device { desired: Some(deleted(3)), ..Device::default() });
        add("new", Device { desired: Some(written(1, 1)), ..Device::default() });
        add("odd", Device { status: Some(Status::Unreadable("no".to_owned())), ..Device::default() });
        let table = render(&fleet.rows("2026-01-01T00:01:00Z".parse().unwrap()), Style::default());
        let expected = "\
ID     VERSION  LINK        GENERATION  READY  FAILED  PENDING  DRIFT  AGE  NOTE
alive  0.2.0    online 29s  9/8         1      1       1        3      60s
late   0.2.0    offline 2m  -/8         0      0       0        0      60s  refused 8: Why
new    -        never       1/-         0      0       0        0      -
odd    -        offline     -/-         0      0       0        0      -    status cannot be read: no
";
        assert_eq!(table, expected, "\n{table}");
    }
}

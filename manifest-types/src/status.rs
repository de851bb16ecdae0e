//! The status: what a device says of itself.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    kinds::ResourceDetails,
    name::{AgentId, ResourceId},
};

/// What a status says of its own kind.
pub const STATUS_KIND: &str = "AgentStatus";
/// What a heartbeat says of its own kind.
pub const HEARTBEAT_KIND: &str = "AgentHeartbeat";

/// What a device is: the value of the key `actual-state.<agent-id>`. Newer agents may add members.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// The version of this contract.
    pub api_version: String,
    /// What this document is: `AgentStatus`.
    pub kind: String,
    /// The device.
    pub agent_id: AgentId,
    /// The version of the agent's software.
    pub agent_version: String,
    /// New at every start of the agent (a ULID).
    pub instance_id: String,
    /// The generation that this status describes; 0 before the first.
    pub manifest_generation: u64,
    /// The generation last processed, admitted or refused; 0 before the first.
    pub observed_generation: u64,
    /// The source's revision last processed, readable as a manifest or not; 0 before the first.
    pub observed_revision: u64,
    /// When this was true, by the device's clock.
    #[schemars(with = "TimestampText")]
    pub updated_at: Timestamp,
    /// What the device offers to the kinds that need more than a file system.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capabilities: BTreeMap<String, Capability>,
    /// What holds for the device as a whole.
    pub conditions: Vec<Condition>,
    /// Every resource that is wanted, or still being taken away.
    pub resources: BTreeMap<ResourceId, ResourceStatus>,
    /// Resources left out so that the status fits the server's limit, counted by phase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub omitted: BTreeMap<Phase, u64>,
}

impl AgentStatus {
    /// The condition of this type.
    pub fn condition(&self, condition_type: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.condition_type == condition_type)
    }

    /// How many resources are in each phase, those left out included.
    pub fn counts(&self) -> BTreeMap<Phase, u64> {
        let mut counts = self.omitted.clone();
        for resource in self.resources.values() {
            *counts.entry(resource.phase).or_default() += 1;
        }
        counts
    }
}

/// Something on the device that some kinds need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What provides it, such as `docker`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of its interface, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be said.
    Unknown,
}

impl fmt::Display for ConditionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One statement on the device as a whole, as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it speaks of: `Ready`, `ManifestAccepted`, `Drifted`, …
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when its status is what it is.
    #[schemars(with = "TimestampText")]
    pub since: Timestamp,
    /// The generation it speaks of.
    pub observed_generation: u64,
}

/// How far a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It waits: for other resources, or for leave.
    Pending,
    /// It is being brought to its spec, or starting.
    Reconciling,
    /// It was seen to be as its spec wants, after the last change.
    Ready,
    /// It is not as wanted, and `error` says why.
    Failed,
    /// It is no longer wanted and being taken away.
    Deleting,
    /// It cannot be said: the agent does not know the kind, or cannot see it.
    Unknown,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "Pending",
            Self::Reconciling => "Reconciling",
            Self::Ready => "Ready",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
            Self::Unknown => "Unknown",
        })
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceStatus {
    /// Its kind.
    pub kind: String,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is in this phase.
    #[schemars(with = "TimestampText")]
    pub since: Timestamp,
    /// Why it is in this phase, in one word: `Paused`, `Locked`, `Dependencies`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The resources that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<ResourceId>,
    /// The digest of the wanted spec's canonical JSON (RFC 8785).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec_digest: Option<Digest>,
    /// How far a long step is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResourceError>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TimestampText>")]
    pub retry_after: Option<Timestamp>,
    /// What was seen of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DetailsSchema>")]
    pub details: Option<ResourceDetails>,
    /// Whether it drifted and was left so, as its policy says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drifted: bool,
    /// How often it was found drifted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub drift_count: u64,
    /// The last drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_drift: Option<DriftRecord>,
}

/// How far a long step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it is doing.
    pub message: String,
    /// How much is done.
    pub done: u64,
    /// How much there is, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The unit of both, such as `bytes`.
    pub unit: String,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceError {
    /// Stable, for programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
}

/// What was done about a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftAction {
    /// It is being repaired.
    Repairing,
    /// It was repaired, and that was seen.
    Repaired,
    /// It was left, as the policy says.
    Reported,
}

/// A drift: the device was found to differ from what it had been brought to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftRecord {
    /// When it was seen.
    #[schemars(with = "TimestampText")]
    pub at: Timestamp,
    /// What was done about it.
    pub action: DriftAction,
    /// Where it differed.
    pub fields: Vec<DriftField>,
}

/// One difference. Contents and credentials are told as digests, never themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftField {
    /// The field.
    pub path: String,
    /// What the spec wants.
    pub want: Value,
    /// What was seen.
    pub got: Value,
}

/// A sign of life: the value of the key `heartbeat.<agent-id>`, which goes away by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHeartbeat {
    /// The version of this contract.
    pub api_version: String,
    /// What this document is: `AgentHeartbeat`.
    pub kind: String,
    /// The device.
    pub agent_id: AgentId,
    /// The version of the agent's software.
    pub agent_version: String,
    /// New at every start of the agent.
    pub instance_id: String,
    /// The generation that its status describes.
    pub manifest_generation: u64,
    /// The generation last processed.
    pub observed_generation: u64,
    /// For how long it runs, in seconds.
    pub uptime_seconds: u64,
    /// When it was sent, by the device's clock.
    #[schemars(with = "TimestampText")]
    pub sent_at: Timestamp,
}

/// The schema of a time.
pub(crate) struct TimestampText;

impl JsonSchema for TimestampText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, in UTC." })
    }
}

/// The schema of a resource's details: the known kinds, and room for those to come.
struct DetailsSchema;

impl JsonSchema for DetailsSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ResourceDetails".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut known = ResourceDetails::json_schema(generator).to_value();
        let variants = known["oneOf"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut any_of: Vec<Value> = variants
            .into_iter()
            .filter(|variant| variant["properties"]["kind"]["const"] != "Unknown")
            .collect();
        let names: Vec<_> =
            any_of.iter().map(|variant| variant["properties"]["kind"]["const"].clone()).collect();
        any_of.push(serde_json::json!({
            "type": "object",
            "description": "A kind newer than this schema.",
            "properties": { "kind": { "type": "string", "not": { "enum": names } } },
            "required": ["kind"]
        }));
        json_schema!({ "description": "What a status shows of a resource, by its kind.", "anyOf": any_of })
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_reader_reads_a_newer_status() {
        let read: AgentStatus = serde_json::from_value(json!({
            "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "a", "agentVersion": "9.0.0", "instanceId": "x",
            "manifestGeneration": 1, "observedGeneration": 1, "observedRevision": 5, "updatedAt": "2026-11-21T05:00:00Z",
            "conditions": [], "new": true,
            "resources": { "h": { "kind": "Hologram", "phase": "Ready", "since": "2026-11-21T05:00:00Z", "details": { "kind": "Hologram", "hue": 3 } } },
        })).unwrap();
        let details = read.resources.values().next().unwrap().details.clone();
        assert_eq!(details, Some(ResourceDetails::Unknown));
    }
}

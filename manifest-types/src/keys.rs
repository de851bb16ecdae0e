//! The names of buckets, keys and subjects in NATS.

use std::time::Duration;

use crate::name::AgentId;

/// The bucket of manifests and statuses, unless configured otherwise.
pub const FLEET_BUCKET: &str = "fleet";
/// The bucket of heartbeats, unless configured otherwise.
pub const HEARTBEAT_BUCKET: &str = "fleet-heartbeat";
/// So many values of a key are kept.
pub const FLEET_HISTORY: i64 = 16;
/// A heartbeat that is not renewed goes away after this time.
pub const HEARTBEAT_TTL: Duration = Duration::from_secs(90);
/// A heartbeat is written so often.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);

/// The key of a device's manifest in the fleet bucket.
pub fn desired_state(agent: &AgentId) -> String {
    format!("desired-state.{agent}")
}

/// The key of a device's status in the fleet bucket.
pub fn actual_state(agent: &AgentId) -> String {
    format!("actual-state.{agent}")
}

/// The key of a device's heartbeat in the heartbeat bucket.
pub fn heartbeat(agent: &AgentId) -> String {
    format!("heartbeat.{agent}")
}

/// The device of a manifest's key.
pub fn agent_of_desired(key: &str) -> Option<AgentId> {
    key.strip_prefix("desired-state.")?.parse().ok()
}

/// The device of a status's key.
pub fn agent_of_actual(key: &str) -> Option<AgentId> {
    key.strip_prefix("actual-state.")?.parse().ok()
}

/// The device of a heartbeat's key.
pub fn agent_of_heartbeat(key: &str) -> Option<AgentId> {
    key.strip_prefix("heartbeat.")?.parse().ok()
}

/// The subject under which a KV bucket stores `key`.
pub fn kv_subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

/// Where the server republishes committed manifests: from (a pattern of the bucket's subjects) and to (plain subjects).
pub fn republish(bucket: &str) -> (String, String) {
    (format!("$KV.{bucket}.desired-state.>"), format!("holdfast.{bucket}.desired-state.>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_device() {
        let agent: AgentId = "pump-17".parse().unwrap();
        assert_eq!(desired_state(&agent), "desired-state.pump-17");
        assert_eq!(agent_of_desired(&desired_state(&agent)), Some(agent.clone()));
        assert_eq!(agent_of_actual(&actual_state(&agent)), Some(agent.clone()));
        assert_eq!(agent_of_heartbeat(&heartbeat(&agent)), Some(agent));
        assert_eq!(agent_of_actual("desired-state.pump-17"), None);
        assert_eq!(agent_of_actual("actual-state.a.b"), None);
    }
}

//! Whether a device has arrived at a generation, told from its status. Pure.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use manifest_types::{
    manifest::Generation,
    name::ResourceId,
    status::{AgentStatus, ConditionStatus, Phase, ResourceStatus},
};

use crate::age;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// The generation.
    pub generation: Generation,
    /// The revision that holds it.
    pub revision: u64,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of that generation is ready.
    Ready,
    /// The device will not take it.
    Refused {
        /// Why, in one word.
        reason: String,
        /// Why, in a sentence.
        message: String,
    },
    /// The device holds a newer one, this one will not become ready any more.
    Superseded {
        /// The newer one.
        by: u64,
    },
    /// Not yet.
    Waiting(Waiting),
}

/// How far a device is that has not arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Whether its status speaks of the generation that is waited for.
    pub taken: bool,
    /// Resources by phase, once the status speaks of that generation.
    pub counts: BTreeMap<Phase, u64>,
    /// What is not ready, and why.
    pub unready: BTreeMap<ResourceId, String>,
    /// Those of them that have failed.
    pub failed: BTreeMap<ResourceId, String>,
}

/// Judges a device by its status, if it has one.
pub fn verdict(status: Option<&AgentStatus>, awaited: Awaited, now: Timestamp) -> Verdict {
    let Some(status) = status else {
        return Verdict::Waiting(Waiting::default());
    };
    let generation = awaited.generation.get();
    if let Some(accepted) = status.condition("ManifestAccepted")
        && accepted.status == ConditionStatus::False
        && (accepted.observed_generation == generation || status.observed_revision == awaited.revision)
    {
        return Verdict::Refused { reason: accepted.reason.clone(), message: accepted.message.clone() };
    }
    if status.manifest_generation > generation {
        return Verdict::Superseded { by: status.manifest_generation };
    }
    if status.manifest_generation < generation {
        return Verdict::Waiting(Waiting::default());
    }
    let ready = status.condition("Ready").is_some_and(|ready| {
        ready.status == ConditionStatus::True && ready.observed_generation == generation
    });
    if ready { Verdict::Ready } else { Verdict::Waiting(waiting(status, now)) }
}

fn waiting(status: &AgentStatus, now: Timestamp) -> Waiting {
    let unready = status.resources.iter().filter(|(_, resource)| resource.phase != Phase::Ready);
    let unready: BTreeMap<_, _> = unready.map(|(id, resource)| (id.clone(), why(resource, now))).collect();
    let failed = unready.iter().filter(|(id, _)| status.resources[*id].phase == Phase::Failed);
    Waiting {
        taken: true,
        counts: status.counts(),
        failed: failed.map(|(id, why)| (id.clone(), why.clone())).collect(),
        unready,
    }
}

/// Why a resource is in its phase, in a few words: what it waits for, what failed, what it is doing, when it is tried again.
pub fn why(resource: &ResourceStatus, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(error) = &resource.error {
        let times =
            if error.attempts > 1 { format!(" ({} attempts)", error.attempts) } else { String::new() };
        parts.push(format!("{}: {}{times}", error.reason, error.message));
    }
    match (&resource.reason, &resource.message) {
        (Some(reason), Some(message)) => parts.push(format!("{reason}: {message}")),
        (Some(told), None) | (None, Some(told)) => parts.push(told.clone()),
        (None, None) => {}
    }
    if !resource.waiting_for.is_empty() {
        let ids: Vec<_> = resource.waiting_for.iter().map(ResourceId::as_str).collect();
        parts.push(format!("waits for {}", ids.join(", ")));
    }
    if let Some(progress) = &resource.progress {
        let total = progress.total.map_or(String::new(), |total| format!(" of {total}"));
        parts.push(format!("{} {}{total} {}", progress.message, progress.done, progress.unit));
    }
    if let Some(retry) = resource.retry_after {
        let left = retry.duration_since(now);
        parts.push(if left.is_positive() {
            format!("next try in {}", age::short(left))
        } else {
            "next try is due".to_owned()
        });
    }
    if resource.drifted {
        parts.push("drifted, and left so".to_owned());
    }
    parts.join("; ")
}

impl fmt::Display for Waiting {
    /// One line of progress.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.taken {
            return f.write_str("not taken up yet");
        }
        let all: u64 = self.counts.values().sum();
        let ready = self.counts.get(&Phase::Ready).copied().unwrap_or(0);
        write!(f, "{ready}/{all} ready")?;
        let others = self.counts.iter().filter(|(phase, count)| **phase != Phase::Ready && **count > 0);
        for (phase, count) in others {
            write!(f, ", {count} {}", phase.to_string().to_lowercase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use manifest_types::status::{Condition, STATUS_KIND};
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn status(
        manifest: u64,
        observed: u64,
        conditions: &[(&str, &str, u64)],
        resources: Value,
    ) -> AgentStatus {
        let conditions: Vec<Condition> = conditions
            .iter()
            .map(|(kind, status, generation)| {
                serde_json::from_value(json!({
                    "type": kind, "status": status, "reason": "Why", "message": "because",
                    "since": "2026-01-01T00:00:00Z", "observedGeneration": generation,
                }))
                .unwrap()
            })
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "holdfast/v1", "kind": STATUS_KIND, "agentId": "a", "agentVersion": "0.1.0", "instanceId": "i",
            "manifestGeneration": manifest, "observedGeneration": observed, "observedRevision": 40 + observed,
            "updatedAt": "2026-01-01T00:00:00Z", "conditions": conditions, "resources": resources,
        }))
        .unwrap()
    }

    fn judged(status: &AgentStatus) -> Verdict {
        let awaited = Awaited { generation: Generation::try_from(8).unwrap(), revision: 48 };
        verdict(Some(status), awaited, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn ready_counts_only_for_the_generation_that_is_waited_for() {
        assert_eq!(judged(&status(8, 8, &[("Ready", "True", 8)], json!({}))), Verdict::Ready);
        assert!(matches!(judged(&status(7, 7, &[("Ready", "True", 7)], json!({}))), Verdict::Waiting(_)));
        assert!(matches!(judged(&status(8, 8, &[("Ready", "True", 7)], json!({}))), Verdict::Waiting(_)));
        assert!(matches!(judged(&status(8, 8, &[("Ready", "Unknown", 8)], json!({}))), Verdict::Waiting(_)));
        assert_eq!(judged(&status(9, 9, &[("Ready", "True", 9)], json!({}))), Verdict::Superseded { by: 9 });
    }

    #[test]
    fn a_refusal_ends_the_wait_only_if_it_speaks_of_this_manifest() {
        let refused = Verdict::Refused { reason: "Why".to_owned(), message: "because".to_owned() };
        assert_eq!(judged(&status(7, 8, &[("ManifestAccepted", "False", 8)], json!({}))), refused);
        let mut unreadable = status(7, 7, &[("ManifestAccepted", "False", 7)], json!({}));
        assert!(matches!(judged(&unreadable), Verdict::Waiting(_)), "a refusal of an older one");
        unreadable.observed_revision = 48;
        assert_eq!(judged(&unreadable), refused, "one that could not be read, known by its revision");
    }

    #[test]
    fn what_is_not_ready_is_told_with_its_reason() {
        let since = "2026-01-01T00:00:00Z";
        let status = status(
            8,
            8,
            &[("Ready", "False", 8)],
            json!({
                "a": { "kind": "File", "phase": "Ready", "since": since },
                "b": { "kind": "File", "phase": "Pending", "since": since, "waitingFor": ["c"] },
                "c": { "kind": "File", "phase": "Failed", "since": since, "error": { "reason": "NoSpace", "message": "disk full", "attempts": 3 }, "retryAfter": "1970-01-01T00:00:30Z" },
                "d": { "kind": "File", "phase": "Reconciling", "since": since, "progress": { "message": "fetching", "done": 3, "total": 9, "unit": "bytes" } },
            }),
        );
        let Verdict::Waiting(waiting) = judged(&status) else { panic!() };
        assert_eq!(waiting.to_string(), "1/4 ready, 1 pending, 1 reconciling, 1 failed");
        let told: Vec<_> = waiting.unready.iter().map(|(id, why)| format!("{id}: {why}")).collect();
        assert_eq!(
            told,
            [
                "b: waits for c",
                "c: NoSpace: disk full (3 attempts); next try in 30s",
                "d: fetching 3 of 9 bytes"
            ]
        );
        assert_eq!(waiting.failed.keys().map(ResourceId::as_str).collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_device_that_has_said_nothing_is_waited_for() {
        let awaited = Awaited { generation: Generation::FIRST, revision: 1 };
        let Verdict::Waiting(waiting) = verdict(None, awaited, Timestamp::UNIX_EPOCH) else { panic!() };
        assert_eq!(waiting.to_string(), "not taken up yet");
    }
}

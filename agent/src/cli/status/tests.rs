use serde_json::json;

use super::*;

fn status() -> AgentStatus {
    serde_json::from_value(json!({
        "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "01JD",
        "manifestGeneration": 7, "observedGeneration": 8, "observedRevision": 41, "updatedAt": "2026-11-21T05:00:00Z",
        "conditions": [
            { "type": "Ready", "status": "False", "reason": "ResourcesFailed", "message": "1 of 5 ready, 1 failed", "since": "2026-11-21T04:55:00Z", "observedGeneration": 7 },
            { "type": "ManifestAccepted", "status": "False", "reason": "StaleGeneration", "message": "generation 6 is lower than 7", "since": "2026-11-21T04:59:50Z", "observedGeneration": 8 },
            { "type": "Drifted", "status": "True", "reason": "DriftReported", "message": "left as they are: link", "since": "2026-11-21T04:59:50Z", "observedGeneration": 8 },
        ],
        "resources": {
            "conf": { "kind": "File", "phase": "Ready", "since": "2026-11-20T05:00:00Z", "driftCount": 3,
                "lastDrift": { "at": "2026-11-21T04:58:00Z", "action": "Repaired", "fields": [] } },
            "db": { "kind": "File", "phase": "Failed", "since": "2026-11-21T04:58:00Z", "reason": "Applying", "retryAfter": "2026-11-21T05:00:12Z",
                "error": { "reason": "PermissionDenied", "message": "cannot write /etc/db:\nPermission denied", "attempts": 3 } },
            "big": { "kind": "File", "phase": "Reconciling", "since": "2026-11-21T04:59:58Z", "reason": "Applying",
                "progress": { "message": "fetching", "done": 5, "total": 10, "unit": "bytes" } },
            "link": { "kind": "File", "phase": "Ready", "since": "2026-11-21T04:58:00Z", "drifted": true, "driftCount": 1 },
            "web": { "kind": "File", "phase": "Pending", "since": "2026-11-21T04:58:00Z", "reason": "Dependencies", "waitingFor": ["db", "big"] },
        },
        "omitted": { "Ready": 1200 },
    })).unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T05:00:00Z".parse().unwrap()
}

#[test]
fn a_status_is_two_tables_and_a_sum() {
    insta::assert_snapshot!(render(&status(), now(), Paint(false)));
}

#[test]
fn colours_only_colour() {
    let coloured = render(&status(), now(), Paint(true));
    assert!(coloured.contains("\x1b[31mFailed\x1b[0m"), "{coloured:?}");
    let mut plain = coloured.clone();
    for code in ["\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, render(&status(), now(), Paint(false)));
}

#[test]
fn an_agent_without_a_manifest_says_so() {
    let status = AgentStatus {
        manifest_generation: 0,
        observed_generation: 0,
        resources: Default::default(),
        omitted: Default::default(),
        conditions: vec![],
        ..status()
    };
    let told = render(&status, now(), Paint(false));
    assert!(told.contains("no manifest yet") && told.ends_with("\nno resources\n"), "{told}");
}

#[test]
fn a_newer_time_alone_is_no_change() {
    let later = AgentStatus { updated_at: "2026-11-21T05:00:09Z".parse().unwrap(), ..status() };
    assert!(is_same(&status(), &later));
    assert!(!is_same(&status(), &AgentStatus { observed_generation: 9, ..later }));
}

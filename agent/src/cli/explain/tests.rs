use serde_json::{Value, json};

use super::*;

fn told(explanation: Value) -> String {
    let explanation: Explanation = serde_json::from_value(explanation).unwrap();
    render(&explanation, "2026-11-21T05:00:00Z".parse().unwrap(), Paint(false))
}

#[test]
fn a_failure_is_explained() {
    insta::assert_snapshot!(told(json!({
        "id": "web",
        "status": {
            "kind": "File", "phase": "Failed", "since": "2026-11-21T04:55:00Z", "reason": "Applying", "specDigest": "a".repeat(64),
            "error": { "reason": "PermissionDenied", "message": "cannot write /etc/web: Permission denied (os error 13)", "attempts": 3 },
            "driftCount": 2,
            "lastDrift": { "at": "2026-11-21T04:00:00Z", "action": "Repaired", "fields": [{ "path": "mode", "want": "0644", "got": "0600" }] },
        },
        "dependsOn": { "net": "Ready" },
        "holds": { "path:/etc/web": "Absent", "path:/etc/old": "Original" },
        "differences": [{ "path": "content", "want": "sha256:aa", "got": "sha256:bb" }],
        "attempts": 3, "revision": 4, "retryInSeconds": 12.4,
    })));
}

#[test]
fn waiting_is_explained() {
    insta::assert_snapshot!(told(json!({
        "id": "web",
        "status": { "kind": "File", "phase": "Pending", "since": "2026-11-21T04:59:50Z", "reason": "Dependencies", "message": "waits\u{1b}[31m", "waitingFor": ["db", "gone"] },
        "dependsOn": { "db": "Reconciling", "net": "Ready" }, "holds": {}, "differences": [], "attempts": 0, "revision": 0, "pausedSeconds": 600,
    })));
}

#[test]
fn what_is_not_tried_again_says_how_to() {
    let told = told(json!({
        "id": "web", "status": { "kind": "File", "phase": "Failed", "since": "2026-11-21T04:59:50Z", "error": { "reason": "Broken", "message": "it broke", "attempts": 1 } },
        "dependsOn": {}, "holds": {}, "differences": [], "attempts": 1, "revision": 1,
    }));
    assert!(
        told.contains("Tried once in vain.\nNot tried again by itself")
            && told.contains("`holdfast retry web`"),
        "{told}"
    );
}

#[test]
fn a_pause_is_no_retry() {
    let paused = |paused_seconds: Option<u64>| {
        told(json!({
            "id": "web", "status": { "kind": "File", "phase": "Pending", "since": "2026-11-21T04:59:50Z", "reason": "Paused" },
            "dependsOn": {}, "holds": {}, "differences": [], "attempts": 0, "revision": 1, "pausedSeconds": paused_seconds, "retryInSeconds": 600.0,
        }))
    };
    assert!(paused(Some(600)).contains("Paused for another 10m; `holdfast resume web` ends it."));
    assert!(paused(None).contains("Paused for another 10m; `holdfast resume` ends it."));
    assert!(!paused(None).contains("Tried again"));
}

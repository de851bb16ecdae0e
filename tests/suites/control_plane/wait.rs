use std::time::Duration;

use e2e::{ControlPlane, Fleet, Running, fleet, until, until_some};
use manifest_types::status::{AgentHeartbeat, AgentStatus};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{manifest, ready, written};

const SOON: Duration = Duration::from_secs(20);

fn status(generation: u64, conditions: &[(&str, &str, &str)], resources: Value) -> AgentStatus {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(kind, status, reason)| {
            json!({
                "type": kind, "status": status, "reason": reason, "message": "told by the test",
                "since": "2026-01-01T00:00:00Z", "observedGeneration": generation,
            })
        })
        .collect();
    let value = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": generation, "observedGeneration": generation, "observedRevision": generation,
        "updatedAt": "2026-01-01T00:00:00Z", "conditions": conditions, "resources": resources,
    });
    serde_json::from_value(value).unwrap()
}

fn resource(phase: &str) -> Value {
    json!({ "kind": "File", "phase": phase, "since": "2026-01-01T00:00:00Z" })
}

/// An `apply --wait` that has written its manifest and waits.
async fn waiting(control: &ControlPlane, fleet: &Fleet, limit: &str) -> (TempDir, Running) {
    let (folder, path) = written("m.json", &manifest(&["a", "b"]).to_string());
    let wait = format!("--wait={limit}");
    let running = control.start(["apply", "-f", &path, "--agent", "pump-17", &wait]);
    let pump = "pump-17".parse().unwrap();
    until_some("the manifest", SOON, async || fleet.desired(&pump).await).await;
    (folder, running)
}

#[tokio::test]
async fn it_waits_until_all_is_ready_and_tells_what_fails_on_the_way() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    let (_folder, mut apply) = waiting(&control, &fleet, "1m").await;
    let mut failing = json!({ "a": resource("Ready"), "b": resource("Failed") });
    failing["b"]["error"] = json!({ "reason": "NoSpace", "message": "disk full", "attempts": 1 });
    fleet.put_status(&status(1, &[("Ready", "False", "ResourcesFailed")], failing.clone())).await;
    until("the failure", SOON, async || apply.stdout().contains("pump-17: b failed: NoSpace: disk full\n"))
        .await;
    failing["b"]["error"]["attempts"] = json!(2);
    fleet.put_status(&status(1, &[("Ready", "False", "ResourcesFailed")], failing)).await;
    assert!(apply.is_running());
    let ready = json!({ "a": resource("Ready"), "b": resource("Ready") });
    fleet.put_status(&status(1, &[("Ready", "True", "AllResourcesReady")], ready)).await;
    assert_eq!(apply.wait(SOON).await.code(), Some(0));
    assert_eq!(
        apply.stdout(),
        "\
pump-17: generation 1 (revision 1), 2 resources
pump-17: not taken up yet
pump-17: b failed: NoSpace: disk full
pump-17: 1/2 ready, 1 failed
pump-17: generation 1 is ready
"
    );
}

#[tokio::test]
async fn a_refusal_ends_it() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    let (_folder, mut apply) = waiting(&control, &fleet, "1m").await;
    fleet.put_status(&status(1, &[("ManifestAccepted", "False", "ConflictingClaims")], json!({}))).await;
    assert_eq!(apply.wait(SOON).await.code(), Some(3));
    let told = apply.stderr();
    assert!(told.starts_with("pump-17 refused generation 1: ConflictingClaims: told by the test"), "{told}");
}

#[tokio::test]
async fn time_running_out_tells_what_is_not_ready_and_why() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    let (_folder, mut silent) = waiting(&control, &fleet, "200ms").await;
    assert_eq!(silent.wait(SOON).await.code(), Some(4));
    assert!(silent.stderr().contains("not ready after 200ms"), "{}", silent.stderr());
    assert!(silent.stderr().contains("gives no sign of life"), "{}", silent.stderr());

    let mut pending = json!({ "a": resource("Ready"), "b": resource("Pending") });
    pending["b"]["waitingFor"] = json!(["a"]);
    fleet.put_status(&status(1, &[("Ready", "False", "Waiting")], pending)).await;
    let (_folder, mut unready) = waiting(&control, &fleet, "5s").await;
    assert_eq!(unready.wait(SOON).await.code(), Some(4));
    assert!(unready.stderr().contains("\n  b: waits for a\n"), "{}", unready.stderr());
    assert!(unready.stdout().starts_with("pump-17: unchanged: generation 1"), "{}", unready.stdout());
}

#[tokio::test]
async fn a_device_that_lives_but_takes_nothing_up_is_told() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    let beat = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentHeartbeat", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": 0, "observedGeneration": 0, "uptimeSeconds": 1, "sentAt": "2026-01-01T00:00:00Z",
    });
    let beat: AgentHeartbeat = serde_json::from_value(beat).unwrap();
    fleet.put_heartbeat(&beat).await;
    let (_folder, mut apply) = waiting(&control, &fleet, "200ms").await;
    assert_eq!(apply.wait(SOON).await.code(), Some(4));
    assert!(apply.stderr().contains("gives signs of life, but has not taken it up"), "{}", apply.stderr());
}

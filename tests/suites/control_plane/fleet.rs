use std::time::Duration;

use e2e::{Fleet, fleet, until};
use manifest_types::status::{AgentHeartbeat, AgentStatus};
use serde_json::{Value, json};

use super::{apply, manifest, ready};

const SOON: Duration = Duration::from_secs(20);

fn status() -> AgentStatus {
    let since = "2026-01-01T00:00:00Z";
    let value = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentStatus", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": 1, "observedGeneration": 1, "observedRevision": 1, "updatedAt": since,
        "conditions": [{ "type": "Ready", "status": "False", "reason": "ResourcesFailed", "since": since, "observedGeneration": 1 }],
        "resources": {
            "a": { "kind": "File", "phase": "Ready", "since": since, "driftCount": 2,
                "lastDrift": { "at": since, "action": "Repaired", "fields": [{ "path": "mode", "want": "0640", "got": "0600" }] } },
            "b": { "kind": "File", "phase": "Failed", "since": since, "error": { "reason": "NoSpace", "message": "disk full", "attempts": 3 } },
        },
    });
    serde_json::from_value(value).unwrap()
}

async fn beat(fleet: &Fleet) {
    let value = json!({
        "apiVersion": "holdfast/v1", "kind": "AgentHeartbeat", "agentId": "pump-17", "agentVersion": "0.1.0", "instanceId": "i",
        "manifestGeneration": 1, "observedGeneration": 1, "uptimeSeconds": 1, "sentAt": "2026-01-01T00:00:00Z",
    });
    let heartbeat: AgentHeartbeat = serde_json::from_value(value).unwrap();
    fleet.put_heartbeat(&heartbeat).await;
}

fn columns(table: &str, line: usize) -> Vec<&str> {
    table.lines().nth(line).unwrap_or_default().split_whitespace().collect()
}

#[tokio::test]
async fn an_empty_fleet_is_shown_as_such() {
    let (_server, control) = ready().await;
    assert_eq!(control.run(["get"]).await.printed(), "no devices\n");
    assert_eq!(control.run(["watch", "--once", "-o", "json"]).await.json(), json!([]));
    let told = control.run(["describe", "pump-17"]).await.failed(1);
    assert!(told.starts_with("nothing is known of pump-17"), "{told}");
    let told = control.run(["get", "pump-17"]).await.failed(1);
    assert!(told.starts_with("pump-17 has not reported a status"), "{told}");
}

#[tokio::test]
async fn a_device_is_shown_from_all_sides() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    apply(&control, &manifest(&["a", "b"])).await;
    apply(&control, &manifest(&["a"])).await;
    fleet.put_status(&status()).await;
    beat(&fleet).await;

    for line in [&["get"][..], &["watch", "--once"]] {
        let table = control.run(line).await.printed();
        let row = columns(&table, 1);
        assert_eq!(row[..3], ["pump-17", "0.1.0", "online"], "{table}");
        assert_eq!(row[4..9], ["2/1", "1", "1", "0", "2"], "{table}");
    }
    let row = &control.run(["get", "-o", "json"]).await.json()[0];
    assert_eq!((&row["link"], &row["wanted"], &row["seen"]), (&json!("online"), &json!(2), &json!(1)));

    let resources = control.run(["get", "pump-17"]).await.printed();
    assert_eq!(columns(&resources, 1)[..3], ["a", "File", "Ready"], "{resources}");
    assert!(resources.contains("NoSpace: disk full (3 attempts)"), "{resources}");
    let raw = control.run(["get", "pump-17", "-o", "json"]).await.json();
    assert_eq!(raw["resources"]["b"]["error"]["reason"], "NoSpace");

    let described = control.run(["describe", "pump-17"]).await.printed();
    for told in [
        "Wanted      generation 2 (revision 2, ",
        "Ready is False",
        "drifted 2 times",
        "mode: wanted \"0640\", was \"0600\"",
        "NoSpace: disk full",
    ] {
        assert!(described.contains(told), "{told}: {described}");
    }
    let described = control.run(["describe", "pump-17", "-o", "json"]).await.json();
    assert_eq!(described["desired"], json!({ "generation": 2, "revision": 2 }));
    assert_eq!(described["heartbeat"]["uptimeSeconds"], 1);
}

#[tokio::test]
async fn a_deleted_device_is_gone_from_the_table() {
    let (server, control) = ready().await;
    let fleet = fleet(&server).await;
    apply(&control, &manifest(&["a"])).await;
    fleet.put_status(&status()).await;
    beat(&fleet).await;
    control.run(["delete", "pump-17"]).await.printed();
    let table = control.run(["get"]).await.printed();
    assert!(table.contains("manifest deleted"), "what still reports stays: {table}");
    let told = control.run(["delete", "pump-17", "--status"]).await.printed();
    assert!(told.contains("status deleted") && told.contains("heartbeat deleted"), "{told}");
    assert_eq!(control.run(["get"]).await.printed(), "no devices\n");
    let told = control.run(["describe", "pump-17"]).await.printed();
    assert!(told.contains("manifest deleted (revision "), "what was is still told when asked for: {told}");
}

#[tokio::test]
async fn a_watch_shows_every_change_also_after_the_server_was_away() {
    let (mut server, control) = ready().await;
    let watch = control.start(["watch", "-o", "json"]);
    let last = || -> Value {
        watch.stdout().lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default()
    };
    until("an empty fleet", SOON, async || last() == json!([])).await;
    apply(&control, &manifest(&["a"])).await;
    until("the device", SOON, async || last()[0]["wanted"] == 1).await;
    server.restart(e2e::Store::Kept).await;
    apply(&control, &manifest(&["b"])).await;
    until("the next generation", SOON, async || last()[0]["wanted"] == 2).await;
    server.restart(e2e::Store::Emptied).await;
    control.run(["init"]).await.printed();
    apply(&control, &manifest(&["c"])).await;
    until("the first generation of a new bucket", SOON, async || last()[0]["wanted"] == 1).await;
}

//! What a person at the device does with a running agent.

use std::{fs, time::Duration};

use e2e::{Device, NatsServer, agent::LONG, fleet, until};
use manifest_types::status::{AgentStatus, ConditionStatus, Phase};
use serde_json::{Value, json};

use crate::{files, manifest};

const LIMIT: Duration = Duration::from_secs(30);

/// Asks the agent; the exit code and what was printed.
async fn ask(device: &Device, arguments: &[&str]) -> (Option<i32>, String) {
    let mut asked = device.ask(arguments).start();
    let ended = asked.wait(LIMIT).await;
    (ended.code(), format!("{}{}", asked.stdout(), asked.stderr()))
}

async fn told(device: &Device, arguments: &[&str]) -> Value {
    let (code, printed) = ask(device, &[arguments, &["--output", "json"]].concat()).await;
    assert_eq!(code, Some(0), "{printed}");
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

#[tokio::test]
async fn a_paused_resource_is_left_alone_until_it_is_resumed() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a"), ("/etc/b", "b")])).await;
    device.ready(&fleet, 1).await;
    assert_eq!(ask(&device, &["pause", "etc-a", "--for", "1h"]).await.0, Some(0));
    fs::write(device.path("/etc/a"), "changed").unwrap();
    fs::write(device.path("/etc/b"), "changed").unwrap();
    until("the other is repaired", LONG, async || device.read("/etc/b").as_deref() == Some("b")).await;
    let paused = |status: &AgentStatus| {
        status.resources.values().any(|resource| resource.reason.as_deref() == Some("Paused"))
    };
    device.status(&fleet, "the pause is told".into(), paused).await;
    let (code, explained) = ask(&device, &["explain", "etc-a"]).await;
    assert_eq!(code, Some(0));
    assert!(explained.contains("Paused") || explained.contains("paused"), "{explained}");
    assert_eq!(device.read("/etc/a").as_deref(), Some("changed"));
    assert_eq!(ask(&device, &["resume", "etc-a"]).await.0, Some(0));
    until("it is repaired", LONG, async || device.read("/etc/a").as_deref() == Some("a")).await;
}

#[tokio::test]
async fn a_plan_says_what_would_change_and_changes_nothing() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a"), ("/etc/b", "b")])).await;
    device.ready(&fleet, 1).await;
    let path = device.home().join("next.json");
    let text = path.to_str().unwrap();
    fs::write(&path, files(&[("/etc/a", "a"), ("/etc/b", "b")]).to_string()).unwrap();
    let (code, printed) = ask(&device, &["plan", "-f", text]).await;
    assert_eq!(code, Some(0), "{printed}");
    fs::write(&path, files(&[("/etc/a", "other"), ("/etc/c", "c")]).to_string()).unwrap();
    let (code, printed) = ask(&device, &["plan", "-f", text]).await;
    assert_eq!(code, Some(2), "{printed}");
    for word in ["etc-a", "etc-b", "etc-c", "content"] {
        assert!(printed.contains(word), "{word}: {printed}");
    }
    fs::write(&path, "{").unwrap();
    assert_eq!(ask(&device, &["plan", "-f", text]).await.0, Some(1));
    // 2 would say that there is something to do.
    assert_eq!(ask(&device, &["plan", "--no-such-flag"]).await.0, Some(1));
    assert_eq!(device.read("/etc/a").as_deref(), Some("a"));
    assert!(!device.path("/etc/c").exists());
}

#[tokio::test]
async fn a_failed_resource_is_retried_at_once_when_asked() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let spec = json!({ "path": "/no/such/folder/a", "content": { "inline": "a" } });
    fleet.apply(&device.id, &manifest(&[json!({ "id": "a", "kind": "File", "spec": spec })])).await;
    let failed =
        |status: &AgentStatus| status.resources.values().any(|resource| resource.phase == Phase::Failed);
    device.status(&fleet, "it fails".into(), failed).await;
    until("why, and what to do, is told", LONG, async || {
        let (_, explained) = ask(&device, &["explain", "a"]).await;
        explained.contains("ParentMissing") && explained.contains("createParents")
    })
    .await;
    // Long after the failure, when all of it is in the ledger.
    tokio::time::sleep(Duration::from_secs(3)).await;
    fs::create_dir_all(device.path("/no/such/folder")).unwrap();
    assert_eq!(ask(&device, &["retry", "a"]).await.0, Some(0));
    device.ready(&fleet, 1).await;
    let (code, printed) = ask(&device, &["retry", "nobody"]).await;
    assert_eq!(code, Some(1));
    assert!(printed.contains("nobody"), "{printed}");
}

#[tokio::test]
async fn forgotten_generations_let_a_control_plane_begin_anew() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    let with = |generation: u64, content: &str| {
        let mut manifest = files(&[("/etc/a", content)]);
        manifest["generation"] = json!(generation);
        manifest.to_string()
    };
    fleet.put_desired(&device.id, with(900, "old")).await;
    device.ready(&fleet, 900).await;
    fleet.put_desired(&device.id, with(1, "new")).await;
    let stale = |status: &AgentStatus| {
        status
            .condition("ManifestAccepted")
            .is_some_and(|is| is.status == ConditionStatus::False && is.reason == "StaleGeneration")
    };
    device.status(&fleet, "the lower one is refused".into(), stale).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("old"));
    assert_eq!(ask(&device, &["forget-generation"]).await.0, Some(0));
    device.ready(&fleet, 1).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("new"));
    agent.kill();
    let _agent = device.start();
    device.ready(&fleet, 1).await;
}

#[tokio::test]
async fn the_running_agent_tells_how_it_fares() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    let status = device.ready(&fleet, 1).await;
    let shown = told(&device, &["status"]).await;
    assert_eq!(shown["instanceId"], json!(status.instance_id));
    assert_eq!(shown["resources"]["etc-a"]["phase"], "Ready");
    let (code, printed) = ask(&device, &["status"]).await;
    assert!(code == Some(0) && printed.contains("etc-a") && printed.contains("Ready"), "{printed}");
    assert_eq!(ask(&device, &["doctor"]).await.0, Some(0));
    drop(agent);
    let (code, printed) = ask(&device, &["status"]).await;
    assert_eq!(code, Some(1));
    assert!(printed.contains(device.socket().to_str().unwrap()), "where it looked is told: {printed}");
}

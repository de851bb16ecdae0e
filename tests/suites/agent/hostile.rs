//! Hostile input: each with its typed reason, and nothing else disturbed.

use e2e::{Device, NatsServer, fleet};
use manifest_types::status::{AgentStatus, ConditionStatus, Phase};
use serde_json::{Value, json};

use crate::{file, files, manifest};

fn accepted(status: &AgentStatus) -> (ConditionStatus, String) {
    let condition = status.condition("ManifestAccepted").unwrap();
    (condition.status, condition.reason.clone())
}

#[tokio::test]
async fn what_is_refused_disturbs_nothing() {
    let server = NatsServer::start_with("max_payload: 4MB").await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let good = files(&[("/etc/a", "a")]);
    fleet.apply(&device.id, &good).await;
    device.ready(&fleet, 1).await;
    let with = |key: &str, value: Value| {
        let mut manifest = good.clone();
        manifest["generation"] = json!(3);
        manifest[key] = value;
        manifest.to_string().into_bytes()
    };
    let mut looped = [file("/etc/a", "a"), file("/etc/b", "b")];
    looped[0]["dependsOn"] = json!(["etc-b"]);
    looped[1]["dependsOn"] = json!(["etc-a"]);
    let mut dangling = file("/etc/a", "a");
    dangling["dependsOn"] = json!(["nowhere"]);
    let mut twin = file("/etc/a", "a");
    twin["id"] = json!("twin");
    let many: Vec<_> = (0..20_000).map(|n| json!({ "id": format!("f{n}") })).collect();
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let mut stale = good.clone();
    stale["generation"] = json!(1);
    let stale = stale.to_string().into_bytes();
    let mut next = good.clone();
    next["generation"] = json!(2);
    fleet.put_desired(&device.id, next.to_string()).await;
    device.ready(&fleet, 2).await;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("Unparsable", b"not JSON".to_vec()),
        ("Unparsable", b"\xff\xfe".to_vec()),
        ("Unparsable", nested.into_bytes()),
        ("UnsupportedApiVersion", with("apiVersion", json!("holdfast/v9"))),
        ("Invalid", with("surprise", json!(1))),
        ("Invalid", with("resources", json!({}))),
        ("Invalid", with("generation", json!(0))),
        ("Invalid", with("generation", json!(u64::MAX))),
        ("NoGeneration", good.to_string().into_bytes()),
        ("GenerationReused", {
            let mut other = files(&[("/etc/a", "b")]);
            other["generation"] = json!(2);
            other.to_string().into_bytes()
        }),
        ("OtherDevice", with("agentId", json!("pump-2"))),
        ("TooLarge", with("resources", json!(many))),
        ("TooLarge", with("resources", json!([file("/etc/a", &"x".repeat(2 * 1024 * 1024))]))),
        ("StaleGeneration", stale),
        ("DuplicateId", with("resources", json!([file("/etc/a", "a"), file("/etc/a", "a")]))),
        ("ConflictingClaims", with("resources", json!([file("/etc/a", "a"), twin]))),
        ("DependencyCycle", with("resources", json!(looped))),
        ("DanglingDependency", with("resources", json!([dangling]))),
    ];
    for (reason, bytes) in cases {
        let revision = fleet.put_desired(&device.id, bytes).await;
        let status = device
            .status(&fleet, format!("{reason} is told"), |status| status.observed_revision == revision)
            .await;
        assert_eq!(accepted(&status), (ConditionStatus::False, reason.to_owned()));
        assert_eq!(status.manifest_generation, 2);
        assert_eq!(status.resources.values().next().unwrap().phase, Phase::Ready);
        assert_eq!(device.read("/etc/a").as_deref(), Some("a"));
    }
}

#[tokio::test]
async fn a_bad_entry_costs_only_itself() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    std::fs::create_dir_all(device.path("/etc")).unwrap();
    std::os::unix::fs::symlink("/etc", device.path("/escape")).unwrap();
    std::os::unix::fs::symlink("../../../../../..", device.path("/up")).unwrap();
    let _agent = device.start();
    let with = |id: &str, spec: Value| json!({ "id": id, "kind": "File", "spec": spec });
    let content = || json!({ "inline": "x" });
    let mut dependant = file("/etc/dependant", "d");
    dependant["dependsOn"] = json!(["unknown-field"]);
    let entries = [
        file("/etc/good", "good"),
        dependant,
        with("unknown-field", json!({ "path": "/etc/1", "colour": 1, "content": content() })),
        with("wrong-type", json!({ "path": 7, "content": content() })),
        with("dots", json!({ "path": "/etc/../2", "content": content() })),
        with("proc", json!({ "path": "/proc/sys/x", "content": content() })),
        with("nobody", json!({ "path": "/etc/3", "owner": "no-such-user", "content": content() })),
        with("no-parent", json!({ "path": "/nowhere/4", "content": content() })),
        with("through-a-link", json!({ "path": "/escape/5", "content": content() })),
        with("up-and-out", json!({ "path": "/up/tmp/6", "createParents": true, "content": content() })),
        json!({ "id": "hologram", "kind": "Hologram", "spec": {} }),
    ];
    let mut wanted = manifest(&entries);
    wanted["generation"] = json!(1);
    fleet.put_desired(&device.id, wanted.to_string()).await;
    let settled = |status: &AgentStatus| {
        let phase = |id: &str| {
            status.resources.iter().find(|(own, _)| own.as_str() == id).map(|(_, resource)| resource.phase)
        };
        phase("etc-good") == Some(Phase::Ready)
            && phase("nobody") == Some(Phase::Failed)
            && phase("no-parent") == Some(Phase::Failed)
            && ["through-a-link", "up-and-out"].iter().all(|id| phase(id) == Some(Phase::Ready))
    };
    let status = device.status(&fleet, "all have settled".into(), settled).await;
    let told = |id: &str| {
        let (_, resource) = status.resources.iter().find(|(own, _)| own.as_str() == id).unwrap();
        let reason = resource.error.as_ref().map(|error| error.reason.clone()).or(resource.reason.clone());
        (resource.phase, reason.unwrap_or_default())
    };
    for id in ["unknown-field", "wrong-type", "dots", "proc"] {
        assert_eq!(told(id), (Phase::Failed, "InvalidSpec".into()), "{id}");
    }
    assert_eq!(told("nobody"), (Phase::Failed, "UnknownOwner".into()));
    assert_eq!(told("no-parent"), (Phase::Failed, "ParentMissing".into()));
    assert_eq!(told("hologram"), (Phase::Unknown, "UnknownKind".into()));
    assert_eq!(told("etc-dependant"), (Phase::Pending, "Dependencies".into()));
    assert!(device.read("/etc/5").is_some(), "a link leads to a place below the root");
    assert!(device.read("/tmp/6").is_some(), "and never above it");
    assert!(!std::path::Path::new("/tmp/6").exists());
}

//! Without a network: the manifest from a file, the status beside it.

use std::{fs, path::PathBuf};

use e2e::{
    Device,
    agent::{LONG, is_ready},
    until, until_some,
};
use manifest_types::{
    name::AgentId,
    status::{AgentStatus, ConditionStatus},
};

/// A device whose agent reads a file beside its root.
struct Alone {
    device: Device,
    manifest: PathBuf,
}

impl Alone {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap().keep();
        let manifest = place.join("manifest.yaml");
        let device =
            Device::with_flags("pump-1", &["--source", "file", "--manifest", manifest.to_str().unwrap()]);
        Self { device, manifest }
    }

    /// Puts a new manifest in place, as a deployment does.
    fn put(&self, text: &str) {
        let beside = self.manifest.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, &self.manifest).unwrap();
    }

    fn status(&self) -> Option<AgentStatus> {
        let path = self.manifest.with_file_name("manifest.yaml.status.json");
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    async fn told(&self, what: &str, is: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
        until_some(what, LONG, async || self.status().filter(&is)).await
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(self.manifest.parent().unwrap()));
    }
}

fn motd(content: &str) -> String {
    format!(
        "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n  - id: motd\n    kind: File\n    spec: {{ path: /motd, content: {{ inline: {content} }} }}\n"
    )
}

fn refused(status: &AgentStatus, reason: &str) -> bool {
    let accepted = status.condition("ManifestAccepted");
    accepted.is_some_and(|is| is.status == ConditionStatus::False && is.reason == reason)
}

#[tokio::test]
async fn a_manifest_in_a_file_is_held_and_told_beside_it() {
    let alone = Alone::new();
    let device = &alone.device;
    let mut agent = device.start();
    alone.put(&motd("one"));
    let status = alone.told("generation 1 Ready", |status| is_ready(status, 1)).await;
    assert_eq!(status.agent_id, "pump-1".parse::<AgentId>().unwrap());
    assert_eq!(device.read("/motd").as_deref(), Some("one"));

    alone.put(&motd("two"));
    alone.told("the ledger numbers: generation 2 Ready", |status| is_ready(status, 2)).await;
    assert_eq!(device.read("/motd").as_deref(), Some("two"));

    alone.put("resources: [");
    let status = alone.told("it is refused", |status| refused(status, "Unparsable")).await;
    let message = &status.condition("ManifestAccepted").unwrap().message;
    assert!(message.starts_with("2:1: "), "where it is wrong is told: {message}");
    assert_eq!(device.read("/motd").as_deref(), Some("two"));

    let large = format!("{}# {}\n", motd("three"), "x".repeat(2 * 1024 * 1024));
    alone.put(&large);
    alone.told("2 MiB are refused", |status| refused(status, "TooLarge")).await;
    assert_eq!(device.read("/motd").as_deref(), Some("two"));

    agent.kill();
    alone.put(&motd("two"));
    fs::write(device.path("/motd"), "changed").unwrap();
    let _agent = device.start();
    until("it is held again", LONG, async || device.read("/motd").as_deref() == Some("two")).await;
    alone.told("the same manifest is the same generation", |status| is_ready(status, 2)).await;
    fs::remove_file(&alone.manifest).unwrap();
    let id = |status: &AgentStatus| status.instance_id.clone();
    let before = id(&alone.status().unwrap());
    fs::write(device.path("/motd"), "changed").unwrap();
    until("a missing file takes nothing away", LONG, async || device.read("/motd").as_deref() == Some("two"))
        .await;
    assert_eq!(before, id(&alone.status().unwrap()));
}

//! The control plane's command line against a real NATS server.

#![expect(clippy::unwrap_used, reason = "all of this is tests, also what stands outside of a test function")]

use std::fs;

use e2e::{ControlPlane, NatsServer};
use serde_json::{Value, json};
use tempfile::TempDir;

mod apply;
mod buckets;
mod fleet;
mod links;
mod numbering;
mod wait;

/// A server with both buckets, and the command line for it.
async fn ready() -> (NatsServer, ControlPlane) {
    let server = NatsServer::start().await;
    let control = ControlPlane::new(&server);
    control.run(["init"]).await.printed();
    (server, control)
}

/// A manifest with these resources, as a person writes one.
fn manifest(ids: &[&str]) -> Value {
    let resources: Vec<_> = ids
        .iter()
        .map(|id| json!({ "id": id, "kind": "File", "spec": { "path": format!("/etc/{id}"), "content": { "inline": "x\n" } } }))
        .collect();
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources })
}

/// Applies a manifest for `pump-17`; what is printed.
async fn apply(control: &ControlPlane, manifest: &Value) -> String {
    let input = manifest.to_string();
    let run = control.run_with(["apply", "-f", "-", "--agent", "pump-17"], &input);
    run.await.printed().trim_end().to_owned()
}

/// A folder with one file in it, and that file's path.
fn written(name: &str, text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

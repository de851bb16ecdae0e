//! The main job, with a real NATS server and real files: a manifest becomes true, stays true, and is reported.

#![expect(clippy::unwrap_used, reason = "all of this is tests, also what stands outside of a test function")]

use serde_json::{Value, json};

mod cables;
mod clock;
mod contents;
mod converge;
mod disks;
mod fencing;
mod file_source;
mod hostile;
mod kills;
mod languages;
mod logins;
mod operator;
mod servers;
mod supervised;

/// A manifest with one file for each of these.
fn files(files: &[(&str, &str)]) -> Value {
    let resources: Vec<_> = files.iter().map(|(path, content)| file(path, content)).collect();
    manifest(&resources)
}

/// A manifest as a person writes one.
fn manifest(resources: &[Value]) -> Value {
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources })
}

/// The entry of a file, with an id made of its path.
fn file(path: &str, content: &str) -> Value {
    let id = path.trim_start_matches('/').replace('/', "-");
    json!({ "id": id, "kind": "File", "spec": { "path": path, "createParents": true, "content": { "inline": content } } })
}

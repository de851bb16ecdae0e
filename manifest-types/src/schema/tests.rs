use std::{fs, path::Path};

use super::*;
use crate::{document, manifest::AgentManifest};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_checked_in_schemas_are_current() {
    for (name, schema) in [("agent-manifest", agent_manifest()), ("agent-status", agent_status())] {
        let path = repository().join(format!("schemas/{name}.schema.json"));
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == to_text(&schema), "{} is not current; run: cargo xtask schemas", path.display());
    }
}

#[test]
fn every_example_is_valid_and_every_kind_has_one() {
    let validator = jsonschema::draft202012::new(&agent_manifest()).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    let entries = fs::read_dir(repository().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    // What is in folders is no manifest: a compose file.
    for path in entries.filter(|path| path.is_file()) {
        let text = fs::read_to_string(&path).unwrap();
        let value = document::from_yaml(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
        let manifest = AgentManifest::read(&value).unwrap();
        assert_eq!(manifest.problems().next(), None, "{}", path.display());
        kinds.extend(manifest.resources.into_iter().map(|resource| resource.kind));
    }
    let known: std::collections::BTreeSet<_> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(kinds, known);
}

#[test]
fn the_manifest_schema_is_closed() {
    let validator = jsonschema::draft202012::new(&agent_manifest()).unwrap();
    let manifest = |spec: Value| json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [{ "id": "a", "kind": "File", "spec": spec }] });
    assert!(validator.is_valid(&manifest(json!({ "path": "/a", "content": { "inline": "" } }))));
    for bad in [
        json!({ "path": "/a", "contents": {} }),
        json!({ "path": "/a/../b" }),
        json!({ "path": "/a/" }),
        json!({ "path": "/a", "mode": 644 }),
        json!({ "path": "/a", "content": { "inline": "", "base64": "" } }),
        json!({ "path": "/a", "content": { "url": "https://x" } }),
        json!({}),
        json!(3),
    ] {
        assert!(!validator.is_valid(&manifest(bad.clone())), "{bad}");
    }
    assert!(
        !validator.is_valid(
            &json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [], "x": 1 })
        )
    );
    assert!(!validator.is_valid(&json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [{ "id": "a", "kind": "Hologram", "spec": {} }] })));
}

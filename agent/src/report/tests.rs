use manifest_types::status::Phase;
use serde_json::json;

use super::*;
use crate::engine::tests::{Bench, absent, file, right};

/// A device with something in every phase.
fn varied() -> Bench {
    let mut bench = Bench::new();
    let mut waits = file("waits", "/w", "x");
    waits["dependsOn"] = json!(["bad"]);
    let bad = json!({ "id": "bad", "kind": "File", "spec": { "path": "w" } });
    let unknown = json!({ "id": "unknown", "kind": "Hologram", "spec": {} });
    bench.bring(7, &[file("ready", "/r", "x"), file("working", "/k", "x"), waits, bad, unknown]);
    bench.see(|id| Ok(if id == "ready" { right(1) } else { absent() }));
    bench
}

#[test]
fn a_status_is_derived_from_the_facts() {
    let bench = varied();
    insta::assert_json_snapshot!(report(&bench.engine, bench.now));
}

#[test]
fn a_status_that_is_too_large_sheds_what_matters_least() {
    let bench = varied();
    let whole = report(&bench.engine, bench.now);
    let size = to_bytes(&whole).len();
    let mut left = usize::MAX;
    for limit in (0..=size).rev().step_by(50) {
        let status = shed::within(whole.clone(), limit);
        assert!(status.resources.len() <= left);
        left = status.resources.len();
        assert_eq!(status.conditions, whole.conditions, "conditions are never shed");
        assert_eq!(status.counts(), whole.counts(), "what went is counted");
        assert!(to_bytes(&status).len() <= limit || status.resources.is_empty());
    }
    let little = shed::within(whole.clone(), size - 100);
    assert!(!little.resources.values().any(|resource| resource.phase == Phase::Ready));
    assert!(little.resources.values().any(|resource| resource.phase == Phase::Failed));
}

#[test]
fn a_newer_time_alone_is_no_change() {
    let bench = varied();
    let one = report(&bench.engine, bench.now);
    let later = report(&bench.engine, crate::engine::tests::at(500.0));
    assert_ne!(one.updated_at, later.updated_at);
    assert_eq!(content_digest(&one), content_digest(&later));
}

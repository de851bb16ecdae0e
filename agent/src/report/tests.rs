use manifest_types::status::{ConditionStatus, Phase};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    engine::tests::{Bench, absent, file, right, wrong},
    plan::tests::manifest,
};

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

proptest! {
    /// Whatever has happened, a status says of each resource what is known of it, and `Ready` only when all are.
    #[test]
    fn a_status_says_no_more_than_is_so(
        manifests in prop::collection::vec(manifest(), 1..4),
        sights in prop::collection::vec(0u8..3, 12),
        limit in 0usize..6000,
    ) {
        let mut bench = Bench::new();
        for (generation, resources) in manifests.iter().enumerate() {
            bench.bring(generation as u64 + 1, resources);
            for seen in &sights {
                let told = bench.told();
                let begun = |word: &str| told.iter().any(|told| told.starts_with(word));
                if begun("observe") {
                    bench.see(|_| Ok(match seen { 0 => absent(), 1 => right(1), _ => wrong(2) }));
                } else if begun("remember") {
                    bench.remembered();
                } else if begun("start") {
                    bench.end(Ok(()), &if *seen == 0 { absent() } else { right(1) });
                }
                let status = whole(&bench.engine, bench.now);
                prop_assert_eq!(status.manifest_generation, generation as u64 + 1);
                let all_ready = status.resources.values().all(|resource| resource.phase == Phase::Ready);
                let ready = status.condition("Ready").unwrap();
                prop_assert_eq!(ready.status == ConditionStatus::True, all_ready, "{:?}", status.resources);
                for entry in resources {
                    let resource = &status.resources[entry["id"].as_str().unwrap()];
                    let digest = Digest::of_json(&entry["spec"]);
                    prop_assert!(resource.phase != Phase::Ready || resource.spec_digest == Some(digest));
                    prop_assert_eq!(resource.phase == Phase::Failed, resource.error.is_some());
                }
                let less = shed::within(status.clone(), limit);
                prop_assert_eq!(&less.conditions, &status.conditions);
                prop_assert_eq!(less.counts(), status.counts());
                prop_assert!(to_bytes(&less).len() <= limit || less.resources.is_empty());
            }
        }
    }
}

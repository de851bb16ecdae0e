use manifest_types::status::Phase;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::engine::tests::{Bench, absent, file, right, wrong};

/// Manifests whose entries depend on each other and exchange their paths.
pub(crate) fn manifest() -> impl Strategy<Value = Vec<Value>> {
    let ids = ["a", "b", "c", "d", "e"];
    let paths = Just(vec!["/1", "/2", "/3", "/4", "/5"]).prop_shuffle();
    (paths, prop::collection::vec((0u8..3, any::<bool>(), any::<bool>()), 0..5)).prop_map(
        move |(paths, entries)| {
            let entry = |(index, (content, depends, restarts)): (usize, &(u8, bool, bool))| {
                let mut entry = file(ids[index], paths[index], &content.to_string());
                if *depends && index > 0 {
                    entry["dependsOn"] = json!([ids[index - 1]]);
                }
                if *restarts && index > 1 {
                    entry["restartOn"] = json!([ids[index - 2]]);
                }
                entry
            };
            entries.iter().enumerate().map(entry).collect()
        },
    )
}

#[test]
fn of_each_resource_the_last_change_is_told_and_none_of_what_is_gone() {
    let standing = |reason: &'static str| Standing::of(Phase::Pending).because(reason, "");
    let id = |id: &str| id.parse::<ResourceId>().unwrap();
    let changes = [("b", "First"), ("a", "First"), ("b", "Second"), ("c", "First"), ("b", "Third")];
    let changes = changes.map(|(of, reason)| (id(of), standing(reason))).to_vec();
    let told = last_of_each(changes, &[id("c")]);
    assert_eq!(told, [(id("a"), standing("First")), (id("b"), standing("Third"))]);
}

proptest! {
    /// Planning only what was touched decides just as planning everything would: nothing is left out.
    #[test]
    fn nothing_is_overlooked(manifests in prop::collection::vec(manifest(), 1..5), sights in prop::collection::vec(0u8..3, 40)) {
        let mut bench = Bench::new();
        let mut sights = sights.into_iter();
        for (generation, resources) in manifests.iter().enumerate() {
            bench.bring(generation as u64 + 1, resources);
            for _ in 0..8 {
                let seen = sights.next().unwrap_or(1);
                if bench.told().iter().any(|told| told.starts_with("observe")) {
                    bench.see(|_| Ok(match seen { 0 => absent(), 1 => right(1), _ => wrong(2) }));
                }
                if bench.told().iter().any(|told| told.starts_with("remember")) {
                    bench.remembered();
                }
                if bench.told().iter().any(|told| told.starts_with("start")) {
                    bench.end(Ok(()), &right(1));
                }
                let before = bench.told();
                bench.engine.touch_all();
                bench.plan();
                prop_assert_eq!(bench.told(), before);
            }
        }
    }

    /// What depends on something is never started while that is not Ready.
    #[test]
    fn order_is_kept(resources in manifest()) {
        let mut bench = Bench::new();
        bench.bring(1, &resources);
        let mut ready = BTreeSet::new();
        for _ in 0..40 {
            if bench.told().iter().any(|told| told.starts_with("observe")) {
                bench.see(|_| Ok(absent()));
            } else if bench.told().iter().any(|told| told.starts_with("remember")) {
                bench.remembered();
            }
            let started = bench.begun.iter().filter_map(|command| match command {
                crate::engine::command::Command::Start { changes, .. } => Some(changes[0].id.clone()),
                _ => None,
            });
            let started: Vec<_> = started.collect();
            for id in &started {
                let wanted = resources.iter().find(|entry| entry["id"] == id.as_str()).unwrap();
                for key in ["dependsOn", "restartOn"] {
                    let edges = wanted[key].as_array().cloned().unwrap_or_default();
                    prop_assert!(edges.iter().all(|on| ready.contains(on.as_str().unwrap())), "{} starts too early", id);
                }
            }
            if let Some(id) = started.first() {
                ready.insert(id.as_str().to_owned());
                bench.end(Ok(()), &right(1));
            }
        }
        prop_assert_eq!(ready.len(), resources.len());
    }
}

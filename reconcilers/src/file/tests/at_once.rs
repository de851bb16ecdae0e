//! Many steps at once, each on its own thread, that meet in the same directories.

use std::{fs, os::unix::fs::symlink};

use futures_util::future::join_all;
use manifest_types::kinds::file::FileSpec;
use serde_json::json;

use super::rig::{Rig, spec, text_file};
use crate::observation::Before;

const STEPS: usize = 8;
const ROUNDS: usize = 40;

fn below(directory: &str, number: usize) -> FileSpec {
    let path = format!("{directory}/deep/er/{number}");
    spec(json!({ "path": path, "content": { "inline": "text" }, "createParents": true }))
}

/// All are brought about together, and each at the first try.
async fn bring_about(rig: &Rig, specs: &[FileSpec]) {
    let rows: Vec<_> = specs.iter().map(|spec| rig.row(spec, Before::Absent)).collect();
    for (spec, outcome) in specs.iter().zip(join_all(rows.iter().map(|row| rig.put(row))).await) {
        assert!(outcome.is_ok(), "{}: {outcome:?}", spec.path);
    }
    assert_eq!(rig.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn missing_parents_are_made_by_many_at_once() {
    let rig = Rig::new();
    for round in 0..ROUNDS {
        let top = format!("/{round}");
        let specs: Vec<_> = (0..STEPS).map(|number| below(&top, number)).collect();
        bring_about(&rig, &specs).await;
        for made in ["", "/deep", "/deep/er"] {
            assert_eq!(rig.mode(&format!("{top}{made}")), 0o755, "{top}{made}");
        }
    }
}

#[tokio::test]
async fn missing_parents_are_made_by_many_on_different_ways() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/real")).unwrap();
    symlink("real", rig.real("/link")).unwrap();
    for round in 0..ROUNDS {
        let ways = [format!("/real/{round}"), format!("/link/{round}")];
        let specs: Vec<_> = (0..STEPS).map(|number| below(&ways[number % 2], number)).collect();
        bring_about(&rig, &specs).await;
        assert_eq!(rig.mode(&ways[0]), 0o755);
    }
}

#[tokio::test]
async fn a_directory_may_be_wanted_while_others_make_it_as_their_parent() {
    let rig = Rig::new();
    for round in 0..ROUNDS {
        let top = format!("/{round}");
        let mut specs: Vec<_> = (1..STEPS).map(|number| below(&top, number)).collect();
        let wanted = json!({ "path": format!("{top}/deep"), "type": "Directory", "mode": "0750", "createParents": true });
        specs.insert(round % STEPS, spec(wanted));
        bring_about(&rig, &specs).await;
        assert_eq!((rig.mode(&top), rig.mode(&format!("{top}/deep"))), (0o755, 0o750));
    }
}

#[tokio::test]
async fn a_missing_parent_is_made_while_others_clean_up_there() {
    let rig = Rig::new();
    for round in 0..ROUNDS {
        let top = format!("/{round}");
        let specs: Vec<_> = (0..STEPS).map(|number| below(&top, number)).collect();
        let rows: Vec<_> = specs.iter().map(|spec| rig.row(spec, Before::Absent)).collect();
        let (puts, takes) = rows.split_at(STEPS / 2);
        let steps = async {
            tokio::join!(
                join_all(puts.iter().map(|row| rig.put(row))),
                join_all(takes.iter().map(|row| rig.take(row)))
            )
        };
        let (put, taken) = steps.await;
        assert!(put.iter().chain(&taken).all(Result::is_ok), "{put:?} {taken:?}");
    }
}

#[tokio::test]
async fn originals_are_kept_and_the_same_is_set_aside_by_many_at_once() {
    for _ in 0..ROUNDS {
        let rig = Rig::new();
        let paths: Vec<_> = (0..STEPS).map(|number| format!("/{number}/it")).collect();
        for path in &paths {
            fs::create_dir(rig.real(path).parent().unwrap()).unwrap();
            rig.write(path, "theirs");
        }
        let specs: Vec<_> = paths.iter().map(|path| text_file(path, "ours")).collect();
        let befores = [Before::Original, Before::Absent];
        let rows: Vec<_> = specs
            .iter()
            .zip(befores.into_iter().cycle())
            .map(|(spec, before)| rig.row(spec, before))
            .collect();
        let outcomes = join_all(rows.iter().map(|row| rig.put(row))).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(rig.originals().values().filter(|content| *content == "theirs").count(), STEPS / 2);
        assert_eq!(rig.displaced().into_values().collect::<Vec<_>>(), ["theirs"]);
    }
}

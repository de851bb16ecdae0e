//! Who goes before whom, and who keeps nobody waiting.

use manifest_types::status::{Phase, Progress};
use serde_json::json;

use super::{Bench, absent, file, right};
use crate::engine::{command::Command, event::Event};

#[test]
fn a_directory_goes_after_what_is_in_it() {
    let mut bench = Bench::new();
    let directory =
        json!({ "id": "app", "kind": "File", "spec": { "type": "Directory", "path": "/srv/app" } });
    let inner = [file("inner", "/srv/app/x", "x"), file("other", "/srv/app-x", "x")];
    bench.bring(1, &[&[directory], &inner[..]].concat());
    bench.converge();
    bench.bring(2, &[inner[1].clone()]);
    bench.see(|_| Ok(right(1)));
    assert_eq!(bench.phase("app"), (Phase::Deleting, "Dependants".into()));
    assert_eq!(bench.engine.resources["app"].standing.waiting_for, ["inner".parse().unwrap()]);
    bench.converge();
    bench.wait(2.0);
    assert_eq!(bench.engine.resources.len(), 1);
}

#[test]
fn a_directory_does_not_wait_for_what_stays_in_it() {
    let mut bench = Bench::new();
    let directory =
        json!({ "id": "app", "kind": "File", "spec": { "type": "Directory", "path": "/srv/app" } });
    bench.bring(1, &[directory, file("inner", "/srv/app/x", "x")]);
    bench.converge();
    bench.bring(2, &[file("inner", "/srv/app/x", "x")]);
    bench.converge();
    bench.wait(2.0);
    assert_eq!(bench.engine.resources.len(), 1);
}

#[test]
fn a_long_chain_is_taken_down_one_by_one() {
    let mut bench = Bench::new();
    let link = |number: usize| {
        let mut one = file(&format!("f{number}"), &format!("/f{number}"), "x");
        if number > 0 {
            one["dependsOn"] = json!([format!("f{}", number - 1)]);
        }
        one
    };
    let chain: Vec<_> = (0..200).map(link).collect();
    bench.bring(1, &chain);
    bench.converge();
    bench.bring(2, &[]);
    assert!(bench.engine.circling().is_empty(), "nobody waits in a circle");
    bench.converge();
    bench.wait(2.0);
    assert!(bench.engine.resources.is_empty());
}

#[test]
fn those_who_tell_their_progress_keep_nobody_from_beginning() {
    let mut bench = Bench::new();
    let many: Vec<_> =
        (0..40).map(|number| file(&format!("f{number}"), &format!("/f{number}"), "x")).collect();
    bench.bring(1, &many);
    bench.see(|_| Ok(absent()));
    bench.remembered();
    let starts = |bench: &Bench| bench.told().iter().filter(|told| told.starts_with("start")).count();
    assert_eq!(starts(&bench), 32);
    let Command::Start { step, changes, .. } = &bench.begun[0] else { panic!("{:?}", bench.told()) };
    let (step, id) = (*step, changes[0].id.clone());
    let progress = Progress { message: "fetching".into(), done: 1, total: None, unit: "bytes".into() };
    for _ in 0..2 {
        bench.tell(Event::Progress { step, id: id.clone(), progress: progress.clone() });
    }
    assert_eq!(starts(&bench), 33, "once for each that is long");
    bench.converge();
    assert!(bench.engine.resources.values().all(|resource| resource.standing.phase == Phase::Ready));
    assert_eq!(bench.engine.kinds["File"].steps, 0);
}

#[test]
fn dependants_wait_and_go_first() {
    let mut bench = Bench::new();
    let mut b = file("b", "/b", "x");
    b["dependsOn"] = json!(["a"]);
    bench.bring(1, &[file("a", "/a", "x"), b]);
    bench.see(|_| Ok(absent()));
    assert_eq!(bench.phase("b"), (Phase::Pending, "Dependencies".into()));
    bench.converge();
    assert_eq!((bench.phase("a").0, bench.phase("b").0), (Phase::Ready, Phase::Ready));
    bench.bring(2, &[]);
    bench.see(|_| Ok(right(1)));
    assert_eq!(bench.phase("a"), (Phase::Deleting, "Dependants".into()));
    bench.converge();
    bench.wait(2.0);
    assert!(bench.engine.resources.is_empty());
}

//! Who goes before whom, and who keeps nobody waiting.

use manifest_types::status::{Phase, Progress};
use reconcilers::{
    error::Failure,
    observation::{Difference, Observation},
    reconciler::Hint,
};
use serde_json::{Value, json};

use super::{Bench, absent, file, right, wrong};
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

#[test]
fn while_one_of_a_group_is_locked_none_of_it_is_disrupted() {
    let in_group = |id: &str, content: &str, group: &str| {
        let mut entry = file(id, &format!("/{id}"), content);
        entry["group"] = json!(group);
        entry
    };
    let manifest = |content| {
        [in_group("a", content, "shop"), in_group("b", content, "shop"), in_group("c", content, "yard")]
    };
    let disrupted = |holder: Option<&str>| {
        let difference = Difference { in_place: false, ..Difference::in_place("image", "2", "1") };
        let holder = holder.map(str::to_owned);
        Observation { differences: vec![difference], running: true, holder, ..right(2) }
    };
    let mut bench = Bench::new();
    bench.bring(1, &manifest("1"));
    bench.converge();
    bench.bring(2, &manifest("2"));
    bench.see(|id| Ok(disrupted(Some("/run/lock is there").filter(|_| id == "a"))));
    for id in ["a", "b"] {
        assert_eq!(bench.phase(id), (Phase::Pending, "Locked".into()), "{id}");
    }
    let message = bench.engine.resources["b"].standing.message.clone().unwrap();
    assert_eq!(message, "shop may not be disrupted: /run/lock is there");
    assert_eq!(bench.phase("c").0, Phase::Reconciling, "another group is not concerned");
    // What is taken away is disrupted, too.
    bench.converge();
    bench.bring(3, &[in_group("a", "2", "shop")]);
    while bench.told().iter().any(|told| told.starts_with("observe")) {
        bench.see(|id| Ok(disrupted(Some("/run/lock is there").filter(|_| id == "a"))));
    }
    assert_eq!(bench.phase("b"), (Phase::Deleting, "Locked".into()));
    // Released, all of it goes on.
    bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("a".parse().unwrap()) });
    bench.see(|_| Ok(disrupted(None)));
    bench.converge();
    assert_eq!(bench.phase("a").0, Phase::Ready);
    assert!(!bench.engine.resources.contains_key("b"));
}

#[test]
fn a_restart_waits_for_what_it_restarts_on_and_for_nothing_else() {
    let mut bench = Bench::new();
    let manifest = |other: &str| {
        let mut web = file("web", "/web", "x");
        (web["dependsOn"], web["restartOn"]) = (json!(["config", "other"]), json!(["config"]));
        [file("config", "/config", "x"), file("other", "/other", other), web]
    };
    bench.bring(1, &manifest("1"));
    bench.converge();
    // Another one is to be changed, and cannot be.
    bench.bring(2, &manifest("2"));
    bench.remembered();
    bench.end(Err(Failure::new("Io", "it cannot be had", false)), &wrong(2));
    assert_eq!(bench.phase("other").0, Phase::Failed);
    // What it restarts on is repaired: it has changed.
    bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("config".parse().unwrap()) });
    while bench.told().iter().any(|told| told.starts_with("observe")) {
        bench.see(|id| Ok(if id == "config" { wrong(3) } else { right(1) }));
    }
    bench.converge();
    assert_eq!((bench.phase("config").0, bench.phase("web").0), (Phase::Ready, Phase::Ready));
    assert_eq!(
        bench.engine.resources["web"].row.as_ref().unwrap().saw.values().copied().collect::<Vec<_>>(),
        [2]
    );
}

/// What `web` has seen of each that it restarts on, and whether it is to be started again.
fn web(bench: &Bench) -> (Vec<u64>, bool) {
    let web = &bench.engine.resources["web"];
    let saw = web.row.as_ref().unwrap().saw.values().copied().collect();
    (saw, crate::plan::order::restart_is_due(&bench.engine.resources, web))
}

fn restarted_on(on: &str) -> Value {
    let mut web = file("web", "/web", "x");
    web["restartOn"] = json!([on]);
    web
}

#[test]
fn what_is_taken_away_and_made_anew_under_its_id_restarts_as_a_change_does() {
    let mut bench = Bench::new();
    let manifest =
        |left: &str, right: &str| [file("left", left, "l"), file("right", right, "r"), restarted_on("left")];
    bench.bring(1, &manifest("/x", "/y"));
    bench.converge();
    assert_eq!(web(&bench), (vec![1], false));
    // Each wants what the other has: one lets go of all that it has first.
    bench.bring(2, &manifest("/y", "/x"));
    while bench.told().iter().any(|told| told.starts_with("observe")) {
        bench.see(|id| Ok(if id == "web" { right(1) } else { wrong(2) }));
    }
    bench.converge();
    assert_eq!(web(&bench), (vec![2], false), "it was started again");
    assert_eq!(bench.engine.resources["left"].row.as_ref().unwrap().revision, 2);
}

#[test]
fn who_restarts_on_what_has_another_id_now_is_not_started_again() {
    for (former, new) in [("config-old", "config-new"), ("zebra-old", "zebra-new")] {
        let mut bench = Bench::new();
        bench.bring(1, &[file(former, "/config", "c"), restarted_on(former)]);
        bench.converge();
        bench.bring(2, &[file(new, "/config", "c"), restarted_on(new)]);
        let mut restarts = false;
        while bench.told().iter().any(|told| told.starts_with("observe")) {
            bench.see(|_| Ok(right(1)));
            restarts |= bench.engine.resources.contains_key("web") && web(&bench).1;
        }
        bench.converge();
        assert_eq!((web(&bench), restarts), ((vec![1], false), false), "{new}");
        assert_eq!(bench.engine.resources["web"].row.as_ref().unwrap().revision, 1, "{new}");
    }
}

#[test]
fn what_nobody_looks_at_any_more_forbids_nothing() {
    let in_group = |id: &str, content: &str| {
        let mut entry = file(id, &format!("/{id}"), content);
        entry["group"] = json!("shop");
        entry
    };
    let running = |holder: Option<&str>| {
        let difference = Difference { in_place: false, ..Difference::in_place("image", "2", "1") };
        let holder = holder.map(str::to_owned);
        Observation { differences: vec![difference], running: true, holder, ..right(2) }
    };
    let mut bench = Bench::new();
    bench.bring(1, &[in_group("a", "1"), in_group("b", "1")]);
    bench.converge();
    let mut bad = in_group("a", "1");
    bad["spec"]["colour"] = json!("red");
    bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("a".parse().unwrap()) });
    bench.see(|_| Ok(Observation { differences: Vec::new(), ..running(Some("/run/lock is there")) }));
    bench.bring(2, &[bad, in_group("b", "2")]);
    while bench.told().iter().any(|told| told.starts_with("observe")) {
        bench.see(|_| Ok(running(None)));
    }
    assert_eq!(bench.phase("b").0, Phase::Reconciling);
}

fn in_shop(id: &str, needs: &[&str]) -> Value {
    let mut entry = file(id, &format!("/{id}"), "1");
    (entry["group"], entry["dependsOn"]) = (json!("shop"), json!(needs));
    entry
}

/// `old` of the shop runs, and these are wanted instead; all was looked at.
fn in_place_of_old(bench: &mut Bench, wanted: &[Value]) {
    let runs = || Ok(Observation { running: true, ..right(1) });
    bench.bring(1, &[in_shop("old", &[])]);
    bench.converge();
    bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("old".parse().unwrap()) });
    bench.see(|_| runs());
    bench.bring(2, wanted);
    while bench.told().iter().any(|told| told.starts_with("observe")) {
        bench.see(|id| if id == "old" { runs() } else { Ok(absent()) });
    }
}

#[test]
fn what_goes_of_a_group_goes_once_the_others_have_what_they_need() {
    let mut bench = Bench::new();
    in_place_of_old(&mut bench, &[file("image", "/image", "1"), in_shop("new", &["image"])]);
    assert_eq!(bench.phase("old"), (Phase::Deleting, "Group".into()));
    assert_eq!(bench.engine.resources["old"].standing.waiting_for, ["new".parse().unwrap()]);
    bench.remembered();
    bench.end(Ok(()), &right(1));
    assert_eq!(bench.phase("image").0, Phase::Ready);
    bench.converge();
    bench.wait(2.0);
    assert!(bench.phase("new").0 == Phase::Ready && !bench.engine.resources.contains_key("old"));
}

#[test]
fn what_goes_of_a_group_does_not_wait_for_those_that_may_need_what_it_holds() {
    let mut bench = Bench::new();
    // Its port, say, which no claim tells of.
    in_place_of_old(&mut bench, &[in_shop("new", &[]), in_shop("worker", &["new"])]);
    assert_eq!(bench.phase("worker"), (Phase::Pending, "Dependencies".into()));
    assert_eq!(bench.phase("old"), (Phase::Deleting, "Starting".into()));
}

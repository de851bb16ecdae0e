//! When the engine looks, and what it does while it cannot see.

use super::*;

#[test]
fn a_changed_spec_that_contradicts_what_was_right_needs_no_look_before_its_intent() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.wait(2.0);
    bench.converge();
    bench.bring(2, &[file("a", "/a", "y")]);
    assert_eq!(bench.told(), ["remember generation 2 a: intent"]);
    assert_eq!(bench.phase("a"), (Phase::Reconciling, "Starting".into()));
    bench.converge();
    // More than a few, or something new beside it, are looked at together.
    bench.bring(3, &[file("a", "/a", "z"), file("b", "/b", "z")]);
    assert_eq!(bench.told(), ["observe File a b"]);
}

#[test]
fn what_may_be_right_or_was_not_right_or_may_have_changed_is_looked_at_first() {
    let as_base64 =
        json!({ "id": "a", "kind": "File", "spec": { "path": "/a", "content": { "base64": "eA==" } } });
    let converged = || {
        let mut bench = Bench::new();
        let mut reported = file("a", "/a", "x");
        reported["drift"] = json!("Report");
        bench.bring(1, &[reported]);
        bench.converge();
        bench.wait(2.0);
        bench.converge();
        bench
    };
    let looks = |bench: &Bench, what: &str| {
        let told = bench.told();
        assert!(told.contains(&"observe File a".to_owned()), "{what}: {told:?}");
        assert!(!told.iter().any(|command| command.contains("intent")), "{what}: {told:?}");
    };
    let mut bench = converged();
    bench.tell(Event::Hint { kind: "File", hint: Hint::Kind });
    bench.see(|_| Ok(wrong(7)));
    bench.begun.clear();
    bench.bring(2, &[file("a", "/a", "y")]);
    looks(&bench, "it had drifted");

    let mut bench = converged();
    bench.engine.apply(Event::Hint { kind: "File", hint: Hint::Kind }, bench.now);
    bench.bring(2, &[file("a", "/a", "y")]);
    looks(&bench, "it was hinted at");

    let mut bench = converged();
    bench.bring(2, std::slice::from_ref(&as_base64));
    looks(&bench, "it may be right");
    bench.bring(3, &[file("a", "/a", "z")]);
    looks(&bench, "a look is under way");
    bench.see(|_| Ok(right(1)));
    looks(&bench, "that look was for another spec");
    bench.see(|_| Ok(wrong(1)));
    assert!(bench.told().iter().any(|command| command.contains("a: intent")));
}

#[test]
fn a_kind_that_cannot_be_seen_is_not_gone() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.bring(2, &[]);
    let index = bench.begun.iter().position(|command| matches!(command, Command::Observe { .. })).unwrap();
    let Command::Observe { ticket, kind, .. } = bench.begun.remove(index) else { unreachable!() };
    let away = Unseen { reason: "Away", message: "it is away".into() };
    bench.tell(Event::Observed { ticket, kind, result: LookResult::Unseen(away) });
    assert_eq!(bench.phase("a"), (Phase::Deleting, "Unseen".into()));
    bench.tell(Event::Hint { kind: "File", hint: Hint::Kind });
    bench.see(|_| Ok(right(1)));
    bench.converge();
    assert!(bench.engine.resources.is_empty());
}

#[test]
fn a_look_that_hangs_costs_only_its_own_target() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x"), file("b", "/b", "x")]);
    let Command::Observe { ticket, kind, .. } = bench.begun.remove(0) else { panic!("{:?}", bench.told()) };
    bench.tell(Event::Observed { ticket, kind, result: LookResult::TimedOut });
    let looks: Vec<_> = bench.told().into_iter().filter(|told| told.starts_with("observe")).collect();
    assert_eq!(looks, ["observe File a", "observe File b"], "each is looked at alone");
}

#[test]
fn a_look_that_ends_makes_room_for_the_next_that_must_be_alone() {
    let mut bench = Bench::new();
    let many: Vec<_> = (0..9).map(|n| file(&format!("f{n}"), &format!("/{n}"), "x")).collect();
    bench.bring(1, &many);
    let Command::Observe { ticket, kind, .. } = bench.begun.remove(0) else { panic!("{:?}", bench.told()) };
    bench.tell(Event::Observed { ticket, kind, result: LookResult::TimedOut });
    let looks = |bench: &Bench| bench.told().iter().filter(|told| told.starts_with("observe")).count();
    assert_eq!(looks(&bench), 4, "four at a time");
    for seen in 1..=9 {
        bench.see(|_| Ok(right(1)));
        assert_eq!(looks(&bench), 4.min(9 - seen), "{:?}", bench.told());
    }
}

#[test]
fn what_is_far_from_what_hangs_is_looked_at_before_the_rest_of_that() {
    let mut bench = Bench::new();
    let dead = (0..40).map(|number| file(&format!("a{number}"), &format!("/mnt/dead/{number}"), "x"));
    let well = (0..40).map(|number| file(&format!("z{number}"), &format!("/mnt/well/{number}"), "x"));
    let all: Vec<_> = dead.chain(well).collect();
    bench.bring(1, &all);
    let Command::Observe { ticket, kind, .. } = bench.begun.remove(0) else { panic!("{:?}", bench.told()) };
    bench.tell(Event::Observed { ticket, kind, result: LookResult::TimedOut });
    let mut hung = 0;
    let mut seen = 0;
    while let Some(index) = bench.begun.iter().position(|command| matches!(command, Command::Observe { .. }))
    {
        let Command::Observe { ticket, kind, targets } = bench.begun.remove(index) else { unreachable!() };
        let id = targets[0].id.clone();
        let result = if id.as_str().starts_with('a') {
            hung += 1;
            LookResult::TimedOut
        } else {
            seen += 1;
            LookResult::Seen([(id, Ok(right(1)))].into())
        };
        bench.tell(Event::Observed { ticket, kind, result });
        assert!(hung <= 8 || seen == 40, "{seen} were seen when {hung} hung");
    }
    assert_eq!((hung, seen), (24, 40));
}

#[test]
fn a_look_that_hangs_is_not_repeated_until_it_returns() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    let Command::Observe { ticket, kind, .. } = bench.begun.remove(0) else { panic!("{:?}", bench.told()) };
    bench.tell(Event::Observed { ticket, kind, result: LookResult::TimedOut });
    bench.begun.retain(|command| !matches!(command, Command::Remember { .. }));
    for _ in 0..30 {
        bench.wait(60.0);
        assert!(bench.told().iter().all(|told| !told.starts_with("observe")), "{:?}", bench.told());
    }
    assert_eq!(bench.phase("a"), (Phase::Failed, "ObserveTimedOut".into()));
    bench.tell(Event::LookReturned { ticket });
    assert!(bench.told().contains(&"observe File a".to_owned()), "{:?}", bench.told());
}

#[test]
fn what_is_ignored_is_not_looked_at_any_more() {
    let mut bench = Bench::new();
    let with = |id: &str, drift: &str| {
        let mut entry = file(id, &format!("/{id}"), "x");
        entry["drift"] = json!(drift);
        entry
    };
    bench.bring(1, &[with("a", "Ignore"), with("b", "Report")]);
    bench.converge();
    bench.wait(2.0);
    bench.begun.clear();
    let hint = |id: &str| Event::Hint { kind: "File", hint: Hint::Resource(id.parse().unwrap()) };
    bench.tell(hint("a"));
    assert!(bench.told().is_empty(), "{:?}", bench.told());
    bench.tell(hint("b"));
    bench.see(|_| Ok(wrong(7)));
    bench.begun.clear();
    bench.tell(hint("b"));
    assert!(bench.told().is_empty(), "it is known to drift, and left so: {:?}", bench.told());
    bench.wait(70.0);
    assert_eq!(bench.told(), ["observe File b"]);
}

#[test]
fn what_is_left_to_drift_is_looked_at_now_and_then_however_often_it_changes() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.wait(60.0);
    bench.converge();
    bench.tell(Event::Pause {
        id: Some("a".parse().unwrap()),
        until: Some(bench.now.boot + Duration::from_secs(50)),
    });
    let mut looks = 0;
    for number in 0..400 {
        bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("a".parse().unwrap()) });
        while bench.told().iter().any(|told| told.starts_with("observe")) {
            looks += 1;
            bench.see(|_| Ok(wrong(number)));
        }
        bench.begun.clear();
        bench.wait(0.1);
    }
    // One that was hinted at meanwhile is made again at once.
    assert!((6..=16).contains(&looks), "{looks} in 40 s");
    assert_eq!(bench.phase("a"), (Phase::Pending, "Paused".into()));
}

use super::*;

#[test]
fn a_disk_that_hangs_is_told() {
    let (mut bench, seq) = about_to_let_go();
    bench.tell(Event::LedgerSlow { seq });
    assert_eq!(bench.phase("b"), (Phase::Pending, "LedgerSlow".into()));
    assert_eq!(bench.phase("a"), (Phase::Deleting, "LedgerSlow".into()));
    bench.tell(Event::Remembered { seq });
    assert_eq!(bench.phase("a").1, "TakingAway");
}

/// A bench on which `a` is owned and its ledger written, and `b` is to come in its place.
fn about_to_let_go() -> (Bench, u64) {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.wait(2.0);
    bench.remembered();
    bench.bring(2, &[file("b", "/b", "x")]);
    bench.see(|id| Ok(if id == "a" { right(1) } else { absent() }));
    let Some(Command::Remember { seq, .. }) = bench.begun.pop() else { panic!("{:?}", bench.told()) };
    (bench, seq)
}

#[test]
fn a_full_disk_stops_changes_and_not_deletions() {
    let (mut bench, seq) = about_to_let_go();
    bench.tell(Event::LedgerFailed { seq, message: "no space left".into(), full: true });
    assert_eq!(bench.phase("b"), (Phase::Pending, "LedgerUnwritable".into()));
    let Some(Command::Remember { seq, write }) = bench.begun.pop() else { panic!("{:?}", bench.told()) };
    let ids: Vec<_> = write.rows.keys().map(ResourceId::as_str).collect();
    assert_eq!(
        (write.lets_go, ids, write.manifest.is_none()),
        (true, vec!["a"], true),
        "what lets go, by itself"
    );
    bench.tell(Event::Remembered { seq });
    assert_eq!(bench.told()[0], "start File take a");
}

#[test]
fn what_did_not_go_into_the_reserve_is_written_when_that_is_due() {
    let (mut bench, seq) = about_to_let_go();
    bench.tell(Event::LedgerFailed { seq, message: "no space left".into(), full: true });
    bench.remembered();
    assert_eq!(bench.phase("b"), (Phase::Pending, "LedgerUnwritable".into()));
    bench.begun.clear();
    bench.wait(10.0);
    bench.remembered();
    assert_eq!(bench.phase("b").0, Phase::Reconciling);
}

#[test]
fn a_disk_too_full_even_to_let_go_is_tried_again_later() {
    let (mut bench, seq) = about_to_let_go();
    bench.tell(Event::LedgerFailed { seq, message: "no space left".into(), full: true });
    let Some(Command::Remember { seq, .. }) = bench.begun.pop() else { panic!("{:?}", bench.told()) };
    bench.tell(Event::LedgerFailed { seq, message: "no space left".into(), full: true });
    assert!(bench.told().is_empty(), "{:?}", bench.told());
    bench.wait(10.0);
    assert!(matches!(bench.begun.pop(), Some(Command::Remember { write, .. }) if !write.lets_go));
}

#[test]
fn a_removal_that_could_not_be_written_is_written_later() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.wait(2.0);
    bench.remembered();
    bench.bring(2, &[]);
    bench.see(|_| Ok(right(1)));
    bench.remembered();
    bench.end(Ok(()), &absent());
    let Some(Command::Remember { seq, .. }) = bench.begun.pop() else { panic!("{:?}", bench.told()) };
    bench.bring(3, &[file("a", "/a", "x")]);
    bench.tell(Event::LedgerFailed { seq, message: "it broke".into(), full: false });
    bench.bring(4, &[]);
    bench.begun.clear();
    bench.wait(10.0);
    let removes = |command: &Command| matches!(command, Command::Remember { write, .. } if write.rows.get("a").is_some_and(Option::is_none));
    assert!(bench.begun.iter().any(removes), "{:?}", bench.told());
}

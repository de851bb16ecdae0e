use crate::engine::{
    Event,
    command::Command,
    outbox::{Fact, Held},
    tests::{Bench, file},
};

fn publishes(bench: &Bench) -> Vec<String> {
    bench.told().into_iter().filter(|told| told.starts_with("publish") || told.starts_with("read")).collect()
}

fn answer(bench: &mut Bench, fact: Fact) {
    bench.begun.retain(|command| !matches!(command, Command::Publish { .. } | Command::ReadStatus));
    bench.tell(Event::Outbox(fact));
}

/// A bench whose first status was accepted with revision 5.
fn claimed() -> Bench {
    let mut bench = Bench::new();
    bench.tell(Event::Outbox(Fact::LinkUp));
    assert_eq!(publishes(&bench), ["read the status"]);
    answer(&mut bench, Fact::Read { revision: 4, held: Held::By("another".into()) });
    assert_eq!(publishes(&bench), ["publish over 4"], "the first write is the claim, over whatever is there");
    answer(&mut bench, Fact::Delivered { revision: 5 });
    assert!(publishes(&bench).is_empty());
    bench
}

#[test]
fn after_the_claim_a_foreign_instance_fences() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    assert_eq!(publishes(&bench), ["publish over 5"]);
    answer(&mut bench, Fact::Conflict);
    assert_eq!(publishes(&bench), ["read the status"]);
    answer(&mut bench, Fact::Read { revision: 6, held: Held::By("another".into()) });
    assert!(bench.engine.is_fenced());
    bench.begun.clear();
    bench.tell(Event::Hint { kind: "File", hint: reconcilers::reconciler::Hint::Kind });
    assert!(bench.told().is_empty(), "a fenced agent changes nothing: {:?}", bench.told());
    bench.wait(500.0);
    bench.tell(Event::Outbox(Fact::OtherAlive));
    bench.wait(599.0);
    assert!(bench.engine.is_fenced(), "the other was heard in between");
    bench.wait(2.0);
    assert!(!bench.engine.is_fenced());
    assert_eq!(publishes(&bench), ["read the status"]);
}

#[test]
fn without_a_link_nobody_is_silent() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    answer(&mut bench, Fact::Conflict);
    answer(&mut bench, Fact::Read { revision: 6, held: Held::By("another".into()) });
    bench.tell(Event::Outbox(Fact::LinkDown));
    bench.wait(3600.0);
    assert!(bench.engine.is_fenced(), "nobody could be heard");
    bench.tell(Event::Outbox(Fact::LinkUp));
    bench.wait(599.0);
    assert!(bench.engine.is_fenced());
    bench.wait(2.0);
    assert!(!bench.engine.is_fenced(), "it was silent for ten minutes in which it could have been heard");
}

#[test]
fn a_sink_that_went_back_to_an_earlier_status_of_ours_is_told_again() {
    let mut bench = settled();
    bench.tell(Event::Outbox(Fact::LinkDown));
    bench.tell(Event::Outbox(Fact::LinkUp));
    answer(&mut bench, Fact::Read { revision: 5, held: Held::By("this".into()) });
    assert_eq!(publishes(&bench), ["publish over 5"]);
}

#[test]
fn a_write_of_unknown_outcome_is_read_back() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    answer(&mut bench, Fact::Unknown { message: "no answer".into() });
    bench.wait(1.0);
    assert_eq!(publishes(&bench), ["read the status"]);
    answer(&mut bench, Fact::Read { revision: 6, held: Held::By("this".into()) });
    assert_eq!(publishes(&bench), ["publish over 6"], "it was our own");
}

#[test]
fn a_missing_key_is_claimed_again() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    answer(&mut bench, Fact::Conflict);
    answer(&mut bench, Fact::Read { revision: 0, held: Held::Nothing });
    assert_eq!(publishes(&bench), ["publish over 0"]);
    assert!(!bench.engine.is_fenced());
}

#[test]
fn without_a_link_nothing_is_sent_and_all_is_afterwards() {
    let mut bench = claimed();
    bench.tell(Event::Outbox(Fact::LinkDown));
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    assert!(publishes(&bench).is_empty());
    bench.tell(Event::Outbox(Fact::LinkUp));
    answer(&mut bench, Fact::Read { revision: 5, held: Held::By("this".into()) });
    assert_eq!(publishes(&bench), ["publish over 5"]);
}

#[test]
fn mere_progress_is_told_once_a_second() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    answer(&mut bench, Fact::Delivered { revision: 6 });
    bench.see(|_| Ok(crate::engine::tests::absent()));
    bench.remembered();
    assert!(publishes(&bench).is_empty(), "{:?}", publishes(&bench));
    bench.wait(1.0);
    assert_eq!(publishes(&bench), ["publish over 6"]);
}

/// A bench on which generation 1 is Ready and told with revision 6.
fn settled() -> Bench {
    let mut bench = claimed();
    bench.tell(Event::Outbox(Fact::LinkDown));
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    bench.tell(Event::Outbox(Fact::LinkUp));
    answer(&mut bench, Fact::Read { revision: 5, held: Held::By("this".into()) });
    answer(&mut bench, Fact::Delivered { revision: 6 });
    bench
}

#[test]
fn a_change_that_settles_soon_is_one_status() {
    let mut bench = settled();
    bench.bring(2, &[file("a", "/a", "y")]);
    bench.wait(0.05);
    assert!(publishes(&bench).is_empty(), "{:?}", publishes(&bench));
    bench.converge();
    assert_eq!(publishes(&bench), ["publish over 6"]);
    answer(&mut bench, Fact::Delivered { revision: 7 });
    bench.wait(1.0);
    assert!(publishes(&bench).is_empty(), "{:?}", publishes(&bench));
}

#[test]
fn a_change_that_takes_longer_is_told_as_progress() {
    let mut bench = settled();
    bench.wait(1.0);
    bench.bring(2, &[file("a", "/a", "y")]);
    bench.wait(0.1);
    assert_eq!(publishes(&bench), ["publish over 6"]);
}

#[test]
fn a_refusal_is_told_at_once() {
    let mut bench = settled();
    bench.bring(1, &[file("a", "/a", "y")]);
    assert_eq!(publishes(&bench), ["publish over 6"]);
}

#[test]
fn a_status_that_others_deleted_is_written_again_within_minutes() {
    let mut bench = settled();
    bench.wait(665.0);
    assert_eq!(publishes(&bench), ["read the status"]);
    answer(&mut bench, Fact::Read { revision: 9, held: Held::Nothing });
    assert_eq!(publishes(&bench), ["publish over 9"], "over the mark of its deletion");
}

#[test]
fn a_status_that_is_there_is_left_alone() {
    let mut bench = settled();
    bench.wait(665.0);
    answer(&mut bench, Fact::Read { revision: 6, held: Held::By("this".into()) });
    assert!(publishes(&bench).is_empty(), "{:?}", publishes(&bench));
}

#[test]
fn what_cannot_be_delivered_is_tried_less_and_less_often() {
    let mut bench = claimed();
    bench.bring(1, &[file("a", "/a", "x")]);
    answer(&mut bench, Fact::Unknown { message: "no such bucket".into() });
    let mut tries = 0;
    for _ in 0..600 {
        bench.wait(1.0);
        if !publishes(&bench).is_empty() {
            tries += 1;
            answer(&mut bench, Fact::Unknown { message: "no such bucket".into() });
        }
    }
    assert!((15..120).contains(&tries), "{tries} in ten minutes");
}

#[test]
fn what_is_refused_again_and_again_is_written_less_often_though_reading_goes_well() {
    let mut bench = settled();
    bench.bring(2, &[file("a", "/a", "y")]);
    bench.converge();
    let started = bench.now.boot;
    let mut written = 0;
    while bench.now.boot - started < std::time::Duration::from_secs(600) {
        match publishes(&bench).first().map(String::as_str) {
            Some("read the status") => {
                answer(&mut bench, Fact::Read { revision: 9, held: Held::By("this".into()) })
            }
            Some(_) => {
                written += 1;
                answer(&mut bench, Fact::Unknown { message: "it is too large".into() });
            }
            None => bench.wait(1.0),
        }
    }
    assert!((10..60).contains(&written), "it was written {written} times in ten minutes");
}

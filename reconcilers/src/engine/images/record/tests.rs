use super::*;

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn there(images: &[(&str, &[&str])]) -> Vec<NamedImage> {
    let named = |(id, names): &(&str, &[&str])| NamedImage {
        id: (*id).to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    images.iter().map(named).collect()
}

fn pulled(record: &mut Record, container: &str, reference: &str, before: &[&str], image: &str) {
    record
        .pull_begins(container, Pull { reference: reference.to_owned(), before: set(before), begun: at(0) });
    record.pull_ended(container, Some(image));
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + 60 * minutes).unwrap()
}

/// The ids of what would be removed.
fn unneeded(record: &Record, ids: &[&str], wanted: &[&str], in_use: &[&str]) -> Vec<String> {
    let images: Vec<_> = ids.iter().map(|id| (*id, &[][..])).collect();
    let leftovers = record.leftovers(&there(&images), &set(in_use));
    let ids = leftovers.into_iter().map(|leftover| leftover.id);
    ids.filter(|id| !record.is_needed(id, &set(wanted))).collect()
}

#[test]
fn the_present_and_the_previous_image_are_kept_and_older_ones_go() {
    let mut record = Record::default();
    for (turn, image) in ["a", "b", "c"].into_iter().enumerate() {
        pulled(&mut record, "web", &format!("web:{turn}"), &["a", "b"][..turn], image);
        record.settled("web", &[], image);
    }
    assert_eq!(unneeded(&record, &["a", "b", "c"], &["c"], &["c"]), ["a"]);
    assert_eq!(
        unneeded(&record, &["a", "b", "c"], &["c"], &["c", "a"]),
        Vec::<String>::new(),
        "it is in use"
    );
    assert_eq!(unneeded(&record, &["a", "b", "c"], &["c", "a"], &[]), Vec::<String>::new(), "it is wanted");
    assert!(record.may_have_leftovers(&set(&["c"])));
    record.let_go("a");
    assert!(!record.may_have_leftovers(&set(&["c"])));
    record.settled("web", &[], "c");
    assert_eq!(unneeded(&record, &["b", "c"], &[], &[]), Vec::<String>::new(), "it was settled twice");
    record.forget(&["web".to_owned()]);
    assert_eq!(unneeded(&record, &["b", "c"], &[], &[]), ["b", "c"]);
}

#[test]
fn what_was_there_before_a_pull_is_never_removed() {
    let mut record = Record::default();
    pulled(&mut record, "web", "web:1", &["theirs"], "theirs");
    record.settled("web", &[], "theirs");
    record.forget(&["web".to_owned()]);
    assert!(!record.may_have_leftovers(&BTreeSet::new()));
    // A pull that failed has brought nothing, whatever is there later.
    record.pull_begins("web", Pull { reference: "web:2".into(), before: set(&["theirs"]), begun: at(0) });
    record.pull_ended("web", None);
    assert_eq!(record, Record::default());
    record.pull_ended("web", Some("new"));
    assert_eq!(record, Record::default());
}

#[test]
fn a_container_keeps_its_images_under_another_name() {
    let mut record = Record::default();
    pulled(&mut record, "old", "web:1", &[], "a");
    record.settled("old", &[], "a");
    pulled(&mut record, "old", "web:2", &["a"], "b");
    record.settled("new", &["old".to_owned(), "new".to_owned()], "b");
    assert_eq!(unneeded(&record, &["a", "b"], &[], &[]), Vec::<String>::new());
    record.forget(&["old".to_owned()]);
    assert_eq!(unneeded(&record, &["a", "b"], &[], &[]), Vec::<String>::new());
}

#[test]
fn an_image_is_removed_by_the_names_that_we_gave_it() {
    let mut record = Record::default();
    pulled(&mut record, "web", "r/web:1", &[], "a");
    let removed_by = |names: &[&str]| {
        let leftovers = record.leftovers(&there(&[("a", names)]), &BTreeSet::new());
        let Leftover { names, is_kept, .. } = leftovers.into_iter().next().unwrap();
        (names, is_kept)
    };
    let gone = |name: &str| (vec![name.to_owned()], false);
    assert_eq!(removed_by(&["r/web:1", "r/web@sha256:1"]), gone("r/web:1"));
    assert_eq!(removed_by(&["r/web@sha256:1"]), gone("a"), "the tag has moved on");
    assert_eq!(removed_by(&[]), gone("a"));
    assert_eq!(
        removed_by(&["r/web:1", "mine:1"]),
        (vec!["r/web:1".to_owned()], true),
        "somebody's tag keeps it"
    );
    assert_eq!(removed_by(&["mine:1"]), (vec![], true));
    let before = record.clone();
    pulled(&mut record, "web", "r/web:2", &["a"], "b");
    record.gone(&before, &there(&[]));
    assert_eq!(
        unneeded(&record, &["a", "b"], &[], &[]),
        ["b"],
        "what came after the list is not missing in it"
    );
}

#[test]
fn what_was_removed_while_it_was_pulled_was_brought_by_that_pull() {
    let mut record = Record::default();
    pulled(&mut record, "web", "web:1", &[], "a");
    record.pull_begins("other", Pull { reference: "web:1".into(), before: set(&["a"]), begun: at(0) });
    record.let_go("a");
    record.pull_ended("other", Some("a"));
    assert_eq!(unneeded(&record, &["a"], &[], &[]), ["a"]);
}

#[test]
fn a_pull_that_goes_on_after_a_kill_has_brought_what_comes_later() {
    let mut record = Record::default();
    let pull = |reference: &str, before: &[&str]| Pull {
        reference: reference.into(),
        before: set(before),
        begun: at(0),
    };
    record.pull_begins("web", pull("web:1", &["theirs"]));
    record.pull_is_late("web", at(1));
    record.pull_begins("web", pull("web:2", &["theirs"]));
    record.pull_ended("web", Some("two"));
    let late = record.open_pulls();
    assert_eq!((late.len(), record.open_pull(&late[0]).as_deref()), (1, Some("web:1")));
    assert!(!record.knows_any(|user| !user.contains(':')), "it is no container");
    let mut came = record.clone();
    came.pull_ended(&late[0], Some("one"));
    assert_eq!(unneeded(&came, &["one", "two", "theirs"], &[], &[]), ["one", "two"]);
    // What was there before is not its doing, nor what comes much later.
    came = record.clone();
    came.pull_ended(&late[0], Some("theirs"));
    assert_eq!(unneeded(&came, &["two", "theirs"], &[], &[]), ["two"]);
    record.pull_is_late(&late[0], at(59));
    assert_eq!(record.open_pulls().len(), 1);
    record.pull_is_late(&late[0], at(61));
    assert_eq!(record.open_pulls().len(), 0);
    // Of one that is begun again, what was there before the first counts.
    record.pull_begins("web", pull("web:3", &[]));
    record.pull_begins("web", pull("web:3", &["three"]));
    record.pull_ended("web", Some("three"));
    assert!(unneeded(&record, &["three"], &[], &[]).contains(&"three".to_owned()));
}

#[test]
fn where_there_is_no_room_nobody_goes_back() {
    let mut record = Record::default();
    for (image, before) in [("one", &[][..]), ("two", &["one"])] {
        pulled(&mut record, "web", image, before, image);
        record.settled("web", &[], image);
    }
    assert_eq!(unneeded(&record, &["one", "two"], &[], &[]), [""; 0]);
    assert!(record.forget_previous() && !record.forget_previous());
    assert_eq!(unneeded(&record, &["one", "two"], &[], &[]), ["one"]);
}

#[test]
fn what_holds_an_image_holds_no_other() {
    let mut record = Record::default();
    for (image, before) in [("one", &[][..]), ("two", &["one"])] {
        pulled(&mut record, "resource:a", image, before, image);
        record.holds("resource:a", image);
    }
    assert_eq!(unneeded(&record, &["one", "two"], &[], &[]), ["one"]);
    record.holds("resource:a", "theirs");
    assert_eq!(unneeded(&record, &["one", "two"], &[], &[]), ["one", "two"]);
}

#[test]
fn it_is_written_and_read() {
    let mut record = Record::default();
    pulled(&mut record, "web", "web:1", &[], "a");
    record.settled("web", &[], "a");
    record.pull_begins("web", Pull { reference: "web:2".into(), before: set(&["a"]), begun: at(0) });
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    assert_eq!(
        (record.open_pulls(), record.open_pull("web")),
        (vec!["web".to_owned()], Some("web:2".to_owned()))
    );
    assert_eq!(serde_json::from_str::<Record>("{}").unwrap(), Record::default());
}

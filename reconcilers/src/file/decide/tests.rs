//! What is kept and what is given back, in tables.

use manifest_types::digest::Digest;
use serde_json::{Value, json};

use super::*;
use crate::file::sight::Marks;

const MARKS: Marks = Marks { mode: 0o644, uid: 0, gid: 0 };

fn file(text: &str) -> Found {
    Found::File { size: text.len() as u64, digest: Digest::of(text.as_bytes()), marks: MARKS }
}

fn spec(mut value: Value) -> FileSpec {
    value["path"] = "/it".into();
    serde_json::from_value(value).unwrap()
}

fn wants(text: &str) -> FileSpec {
    spec(json!({ "content": { "inline": text } }))
}

fn record(text: &str) -> Record {
    let Found::File { digest, .. } = file(text) else { unreachable!() };
    serde_json::from_value(json!({
        "path": "/it", "type": "File", "mode": "0644", "uid": 0, "gid": 0, "sha256": digest
    }))
    .unwrap()
}

#[test]
fn marks_alone_are_mended() {
    let differences = |paths: &[&str]| -> Vec<_> {
        paths.iter().map(|path| Difference::in_place(*path, "a", "b")).collect()
    };
    assert_eq!(way(&[]), Way::Leave);
    assert_eq!(way(&differences(&["mode", "owner", "group"])), Way::Mend);
    for path in ["type", "content", "target"] {
        assert_eq!(way(&differences(&["mode", path])), Way::Replace);
    }
}

/// What the ledger says, what is there, what is kept, what was applied, whether we are known to have written, what is wanted.
type KeepCase<'a> = (Before, &'a Found, Option<&'a Record>, &'a [FileSpec], bool, &'a FileSpec, Keep);
/// What the ledger says, what is there, what is kept, what was applied.
type UndoCase<'a> = (Before, &'a Found, Option<&'a Record>, &'a [FileSpec], Undo);

#[test]
fn what_was_there_before_us_is_kept_and_what_came_since_is_set_aside() {
    use Before::{Absent, Original, Same};
    let (one, two, directory) = (wants("one"), wants("two"), spec(json!({ "type": "Directory" })));
    let kept = record("original");
    let theirs = file("theirs");
    let cases: &[KeepCase<'_>] = &[
        (Original, &theirs, None, std::slice::from_ref(&one), false, &one, Keep::Original),
        (Original, &theirs, None, &[], false, &one, Keep::Original),
        // It looks like ours, and cannot be: before we write, something is kept or noted.
        (Original, &file("one"), None, std::slice::from_ref(&one), false, &two, Keep::Original),
        (Original, &file("one"), None, std::slice::from_ref(&one), true, &two, Keep::Original),
        (Original, &Found::Absent, None, std::slice::from_ref(&one), false, &one, Keep::Absence),
        (Original, &Found::Absent, Some(&kept), std::slice::from_ref(&one), false, &one, Keep::Nothing),
        (Original, &file("original"), Some(&kept), std::slice::from_ref(&one), false, &one, Keep::Nothing),
        (Original, &theirs, Some(&kept), std::slice::from_ref(&one), false, &one, Keep::Displaced),
        (Original, &theirs, Some(&kept), std::slice::from_ref(&one), true, &one, Keep::Nothing),
        (Same, &file("one"), None, std::slice::from_ref(&one), false, &two, Keep::Original),
        (Same, &theirs, None, std::slice::from_ref(&one), false, &one, Keep::Original),
        (Same, &theirs, None, std::slice::from_ref(&one), true, &one, Keep::Original),
        (Same, &theirs, None, std::slice::from_ref(&one), true, &two, Keep::Original),
        (Same, &theirs, Some(&kept), std::slice::from_ref(&one), true, &two, Keep::Nothing),
        (Same, &Found::Absent, None, std::slice::from_ref(&one), true, &one, Keep::Nothing),
        (Same, &Found::Absent, None, std::slice::from_ref(&one), true, &two, Keep::Absence),
        (Absent, &Found::Absent, None, std::slice::from_ref(&one), false, &one, Keep::Nothing),
        (Absent, &theirs, None, std::slice::from_ref(&one), false, &one, Keep::Displaced),
        (Absent, &theirs, None, &[], false, &one, Keep::Displaced),
        (Absent, &theirs, None, std::slice::from_ref(&one), true, &one, Keep::Nothing),
        // Another spec was applied before: it is drift, or our own half-known work.
        (Absent, &theirs, None, std::slice::from_ref(&one), false, &two, Keep::Nothing),
        (Absent, &file("one"), None, std::slice::from_ref(&one), false, &two, Keep::Nothing),
        (Absent, &theirs, None, std::slice::from_ref(&directory), true, &directory, Keep::Displaced),
        (Absent, &Found::Directory(MARKS), None, std::slice::from_ref(&one), false, &one, Keep::Nothing),
    ];
    for (number, (before, found, kept, ours, was_applied, wanted, expected)) in cases.iter().enumerate() {
        let change = Change { before: *before, found, kept: *kept, ours, was_applied: *was_applied, wanted };
        assert_eq!(keep(&change), *expected, "case {number}");
    }
}

#[test]
fn what_is_there_now_decides_how_a_path_is_given_back() {
    use Before::{Absent, Original, Same};
    let (ours, kept) = ([wants("ours")], record("original"));
    let directory = [spec(json!({ "type": "Directory" }))];
    let (ours_there, theirs) = (file("ours"), file("theirs"));
    let remove = |is_foreign| Undo::Remove { is_foreign };
    let put_back = |is_foreign| Undo::PutBack { is_foreign };
    let cases: &[UndoCase<'_>] = &[
        (Absent, &Found::Absent, None, &ours, Undo::Leave),
        (Absent, &ours_there, None, &ours, remove(false)),
        (Absent, &theirs, None, &ours, remove(true)),
        (Absent, &ours_there, None, &[], remove(true)),
        (Absent, &Found::Directory(MARKS), None, &directory, remove(false)),
        (Absent, &Found::Directory(MARKS), None, &[], remove(false)),
        (Absent, &Found::Directory(MARKS), None, &ours, Undo::LeaveForeign),
        (Absent, &Found::Special(MARKS), None, &ours, Undo::LeaveForeign),
        (Same, &ours_there, None, &ours, Undo::Leave),
        (Same, &theirs, None, &ours, Undo::Leave),
        (Original, &theirs, None, &ours, Undo::Leave),
        // It looks like ours, and is not: what we wrote would have left a record or a note.
        (Original, &ours_there, None, &ours, Undo::Leave),
        (Original, &ours_there, Some(&kept), &ours, put_back(false)),
        (Original, &Found::Absent, Some(&kept), &ours, put_back(false)),
        (Original, &theirs, Some(&kept), &ours, put_back(true)),
        (Original, &file("original"), Some(&kept), &ours, Undo::Leave),
        (Absent, &ours_there, Some(&kept), &ours, put_back(false)),
    ];
    for (number, (before, found, kept, ours, expected)) in cases.iter().enumerate() {
        assert_eq!(undo(*before, found, *kept, ours), *expected, "case {number}");
    }
}

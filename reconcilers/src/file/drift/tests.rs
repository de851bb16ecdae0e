//! The golden cases in `cases/` (adding a case is adding a folder), and what holds of all.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use manifest_types::{digest::Digest, document::from_yaml, kinds::file::FileContent};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// `seen.yaml` of a case. `uid` and `gid` are what the wanted names mean here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    #[serde(rename = "type")]
    file_type: Option<String>,
    content: Option<String>,
    target: Option<String>,
    mode: Option<Mode>,
    #[serde(default)]
    owner: u32,
    #[serde(default)]
    group: u32,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Seen {
    fn found(&self) -> Found {
        let marks = Marks { mode: self.mode.unwrap_or(Mode(0o777)).0, uid: self.owner, gid: self.group };
        let content = self.content.as_deref().unwrap_or_default();
        match self.file_type.as_deref() {
            None => Found::Absent,
            Some("File") => {
                let digest = Digest::of(content.as_bytes());
                Found::File { size: content.len() as u64, digest, marks }
            }
            Some("Directory") => Found::Directory(marks),
            Some("Symlink") => Found::Symlink { target: self.target.clone().unwrap().into(), marks },
            Some("Special") => Found::Special(marks),
            Some(other) => panic!("no type {other}"),
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(file: PathBuf) -> T {
    let text = fs::read_to_string(&file).unwrap();
    serde_json::from_value(from_yaml(&text).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_case_differs_as_it_says() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/file/drift/cases");
    let mut count = 0;
    for case in fs::read_dir(cases).unwrap() {
        let case = case.unwrap().path();
        let (wanted, seen): (FileSpec, Seen) = (read(case.join("wanted.yaml")), read(case.join("seen.yaml")));
        let mut told = String::new();
        for difference in drift(&seen.found(), Names { uid: seen.uid, gid: seen.gid }, &wanted) {
            assert!(difference.in_place);
            writeln!(told, "{}: want {}, got {}", difference.path, difference.want, difference.got).unwrap();
        }
        assert_eq!(told, fs::read_to_string(case.join("diff")).unwrap(), "{}", case.display());
        count += 1;
    }
    assert!(count >= 10, "the cases are there");
}

fn specs() -> impl Strategy<Value = FileSpec> {
    let principal = || {
        prop_oneof![
            Just(None),
            (0_u32..3).prop_map(|id| Some(Principal::Id(id))),
            Just(Some(Principal::Name("web".into())))
        ]
    };
    let mode = prop_oneof![Just(None), (0_u32..0o10000).prop_map(|mode| Some(Mode(mode)))];
    (0..3_usize, mode, principal(), principal(), "[a-c]{1,2}").prop_map(|(of, mode, owner, group, text)| {
        let file_type = [FileType::File, FileType::Directory, FileType::Symlink][of];
        FileSpec {
            file_type,
            path: "/it".parse().unwrap(),
            mode: mode.filter(|_| file_type != FileType::Symlink),
            owner,
            group,
            content: (file_type == FileType::File).then(|| FileContent::Inline(text.clone())),
            target: (file_type == FileType::Symlink).then_some(text),
            create_parents: false,
        }
    })
}

/// What is there when `spec` has been brought about.
fn brought_about(spec: &FileSpec, names: Names) -> Found {
    let id = |principal: &Option<Principal>, named: Option<u32>| match principal {
        None => 17,
        Some(Principal::Id(id)) => *id,
        Some(Principal::Name(_)) => named.unwrap(),
    };
    let mode = spec.wanted_mode().map_or(0o777, |mode| mode.0);
    let marks = Marks { mode, uid: id(&spec.owner, names.uid), gid: id(&spec.group, names.gid) };
    match spec.file_type {
        FileType::Directory => Found::Directory(marks),
        FileType::Symlink => Found::Symlink { target: spec.target.clone().unwrap().into(), marks },
        FileType::File => {
            let content = spec.content.as_ref().unwrap();
            Found::File { size: content.bytes().unwrap().len() as u64, digest: content.digest(), marks }
        }
    }
}

fn change_marks(found: &mut Found, change: impl FnOnce(&mut Marks)) {
    match found {
        Found::Absent => {}
        Found::File { marks, .. }
        | Found::Directory(marks)
        | Found::Symlink { marks, .. }
        | Found::Special(marks) => {
            change(marks);
        }
    }
}

proptest! {
    /// On target is without a difference, and any one field that is not is one difference, of that field.
    #[test]
    fn no_difference_is_on_target(spec in specs(), id in 0_u32..3, bit in 0_u32..12) {
        let names = Names { uid: Some(id), gid: Some(id) };
        let on_target = brought_about(&spec, names);
        prop_assert_eq!(drift(&on_target, names, &spec), []);

        let paths = |found: &Found, names: Names| -> Vec<String> {
            drift(found, names, &spec).into_iter().map(|difference| difference.path).collect()
        };
        prop_assert_eq!(paths(&Found::Absent, names), ["type"]);
        prop_assert_eq!(paths(&Found::Special(on_target.marks().unwrap()), names), ["type"]);

        let mut other = on_target.clone();
        change_marks(&mut other, |marks| marks.mode ^= 1 << bit);
        let has_mode = spec.file_type != FileType::Symlink;
        prop_assert_eq!(paths(&other, names), if has_mode { vec!["mode"] } else { vec![] });

        let mut other = on_target.clone();
        change_marks(&mut other, |marks| marks.uid = 99);
        prop_assert_eq!(paths(&other, names), if spec.owner.is_some() { vec!["owner"] } else { vec![] });

        let mut other = on_target.clone();
        change_marks(&mut other, |marks| marks.gid = 99);
        prop_assert_eq!(paths(&other, names), if spec.group.is_some() { vec!["group"] } else { vec![] });

        let mut other = on_target.clone();
        let field = match &mut other {
            Found::File { digest, .. } => {
                *digest = Digest::of(b"other");
                Some("content")
            }
            Found::Symlink { target, .. } => {
                target.push("other");
                Some("target")
            }
            _ => None,
        };
        prop_assert_eq!(paths(&other, names), field.into_iter().collect::<Vec<_>>());

        let by_name = |principal: &Option<Principal>| matches!(principal, Some(Principal::Name(_)));
        let unknown = [("owner", by_name(&spec.owner)), ("group", by_name(&spec.group))];
        let unknown: Vec<_> = unknown.into_iter().filter_map(|(field, is)| is.then_some(field)).collect();
        prop_assert_eq!(paths(&on_target, Names::default()), unknown);
    }

    /// Any two: no difference exactly if type, content, mode and owners are as wanted.
    #[test]
    fn no_difference_exactly_if_all_is_as_wanted(wanted in specs(), there in specs(), uid in 0_u32..3, gid in 0_u32..3) {
        let names = Names { uid: Some(uid), gid: Some(gid) };
        let found = brought_about(&there, names);
        let marks = found.marks().unwrap();
        let owned = |principal: &Option<Principal>, named: u32, got: u32| match principal {
            None => true,
            Some(Principal::Id(id)) => *id == got,
            Some(Principal::Name(_)) => named == got,
        };
        let is_as_wanted = wanted.file_type == there.file_type
            && wanted.content == there.content
            && wanted.target == there.target
            && wanted.wanted_mode() == there.wanted_mode()
            && owned(&wanted.owner, uid, marks.uid)
            && owned(&wanted.group, gid, marks.gid);
        prop_assert_eq!(drift(&found, names, &wanted).is_empty(), is_as_wanted);
    }
}

#[test]
fn a_target_that_is_no_text_differs() {
    let wanted: FileSpec =
        serde_json::from_value(serde_json::json!({ "path": "/it", "type": "Symlink", "target": "\u{fffd}" }))
            .unwrap();
    let target = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    let found = Found::Symlink { target, marks: Marks { mode: 0o777, uid: 0, gid: 0 } };
    assert_eq!(drift(&found, Names::default(), &wanted).len(), 1);
}

#[test]
fn where_there_are_no_modes_and_owners_they_are_no_difference() {
    let wanted: FileSpec = serde_json::from_value(
        serde_json::json!({ "path": "/boot/config.txt", "mode": "0600", "owner": 7, "group": 7, "content": { "inline": "a" } }),
    )
    .unwrap();
    let marks = Marks { mode: 0o755, uid: 0, gid: 0 };
    let found = Found::File { size: 1, digest: Digest::of(b"b"), marks };
    let paths = |keeps_marks| -> Vec<_> {
        let all = that_can_be_mended(drift(&found, Names::default(), &wanted), keeps_marks);
        all.into_iter().map(|difference| difference.path).collect()
    };
    assert_eq!(paths(true), ["content", "mode", "owner", "group"]);
    assert_eq!(paths(false), ["content"]);
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::kinds::Spec;

fn told(spec: Value) -> String {
    let problems = Spec::read("File", &spec).unwrap().unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn reads(spec: Value) -> FileSpec {
    match Spec::read("File", &spec).unwrap().unwrap() {
        Spec::File(spec) => *spec,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_is_read() {
    let file = reads(
        json!({ "path": "/a", "mode": "640", "owner": 0, "group": "adm", "content": { "inline": "x" } }),
    );
    assert_eq!(file.wanted_mode(), Some(Mode(0o640)));
    assert_eq!((file.owner, file.group), (Some(Principal::Id(0)), Some(Principal::Name("adm".into()))));
    let bytes = reads(json!({ "path": "/a", "content": { "base64": "AP8=" } }));
    assert_eq!(bytes.content.unwrap().bytes(), Some(&[0, 255][..]));
    let sum = Digest::of(b"x");
    reads(json!({ "path": "/a", "content": { "object": { "bucket": "b", "name": "n", "sha256": sum } } }));
    reads(json!({ "path": "/a", "content": { "url": "https://example.org/x", "sha256": sum } }));
    let directory = reads(json!({ "type": "Directory", "path": "/d" }));
    assert_eq!(directory.wanted_mode(), Some(Mode(0o755)));
    let link = reads(json!({ "type": "Symlink", "path": "/l", "target": "../x" }));
    assert_eq!(link.wanted_mode(), None);
}

#[test]
fn what_is_wrong_is_told() {
    insta::assert_snapshot!([
        told(json!({ "path": "a", "mode": 640, "owner": -1, "content": {} })),
        told(json!({ "path": "/a", "content": { "inline": "", "base64": "" } })),
        told(json!({ "path": "/a", "content": { "url": "https://x" } })),
        told(json!({ "path": "/a", "content": { "url": "ftp://x", "sha256": Digest::of(b"") } })),
        told(json!({ "path": "/a", "content": { "base64": "?" } })),
        told(json!({ "path": "/a", "content": { "inline": "x".repeat(INLINE_LIMIT + 1) } })),
        told(json!({ "path": "/a" })),
        told(json!({ "path": "/proc/sys/x", "type": "Directory", "content": { "inline": "" }, "target": "x" })),
        told(json!({ "path": "/a", "type": "Symlink", "mode": "0644" })),
        told(json!({ "path": "/a", "type": "Socket" })),
        told(json!({ "path": "/a", "mode": "0888", "owner": "a:b", "contents": 1 })),
        told(Value::Null),
    ].join("\n\n"));
}

#[test]
fn a_content_is_not_printed() {
    let spec = reads(json!({ "path": "/a", "content": { "inline": "hunter2" } }));
    assert!(!format!("{spec:?}").contains("hunter2"));
}

/// A content may be a secret, and what is told of a spec ends up in a status and in a log.
#[test]
fn no_problem_tells_what_may_be_a_content() {
    let (secret, pin) = ("hunter2 \u{e9}", 8_675_309);
    let sum = Digest::of(b"");
    let mut wrong = Vec::new();
    for value in [json!(secret), json!(pin), json!(-pin), json!(8_675_309.25)] {
        for value in [
            value.clone(),
            json!([value]),
            json!({ "inline": { "inline": value } }),
            json!({ "inline": [value] }),
        ] {
            for field in
                ["type", "path", "mode", "owner", "group", "content", "target", "createParents", "contents"]
            {
                let mut spec = json!({ "path": "/a", "content": { "inline": "" } });
                spec[field] = value.clone();
                wrong.push(spec);
            }
            for field in ["inline", "base64", "url", "object", "sha256", "text"] {
                wrong.push(json!({ "path": "/a", "content": { field: value } }));
                wrong.push(json!({ "path": "/a", "content": { field: value, "sha256": sum } }));
                wrong.push(json!({ "path": "/a", "type": "Directory", "content": { field: value } }));
            }
            for field in ["bucket", "name", "sha256"] {
                let mut object = json!({ "bucket": "b", "name": "n", "sha256": sum });
                object[field] = value.clone();
                wrong.push(json!({ "path": "/a", "content": { "object": object } }));
            }
            wrong.push(value);
        }
    }
    let mut told = 0;
    for spec in wrong {
        for problem in Spec::read("File", &spec).unwrap().err().unwrap_or_default() {
            let text = problem.to_string();
            // A single byte of it is a part of it, too: base64's error would tell the space.
            for part in ["hunter", "8675309", "\u{e9}", "32"] {
                assert!(!text.contains(part), "{text}\nof {spec}");
            }
            told += 1;
        }
    }
    assert!(told > 200, "{told}");
}

proptest! {
    #[test]
    fn a_spec_reads_what_it_writes(
        kind in 0usize..3, name in "[a-z]{1,8}", mode in proptest::option::of(0u32..0o7777), text in ".{0,20}",
        owner in proptest::option::of(0u32..70000), parents: bool, bytes: Vec<u8>, origin in 0..4,
    ) {
        let sha256 = Digest::of(&bytes);
        let content = match origin {
            0 => FileContent::Inline(text.clone()),
            1 => FileContent::Base64(bytes),
            2 => FileContent::Object { bucket: name.clone(), name: text.clone(), sha256 },
            _ => FileContent::Url { url: format!("https://{name}"), sha256 },
        };
        let spec = Spec::File(Box::new(FileSpec {
            file_type: [FileType::File, FileType::Directory, FileType::Symlink][kind],
            path: format!("/{name}").parse().unwrap(),
            mode: mode.map(Mode).filter(|_| kind != 2),
            owner: owner.map(Principal::Id),
            group: None,
            content: (kind == 0).then_some(content),
            target: (kind == 2).then(|| name.clone()),
            create_parents: parents,
        }));
        let written = serde_json::to_value(&spec).unwrap();
        prop_assert_eq!(Spec::read("File", &written["spec"]), Some(Ok(spec.clone())));
        prop_assert_eq!(serde_json::from_value::<Spec>(written).unwrap(), spec);
    }
}

#[test]
fn specs_contradict_each_other_only_where_that_is_plain() {
    let base = json!({ "path": "/a", "content": { "inline": "x" } });
    let with = |key: &str, value: Value| {
        let mut spec = base.clone();
        spec[key] = value;
        reads(spec)
    };
    let sum = Digest::of(b"y");
    let contradict = [
        with("content", json!({ "inline": "y" })),
        with("mode", json!("0600")),
        reads(json!({ "path": "/a", "type": "Directory" })),
        reads(json!({ "path": "/a", "type": "Symlink", "target": "/b" })),
    ];
    let may_agree = [
        with("path", json!("/b")),
        with("content", json!({ "base64": "eA==" })),
        with("content", json!({ "url": "http://server/y", "sha256": sum })),
        with("mode", json!("0644")),
        with("owner", json!("root")),
        with("createParents", json!(true)),
    ];
    let base = reads(base.clone());
    for other in &contradict {
        assert!(base.contradicts(other) && other.contradicts(&base), "{other:?}");
    }
    for other in &may_agree {
        assert!(!base.contradicts(other) && !other.contradicts(&base), "{other:?}");
    }
}

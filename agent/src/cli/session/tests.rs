use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::ledger::memory::{Admission, LedgerWrite, SavedManifest};

const GOOD: &str = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n  - id: a\n    kind: File\n    spec: { path: /a, content: { inline: x } }\n";

fn session(dir: &TempDir) -> Session {
    Session { socket: Some(dir.path().join("none.sock")), json: false, paint: Paint::default() }
}

fn place(dir: &TempDir) -> Place {
    Place { state_dir: Some(dir.path().join("state")), root: Some(dir.path().to_owned()), ..Place::default() }
}

fn file(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("manifest.yaml");
    fs::write(&path, text).unwrap();
    path
}

/// Exit codes cannot be compared, but printed.
fn told(code: ExitCode) -> String {
    format!("{code:?}")
}

#[tokio::test]
async fn a_plan_ends_with_what_there_is_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let plan = async |text: &str| {
        let request = Request::Plan { file: file(&dir, text), place: place(&dir) };
        told(session(&dir).carry_out(request).await.unwrap())
    };
    assert_eq!(plan(GOOD).await, told(ExitCode::from(2)));
    fs::write(dir.path().join("a"), "x").unwrap();
    assert_eq!(plan(GOOD).await, told(ExitCode::SUCCESS));
    assert_eq!(plan("a: [").await, told(ExitCode::FAILURE));
}

#[tokio::test]
async fn validation_ends_with_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = GOOD.replace("kind: File", "kind: Hologram");
    let cases =
        [(GOOD, false, true), (&unknown, false, false), (&unknown, true, true), ("a: [", false, false)];
    for (text, allow_unknown_kinds, valid) in cases {
        let request = Request::Validate { file: file(&dir, text), allow_unknown_kinds };
        let code = session(&dir).carry_out(request).await.unwrap();
        assert_eq!(told(code), told(super::code(valid)), "{text}");
    }
}

#[test]
fn all_problems_are_told_where_they_stand() {
    let text = "apiVersion: holdfast/v1\nkind: AgentManifest\nresources:\n  - id: a\n    kind: File\n    spec:\n      path: /a\n      colour: red\n      content: { inline: 1 }\n  - id: b\n    kind: Hologram\n    spec: {}\n";
    let verdict = validate::check(Path::new("m.yaml"), text.as_bytes(), false);
    insta::assert_snapshot!(validate::render(&verdict));
    let valid = validate::check(Path::new("-"), GOOD.as_bytes(), false);
    assert_eq!(validate::render(&valid), "<stdin>: valid, 1 resource\n");
    let large = vec![b' '; manifest_types::manifest::MANIFEST_LIMIT + 1];
    let told = validate::render(&validate::check(Path::new("m"), &large, false));
    assert_eq!(told, "m: $: has more than 1048576 bytes\n");
    let told = validate::render(&validate::check(Path::new("m"), b"\xff", false));
    assert!(told.starts_with("m: $: is not UTF-8 text"), "{told}");
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = session(&dir).carry_out(Request::Status { watch: false }).await.unwrap_err();
    let told = error.told().replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let request = Request::Validate { file: dir.path().join("no.yaml"), allow_unknown_kinds: false };
    let told = session(&dir).carry_out(request).await.unwrap_err().told();
    assert!(told.starts_with("holdfast: cannot read ") && told.contains("no.yaml: No such file"), "{told}");
}

#[tokio::test]
async fn without_an_agent_the_ledger_itself_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let forget = || Request::ForgetGeneration { place: place(&dir) };
    assert!(session(&dir).carry_out(forget()).await.is_err(), "there is no ledger to change");
    assert!(!state.exists());

    let (mut store, _) = Store::open(&state, "one").unwrap();
    let saved = SavedManifest { source: "nats".into(), generation: 7.try_into().unwrap(), text: "{}".into() };
    let admission =
        Admission { generation: saved.generation, digest: manifest_types::digest::Digest::of(b"{}") };
    store.commit(&LedgerWrite { manifest: Some((saved, admission)), ..LedgerWrite::default() }).unwrap();
    let told = session(&dir).carry_out(forget()).await.unwrap_err().told();
    assert!(told.contains("in use by another agent") && told.contains("--api-socket"), "{told}");
    drop(store);

    session(&dir).carry_out(forget()).await.unwrap();
    let (_, memory) = Store::open(&state, "two").unwrap();
    assert!(memory.generations.is_empty() && memory.manifest.is_some(), "{memory:?}");
}

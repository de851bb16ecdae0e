use std::{fs, io, path::Path};

use manifest_types::status::Capability;
use reconcilers::error::Unseen;

use super::*;

fn verdicts(checks: &[Check]) -> Vec<Verdict> {
    checks.iter().map(|check| check.verdict).collect()
}

#[test]
fn what_is_found_is_judged() {
    let broken = || io::Error::from(io::ErrorKind::PermissionDenied);
    let path = Path::new("/x");
    let time = |text: &str| judge::clock(text.parse().unwrap());
    let mib = |count: u64| count * 1024 * 1024;
    let cases = [
        (time("2026-11-21T05:00:00Z"), Verdict::Ok),
        (time("1970-01-01T00:00:05Z"), Verdict::Warn),
        (time("2106-02-07T06:28:15Z"), Verdict::Warn),
        (judge::state_dir(path, Ok(true)), Verdict::Ok),
        (judge::state_dir(path, Ok(false)), Verdict::Ok),
        (judge::state_dir(path, Err(broken())), Verdict::Fail),
        (judge::space(false, mib(500)), Verdict::Ok),
        (judge::space(true, mib(500)), Verdict::Warn),
        (judge::space(false, mib(20)), Verdict::Warn),
        (judge::space(false, mib(1)), Verdict::Fail),
        (judge::root(path, Ok(())), Verdict::Ok),
        (judge::root(path, Err(io::ErrorKind::ReadOnlyFilesystem.into())), Verdict::Warn),
        (judge::root(path, Err(broken())), Verdict::Fail),
        (judge::rights(true, Some(0x1ff_ffff_ffff)), Verdict::Ok),
        (judge::rights(false, Some(0)), Verdict::Warn),
        (judge::rights(false, None), Verdict::Warn),
        (judge::inotify(Some(100_000), Ok(())), Verdict::Ok),
        (judge::inotify(Some(128), Ok(())), Verdict::Warn),
        (judge::inotify(Some(100_000), Err(broken())), Verdict::Warn),
    ];
    for (check, verdict) in cases {
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert_eq!(check.advice.is_some(), verdict != Verdict::Ok, "{check:?}");
    }
}

#[test]
fn what_several_kinds_need_is_told_once() {
    let engine =
        || Capability { name: "docker".into(), version: "26".into(), api_version: Some("1.45".into()) };
    let away = || Unseen { reason: "NoEngine", message: "no container engine answers".into() };
    let told = |found| {
        let checks = judge::capabilities(found);
        checks.into_iter().map(|check| (check.verdict, check.kind.unwrap(), check.found)).collect::<Vec<_>>()
    };
    let both = "Container, Volume".to_owned();
    assert_eq!(
        told(vec![
            ("Container", Ok(("containerEngine", engine()))),
            ("Volume", Ok(("containerEngine", engine())))
        ]),
        [(Verdict::Ok, both.clone(), "docker 26, API 1.45".to_owned())]
    );
    assert_eq!(
        told(vec![("Container", Err(away())), ("Volume", Err(away()))]),
        [(Verdict::Warn, both, "no container engine answers".to_owned())]
    );
    assert!(told(vec![]).is_empty());
}

#[test]
fn missing_rights_are_told_with_their_use() {
    // All but CAP_CHOWN.
    let check = judge::rights(true, Some(0x1ff_ffff_fffe));
    assert_eq!(check.found, "root, without CAP_CHOWN");
    assert_eq!(
        check.advice.unwrap(),
        "run the agent as root, or give it CAP_CHOWN to give files to their owners"
    );
}

#[test]
fn a_report_ends_with_what_to_do() {
    let checks = [
        judge::clock("2026-11-21T05:00:00Z".parse().unwrap()),
        judge::state_dir(Path::new("/var/lib/holdfast"), Err(io::ErrorKind::PermissionDenied.into())),
        judge::inotify(Some(128), Ok(())),
    ];
    assert!(has_failed(&checks) && !has_failed(&checks[..1]));
    insta::assert_snapshot!(render(&checks, Paint(false)));
}

#[tokio::test]
async fn a_device_is_examined_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (state, root) = (dir.path().join("state"), dir.path().join("root"));
    fs::create_dir(&state).unwrap();
    fs::create_dir(&root).unwrap();
    let docker_host = Some(format!("unix://{}", dir.path().join("none.sock").display()));
    let place = Place { state_dir: Some(state.clone()), root: Some(root), docker_host, ..Place::default() };
    let client = Client::new(dir.path().join("none.sock"));
    let checks = examine(&client, place).await;
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names[..8],
        ["configuration", "clock", "agent", "state-dir", "space", "root", "rights", "inotify"]
    );
    // Whether there is one depends on where this runs.
    let units = checks.iter().find(|check| check.kind.as_deref() == Some("SystemdUnit")).unwrap();
    assert!(["systemd", "SystemdAway"].contains(&units.name.as_str()), "{units:?}");
    let engine = checks.iter().find(|check| check.name == "NoEngine").unwrap();
    assert_eq!(engine.kind.as_deref(), Some("Container, ContainerNetwork, Image, Volume"));
    assert_eq!(engine.verdict, Verdict::Warn, "the agent works without one");
    let agent = checks.iter().find(|check| check.name == "agent").unwrap();
    assert_eq!(agent.verdict, Verdict::Warn, "no agent is no failure: {agent:?}");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

#[tokio::test]
async fn what_cannot_work_fails() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let checks = probe::device(&dir.path().join("file/state"), &dir.path().join("file"));
    assert_eq!(verdicts(&checks[..1]), [Verdict::Fail], "{checks:?}");
    let root = checks.iter().find(|check| check.name == "root").unwrap();
    assert_eq!((root.verdict, root.kind.as_deref()), (Verdict::Fail, Some("File")), "{root:?}");
}

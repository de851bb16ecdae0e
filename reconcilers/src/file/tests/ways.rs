//! The way to a file: never out of the root, never through what others can change, never to the agent's own.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use serde_json::json;

use super::rig::{Rig, needs_root, picture, spec, text_file};
use crate::{file::FileReconciler, observation::Before};

/// The reason why a file at `path` can neither be seen nor brought about nor taken away; nothing changes.
async fn refused(rig: &Rig, path: &str) -> String {
    let spec = text_file(path, "text");
    let all = picture(rig.temp.path(), true);
    let seen = rig.see(&spec).await.unwrap_err();
    let row = rig.row(&spec, Before::Absent);
    assert_eq!(rig.put(&row).await.unwrap_err(), seen);
    assert_eq!(rig.take(&row).await.unwrap_err(), seen);
    assert_eq!(picture(rig.temp.path(), true), all);
    seen.reason
}

#[tokio::test]
async fn links_lead_nowhere_out_of_the_root() {
    let rig = Rig::new();
    let outside = rig.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(rig.real("/inside/deep")).unwrap();
    fs::create_dir_all(rig.real(outside.to_str().unwrap())).unwrap();
    symlink(&outside, rig.real("/absolute")).unwrap();
    symlink("../../../../../../../../inside", rig.real("/inside/deep/up")).unwrap();
    symlink("./deep//up/.", rig.real("/inside/long")).unwrap();
    for (path, at) in [
        ("/absolute/file", outside.join("file").to_str().unwrap()),
        ("/inside/deep/up/file", "/inside/file"),
        ("/inside/long/two", "/inside/two"),
    ] {
        rig.apply(&text_file(path, "text")).await;
        assert_eq!(rig.read(at), "text", "{path}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn the_last_name_is_never_followed() {
    let rig = Rig::new();
    rig.write("/victim", "untouched");
    rig.chmod("/victim", 0o600);
    symlink("victim", rig.real("/it")).unwrap();
    let row = rig.apply(&text_file("/it", "text")).await;
    assert_eq!((rig.read("/victim").as_str(), rig.mode("/victim")), ("untouched", 0o600));
    assert!(fs::symlink_metadata(rig.real("/it")).unwrap().is_file());
    rig.take(&row).await.unwrap();
    assert_eq!(fs::read_link(rig.real("/it")).unwrap().to_str(), Some("victim"));
}

#[tokio::test]
async fn a_link_that_others_can_change_is_not_gone_through() {
    let rig = Rig::new();
    fs::create_dir_all(rig.real("/shared")).unwrap();
    fs::create_dir_all(rig.real("/target")).unwrap();
    symlink("/target", rig.real("/shared/link")).unwrap();
    assert!(rig.see(&text_file("/shared/link/it", "")).await.is_ok());
    for mode in [0o777, 0o1777, 0o775] {
        rig.chmod("/shared", mode);
        assert_eq!(refused(&rig, "/shared/link/it").await, "UnsafePath", "{mode:o}");
    }
    // A plain directory may be anything.
    fs::create_dir(rig.real("/shared/plain")).unwrap();
    rig.apply(&text_file("/shared/plain/it", "text")).await;
}

#[tokio::test]
async fn a_link_of_somebody_else_is_not_gone_through() {
    needs_root("gives a link to another user");
    let rig = Rig::new();
    fs::create_dir_all(rig.real("/home/them")).unwrap();
    fs::create_dir_all(rig.real("/target")).unwrap();
    symlink("/target", rig.real("/home/theirs")).unwrap();
    std::os::unix::fs::lchown(rig.real("/home/theirs"), Some(12345), None).unwrap();
    assert_eq!(refused(&rig, "/home/theirs/it").await, "UnsafePath");
    symlink("/target", rig.real("/home/them/link")).unwrap();
    std::os::unix::fs::chown(rig.real("/home/them"), Some(12345), None).unwrap();
    assert_eq!(refused(&rig, "/home/them/link/it").await, "UnsafePath");
}

#[tokio::test]
async fn links_in_a_circle_end() {
    let rig = Rig::new();
    symlink("b", rig.real("/a")).unwrap();
    symlink("a", rig.real("/b")).unwrap();
    assert_eq!(refused(&rig, "/a/it").await, "UnsafePath");
}

#[tokio::test]
async fn a_file_on_the_way_is_in_the_way() {
    let rig = Rig::new();
    rig.write("/file", "");
    let spec = text_file("/file/it", "");
    assert_eq!(rig.see(&spec).await.unwrap_err().reason, "NotADirectory");
    let row = rig.row(&spec, Before::Absent);
    assert_eq!(rig.put(&row).await.unwrap_err().reason, "NotADirectory");
    rig.take(&row).await.unwrap();
}

#[tokio::test]
async fn what_is_the_agents_own_is_out_of_reach() {
    let mut rig = Rig::new();
    for directory in ["/agent", "/alias", "/etc"] {
        fs::create_dir(rig.real(directory)).unwrap();
    }
    rig.write("/etc/creds", "secret");
    fs::hard_link(rig.real("/etc/creds"), rig.real("/alias/creds")).unwrap();
    symlink("/agent", rig.real("/alias/agent")).unwrap();
    rig.host.root = rig.host.root.canonicalize().unwrap();
    rig.host.state_dir = rig.host.root.join("agent");
    rig.host.protected = vec![rig.real("/etc/creds"), rig.real("/etc/later"), rig.real("/run/later.sock")];
    rig.files = FileReconciler::new(&rig.host);
    for path in [
        "/agent/ledger",
        "/agent/deep/er",
        "/agent",
        "/alias/agent/x",
        "/alias/creds",
        "/etc/creds",
        "/etc/later",
        "/etc/later/x",
    ] {
        assert_eq!(refused(&rig, path).await, "Protected", "{path}");
    }
    rig.apply(&text_file("/etc/other", "text")).await;
}

#[tokio::test]
async fn what_the_kernel_makes_up_holds_no_files() {
    let mut rig = Rig::new();
    rig.host.root = "/".into();
    rig.files = FileReconciler::new(&rig.host);
    for path in ["/proc/sys/it", "/sys/kernel/it"] {
        let failure = rig.see(&text_file(path, "text")).await.unwrap_err();
        assert_eq!((failure.reason.as_str(), failure.can_retry), ("UnsupportedFileSystem", false));
    }
}

#[tokio::test]
async fn parents_are_made_only_when_asked_for() {
    let rig = Rig::new();
    let mut spec = text_file("/a/b/it", "text");
    assert!(!rig.see(&spec).await.unwrap().present);
    let failure = rig.put(&rig.intend(&spec).await).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("ParentMissing", true));
    spec.create_parents = true;
    let row = rig.apply(&spec).await;
    assert_eq!((rig.mode("/a"), rig.mode("/a/b")), (0o755, 0o755));
    rig.take(&row).await.unwrap();
    assert!(rig.real("/a/b").exists(), "parents that were made stay");
}

#[tokio::test]
async fn a_root_that_is_gone_is_unseen_not_empty() {
    let rig = Rig::new();
    fs::remove_dir(&rig.host.root).unwrap();
    let target = crate::reconciler::Target::<manifest_types::kinds::file::FileSpec> {
        id: &"it".parse().unwrap(),
        wanted: Some(&text_file("/it", "")),
        owned: None,
    };
    let unseen = crate::reconciler::Reconciler::observe(&rig.files, &[target]).await.unwrap_err();
    assert!(unseen.message.contains("root"), "{unseen}");
}

#[tokio::test]
async fn another_name_of_a_file_keeps_its_mode() {
    let rig = Rig::new();
    rig.write("/theirs", "text");
    rig.chmod("/theirs", 0o600);
    fs::hard_link(rig.real("/theirs"), rig.real("/it")).unwrap();
    let spec = spec(json!({ "path": "/it", "mode": "4755", "content": { "inline": "text" } }));
    rig.apply(&spec).await;
    assert_eq!((rig.mode("/theirs"), rig.mode("/it")), (0o600, 0o4755));
    assert_eq!(fs::metadata(rig.real("/it")).unwrap().nlink(), 1);
}

#[tokio::test]
async fn a_step_tells_what_it_has_seen_after_a_change_of_one_place() {
    let rig = Rig::new();
    let spec = text_file("/it", "text");
    let row = rig.intend(&spec).await;
    let told = rig.told(&row, &spec).await.expect("a step that writes one file looks at it");
    assert_eq!(told, rig.see(&spec).await.unwrap());
    assert!(told.on_target() && told.details.is_some());
}

#[tokio::test]
async fn a_step_that_takes_its_own_file_away_by_another_way_does_not_tell_that_it_is_there() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/data")).unwrap();
    symlink("data", rig.real("/via")).unwrap();
    let mut row = rig.apply(&text_file("/via/it", "text")).await;
    let moved = text_file("/data/it", "text");
    row.held.extend(rig.row(&moved, Before::Absent).held);
    let told = rig.told(&row, &moved).await;
    let seen = rig.see(&moved).await.unwrap();
    assert!(told.is_none_or(|told| told == seen), "{seen:?}");
}

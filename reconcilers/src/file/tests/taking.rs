//! Taking a place: what is in the way of what.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, symlink},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use serde_json::json;

use super::rig::{Rig, needs_root, picture, spec, text_file};
use crate::{file::stage::temporary_name, observation::Before};

#[tokio::test]
async fn mode_alone_is_mended_in_place() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "text")).await;
    let inode = fs::metadata(rig.real("/it")).unwrap().ino();
    rig.chmod("/it", 0o600);
    rig.put(&row).await.unwrap();
    assert_eq!((rig.mode("/it"), fs::metadata(rig.real("/it")).unwrap().ino()), (0o644, inode));
}

#[tokio::test]
async fn set_user_id_survives_a_rewrite() {
    let rig = Rig::new();
    rig.write("/it", "theirs");
    let wanted = |text: &str| spec(json!({ "path": "/it", "mode": "6755", "content": { "inline": text } }));
    let row = rig.apply(&wanted("one")).await;
    assert_eq!((rig.mode("/it"), rig.read("/it").as_str()), (0o6755, "one"));
    rig.put_with(&super::rig::context(), &row, &wanted("two")).await.unwrap();
    assert_eq!((rig.mode("/it"), rig.read("/it").as_str()), (0o6755, "two"));
}

#[tokio::test]
async fn set_user_id_survives_a_change_of_owner_and_an_owner_stays_on_rewrite() {
    needs_root("gives a file to another user");
    let rig = Rig::new();
    rig.write("/it", "theirs");
    std::os::unix::fs::chown(rig.real("/it"), Some(1234), Some(4321)).unwrap();
    let owners = |rig: &Rig| {
        let stat = fs::metadata(rig.real("/it")).unwrap();
        (stat.uid(), stat.gid())
    };
    let one = spec(json!({ "path": "/it", "mode": "6755", "content": { "inline": "one" } }));
    let row = rig.apply(&one).await;
    assert_eq!((rig.mode("/it"), owners(&rig)), (0o6755, (1234, 4321)));
    let two = spec(
        json!({ "path": "/it", "mode": "6755", "owner": "root", "group": 7, "content": { "inline": "one" } }),
    );
    rig.put_with(&super::rig::context(), &row, &two).await.unwrap();
    assert_eq!((rig.mode("/it"), owners(&rig)), (0o6755, (0, 7)));
    assert!(rig.see(&two).await.unwrap().on_target());
}

#[tokio::test]
async fn a_name_that_is_not_here_is_told() {
    let rig = Rig::new();
    for (field, reason) in [("owner", "UnknownOwner"), ("group", "UnknownGroup")] {
        let wanted = spec(json!({ "path": "/it", field: "no-such-name", "content": { "inline": "" } }));
        let row = rig.intend(&wanted).await;
        let failure = rig.put(&row).await.unwrap_err();
        assert_eq!((failure.reason.as_str(), failure.can_retry), (reason, true));
        assert!(!rig.real("/it").exists() && rig.leftovers().is_empty());
        rig.write("/it", "");
        rig.chmod("/it", 0o644);
        let seen = rig.see(&wanted).await.unwrap();
        let [difference] = &seen.differences[..] else { panic!("{seen:?}") };
        assert_eq!((difference.path.as_str(), difference.want.as_str()), (field, Some("no-such-name")));
        fs::remove_file(rig.real("/it")).unwrap();
    }
}

#[tokio::test]
async fn a_directory_with_something_in_it_is_not_destroyed() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/it")).unwrap();
    rig.write("/it/theirs", "text");
    let all = picture(rig.temp.path(), true);
    for wanted in [text_file("/it", "x"), spec(json!({ "path": "/it", "type": "Symlink", "target": "x" }))] {
        let row = rig.intend(&wanted).await;
        assert_eq!(rig.put(&row).await.unwrap_err().reason, "DirectoryInTheWay");
        assert_eq!(picture(rig.temp.path(), true), all);
    }
}

#[tokio::test]
async fn a_pipe_is_neither_read_nor_destroyed() {
    let rig = Rig::new();
    mkfifo(&rig.real("/it"), Mode::from_bits_truncate(0o644)).unwrap();
    let row = rig.intend(&text_file("/it", "text")).await;
    assert_eq!(rig.put(&row).await.unwrap_err().reason, "SpecialFileInTheWay");
    rig.take(&rig.row(&row.spec, Before::Absent)).await.unwrap();
    assert!(fs::symlink_metadata(rig.real("/it")).unwrap().file_type().is_fifo());
}

#[tokio::test]
async fn a_spec_may_change_its_type_and_back() {
    let rig = Rig::new();
    let specs = [
        text_file("/it", "text"),
        spec(json!({ "path": "/it", "type": "Directory" })),
        spec(json!({ "path": "/it", "type": "Symlink", "target": "x" })),
        spec(json!({ "path": "/it", "type": "Directory" })),
        text_file("/it", "text"),
        spec(json!({ "path": "/it", "type": "Symlink", "target": "x" })),
        text_file("/it", "text"),
    ];
    let mut row = rig.apply(&specs[0]).await;
    for next in &specs[1..] {
        rig.put_with(&super::rig::context(), &row, next).await.unwrap();
        assert!(rig.see(next).await.unwrap().on_target(), "{next:?}");
        row = row.with(next);
    }
    rig.take(&row).await.unwrap();
    assert!(!rig.real("/it").exists());
    assert!(rig.displaced().is_empty() && rig.originals().is_empty() && rig.leftovers().is_empty());
}

#[tokio::test]
async fn a_file_in_the_place_of_our_directory_is_set_aside() {
    let rig = Rig::new();
    let row = rig.apply(&spec(json!({ "path": "/it", "type": "Directory" }))).await;
    fs::remove_dir(rig.real("/it")).unwrap();
    rig.write("/it", "theirs");
    rig.put(&row).await.unwrap();
    assert!(rig.real("/it").is_dir());
    assert_eq!(rig.displaced().into_values().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn what_a_killed_agent_left_beside_is_removed_even_on_target() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "text")).await;
    let beside = rig.host.root.join(temporary_name("it".as_ref()));
    for leave in [
        (|path| fs::write(path, "half").unwrap()) as fn(&std::path::Path),
        |path| fs::create_dir(path).unwrap(),
        |path| symlink("/etc/passwd", path).unwrap(),
    ] {
        leave(&beside);
        rig.put(&row).await.unwrap();
        assert!(rig.leftovers().is_empty());
        leave(&beside);
        rig.put_with(&super::rig::context(), &row, &text_file("/it", "new")).await.unwrap();
        rig.put(&row).await.unwrap();
        assert!(rig.leftovers().is_empty());
    }
    fs::write(&beside, "half").unwrap();
    rig.take(&row).await.unwrap();
    assert!(rig.leftovers().is_empty());
}

#[tokio::test]
async fn a_path_that_moves_is_given_back_after_the_new_one_is_there() {
    let rig = Rig::new();
    rig.write("/old", "original");
    let mut row = rig.apply(&text_file("/old", "ours")).await;
    let moved = text_file("/missing/new", "ours");
    row.held.extend(rig.row(&moved, Before::Absent).held);
    assert_eq!(rig.put_with(&super::rig::context(), &row, &moved).await.unwrap_err().reason, "ParentMissing");
    assert_eq!(rig.read("/old"), "ours", "the old one stays as long as the new one cannot be had");
    fs::create_dir(rig.real("/missing")).unwrap();
    rig.put_with(&super::rig::context(), &row, &moved).await.unwrap();
    assert_eq!((rig.read("/old").as_str(), rig.read("/missing/new").as_str()), ("original", "ours"));
    assert!(rig.displaced().is_empty());
}

#[tokio::test]
async fn a_kept_secret_is_for_the_agent_only() {
    let rig = Rig::new();
    rig.write("/it", "secret");
    rig.chmod("/it", 0o600);
    rig.apply(&text_file("/it", "ours")).await;
    for entry in fs::read_dir(rig.host.state_dir.join("originals")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(rig.host.state_dir.join("originals")).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_path_may_move_below_itself_and_back() {
    let rig = Rig::new();
    let mut row = rig.apply(&text_file("/a", "ours")).await;
    let below = spec(json!({ "path": "/a/b", "content": { "inline": "below" }, "createParents": true }));
    row.held.extend(rig.row(&below, Before::Absent).held);
    rig.put_with(&super::rig::context(), &row, &below).await.unwrap();
    assert_eq!(rig.read("/a/b"), "below");
    let row = row.with(&below);
    rig.put_with(&super::rig::context(), &row, &text_file("/a", "ours")).await.unwrap();
    assert_eq!(rig.read("/a"), "ours");
}

#[tokio::test]
async fn what_a_killed_agent_left_in_its_own_directories_is_removed() {
    let rig = Rig::new();
    rig.write("/it", "original");
    let row = rig.apply(&text_file("/it", "ours")).await;
    let originals = rig.originals();
    fs::write(rig.host.state_dir.join("originals/.holdfast.0123456789abcdef.tmp"), "half").unwrap();
    // It was killed after the content and before the record, or after the record was removed and before the content.
    fs::write(rig.host.state_dir.join("originals/0123456789abcdef0123456789abcdef.data"), "a secret")
        .unwrap();
    let rig = rig.restarted();
    rig.see(&row.spec).await.unwrap();
    assert_eq!(rig.originals(), originals);
}

#[tokio::test]
async fn a_directory_that_a_killed_agent_was_making_is_removed() {
    let rig = Rig::new();
    let mut spec = text_file("/a/b/it", "text");
    spec.create_parents = true;
    let row = rig.intend(&spec).await;
    fs::create_dir(rig.host.root.join(temporary_name("a".as_ref()))).unwrap();
    rig.take(&row).await.unwrap();
    assert!(rig.leftovers().is_empty());
}

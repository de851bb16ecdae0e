//! Hints: what others change is hinted at; nothing is watched for what is not held.

use std::{fs, time::Duration};

use futures_util::{Stream, StreamExt};
use manifest_types::kinds::file::FileSpec;

use super::rig::{Rig, Row, text_file};
use crate::reconciler::{Hint, Reconciler, Target};

async fn follow(rig: &Rig, row: &Row, spec: &FileSpec) {
    let target = Target { id: &row.id, wanted: Some(spec), owned: Some(row.owned()) };
    rig.files.observe(&[target]).await.unwrap();
}

/// The next hint; hints of what we did ourselves may come before it, so a deadline is the only way to see none.
async fn next(hints: &mut (impl Stream<Item = Hint> + Unpin)) -> Option<Hint> {
    tokio::time::timeout(Duration::from_secs(10), hints.next()).await.expect("a hint comes")
}

/// Takes the hints that are there already.
async fn drain(hints: &mut (impl Stream<Item = Hint> + Unpin)) -> Vec<Hint> {
    let mut taken = Vec::new();
    while let Ok(Some(hint)) = tokio::time::timeout(Duration::from_millis(100), hints.next()).await {
        taken.push(hint);
    }
    taken
}

#[tokio::test]
async fn every_kind_of_change_is_hinted_at() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/dir")).unwrap();
    let row = rig.apply(&text_file("/dir/it", "text")).await;
    let mut hints = rig.files.drift_hints();
    follow(&rig, &row, &row.spec).await;
    let it = Some(Hint::Resource(row.id.clone()));
    let changes: [&dyn Fn(); 5] = [
        &|| rig.write("/dir/it", "drift"),
        &|| rig.chmod("/dir/it", 0o600),
        &|| fs::remove_file(rig.real("/dir/it")).unwrap(),
        &|| fs::write(rig.real("/dir/it"), "new").unwrap(),
        &|| fs::rename(rig.real("/dir"), rig.real("/gone")).unwrap(),
    ];
    for change in changes {
        change();
        assert_eq!(next(&mut hints).await, it);
        drain(&mut hints).await;
    }
}

#[tokio::test]
async fn a_missing_directory_is_waited_for() {
    let rig = Rig::new();
    let spec = text_file("/a/b/it", "text");
    let row = rig.intend(&spec).await;
    let mut hints = rig.files.drift_hints();
    for directory in ["/a", "/a/b"] {
        follow(&rig, &row, &spec).await;
        fs::create_dir(rig.real(directory)).unwrap();
        assert_eq!(next(&mut hints).await, Some(Hint::Resource(row.id.clone())), "{directory}");
        drain(&mut hints).await;
    }
    follow(&rig, &row, &spec).await;
    rig.write("/a/b/it", "text");
    assert_eq!(next(&mut hints).await, Some(Hint::Resource(row.id)));
}

#[tokio::test]
async fn other_names_and_our_own_files_are_no_hints() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "text")).await;
    let mut hints = rig.files.drift_hints();
    follow(&rig, &row, &row.spec).await;
    rig.write("/other", "text");
    rig.write(".holdfast.0123456789abcdef.tmp", "text");
    rig.write("/it", "drift");
    assert_eq!(next(&mut hints).await, Some(Hint::Resource(row.id)));
}

#[tokio::test]
async fn many_changes_at_once_are_one_hint() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "text")).await;
    let mut hints = rig.files.drift_hints();
    follow(&rig, &row, &row.spec).await;
    for number in 0..50 {
        rig.write("/it", &number.to_string());
    }
    assert_eq!(drain(&mut hints).await, [Hint::Resource(row.id)]);
}

#[tokio::test]
async fn more_changes_than_the_kernel_keeps_hint_at_the_kind() {
    let most: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "text")).await;
    let mut hints = rig.files.drift_hints();
    follow(&rig, &row, &row.spec).await;
    let (one, other) = (rig.real("/it"), rig.real("/other"));
    for _ in 0..most / 4 + 1 {
        fs::rename(&one, &other).unwrap();
        fs::rename(&other, &one).unwrap();
    }
    assert!(drain(&mut hints).await.contains(&Hint::Kind));
}

#[tokio::test]
async fn what_is_not_held_any_more_is_not_watched() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/dir")).unwrap();
    for round in 0..3 {
        let mut row = rig.apply(&text_file("/dir/it", "text")).await;
        follow(&rig, &row, &row.spec).await;
        assert_eq!(rig.files.world.watches.count(), (1, 1), "round {round}");
        let moved = text_file("/moved", "text");
        row.held.extend(rig.row(&moved, crate::observation::Before::Absent).held);
        rig.put_with(&super::rig::context(), &row, &moved).await.unwrap();
        let row = row.with(&moved);
        follow(&rig, &row, &moved).await;
        assert_eq!(rig.files.world.watches.count(), (1, 1), "round {round}");
        rig.take(&row).await.unwrap();
        assert_eq!(rig.files.world.watches.count(), (0, 0), "round {round}");
    }
    // Looking at what is not held, or not wanted, watches nothing.
    rig.write("/dir/it", "text");
    let row = rig.row(&text_file("/dir/it", "text"), crate::observation::Before::Same);
    rig.see(&row.spec).await.unwrap();
    let unwanted = Target { id: &row.id, wanted: None, owned: Some(row.owned()) };
    rig.files.observe(&[unwanted]).await.unwrap();
    assert_eq!(rig.files.world.watches.count(), (0, 0));
}

#[tokio::test]
async fn whoever_asks_second_gets_no_hints() {
    let rig = Rig::new();
    let _first = rig.files.drift_hints();
    assert_eq!(rig.files.drift_hints().next().await, None);
}

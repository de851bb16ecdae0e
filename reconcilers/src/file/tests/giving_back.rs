//! Taking away: what was there before returns, what others did since is not lost.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
};

use serde_json::json;

use super::rig::{Rig, picture, spec, text_file};
use crate::observation::Before;

#[tokio::test]
async fn an_original_returns_with_its_mode_and_owner() {
    let rig = Rig::new();
    rig.write("/it", "original");
    rig.chmod("/it", 0o4711);
    let before = picture(&rig.host.root, false);
    let row = rig.apply(&text_file("/it", "ours")).await;
    assert_eq!((rig.read("/it").as_str(), rig.mode("/it")), ("ours", 0o644));
    assert!(rig.originals().values().any(|content| content == "original"));
    let rig = rig.restarted();
    assert!(rig.see(&row.spec).await.unwrap().marked_ours);
    rig.take(&row).await.unwrap();
    assert_eq!(picture(&rig.host.root, false), before);
    assert!(rig.originals().is_empty() && rig.displaced().is_empty());
    assert!(!rig.see(&row.spec).await.unwrap().marked_ours);
}

#[tokio::test]
async fn an_original_is_kept_once() {
    let rig = Rig::new();
    rig.write("/it", "original");
    let row = rig.apply(&text_file("/it", "one")).await;
    let row = row.with(&text_file("/it", "two"));
    rig.put(&row).await.unwrap();
    rig.write("/it", "drift");
    let rig = rig.restarted();
    rig.put(&row).await.unwrap();
    rig.take(&row).await.unwrap();
    assert_eq!(rig.read("/it"), "original");
}

#[tokio::test]
async fn what_was_adopted_returns_after_the_spec_changed() {
    let rig = Rig::new();
    rig.write("/it", "from the image");
    rig.chmod("/it", 0o644);
    let row = rig.apply(&text_file("/it", "from the image")).await;
    assert!(rig.originals().is_empty());
    let second = text_file("/it", "second");
    rig.put_with(&super::rig::context(), &row, &second).await.unwrap();
    assert_eq!(rig.read("/it"), "second");
    rig.take(&row.with(&second)).await.unwrap();
    assert_eq!(rig.read("/it"), "from the image");
}

#[tokio::test]
async fn what_others_changed_since_is_set_aside() {
    for (before, left) in [(Before::Absent, None), (Before::Original, Some("original"))] {
        let rig = Rig::new();
        if before == Before::Original {
            rig.write("/it", "original");
        }
        let row = rig.apply(&text_file("/it", "ours")).await;
        rig.write("/it", "theirs");
        rig.take(&row).await.unwrap();
        assert_eq!(fs::read_to_string(rig.real("/it")).ok().as_deref(), left);
        let displaced: Vec<_> = rig.displaced().into_iter().collect();
        let digest = manifest_types::digest::Digest::of(b"theirs").short();
        assert_eq!(displaced, [(format!("it-{digest}"), "theirs".to_owned())]);
        let aside = rig.host.state_dir.join(format!("displaced/it-{digest}"));
        assert_eq!(fs::metadata(aside).unwrap().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn what_a_begun_step_wrote_is_ours() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "one")).await;
    let begun = text_file("/it", "two");
    rig.put_with(&super::rig::context(), &row, &begun).await.unwrap();
    let mut take = crate::reconciler::Take { id: &row.id, owned: row.owned() };
    take.owned.attempted = Some(&begun);
    crate::reconciler::Reconciler::delete(&rig.files, &super::rig::context(), &take).await.unwrap();
    assert!(rig.displaced().is_empty() && !rig.real("/it").exists());
}

#[tokio::test]
async fn an_original_that_went_away_before_it_was_kept_leaves_nothing() {
    let rig = Rig::new();
    rig.write("/it", "theirs");
    let row = rig.intend(&text_file("/it", "ours")).await;
    fs::remove_file(rig.real("/it")).unwrap();
    rig.put(&row).await.unwrap();
    rig.take(&row).await.unwrap();
    assert!(!rig.real("/it").exists() && rig.displaced().is_empty());
}

#[tokio::test]
async fn what_came_between_the_look_and_the_step_is_set_aside() {
    let rig = Rig::new();
    let row = rig.intend(&text_file("/it", "ours")).await;
    rig.write("/it", "theirs");
    rig.put(&row).await.unwrap();
    assert_eq!(rig.displaced().into_values().collect::<Vec<_>>(), ["theirs"]);
    // Later it is drift, and mended without a copy.
    rig.write("/it", "drift");
    rig.put(&row.with(&row.spec)).await.unwrap();
    assert_eq!((rig.read("/it").as_str(), rig.displaced().len()), ("ours", 1));
}

#[tokio::test]
async fn a_directory_goes_only_when_it_is_empty() {
    let rig = Rig::new();
    let row = rig.apply(&spec(json!({ "path": "/dir", "type": "Directory", "mode": "0700" }))).await;
    rig.write("/dir/theirs", "text");
    rig.take(&row).await.unwrap();
    assert_eq!(rig.read("/dir/theirs"), "text");
    fs::remove_file(rig.real("/dir/theirs")).unwrap();
    rig.take(&row).await.unwrap();
    assert!(!rig.real("/dir").exists());
}

#[tokio::test]
async fn a_directory_that_was_there_gets_its_mode_back() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/dir")).unwrap();
    rig.chmod("/dir", 0o711);
    rig.write("/dir/theirs", "text");
    let row = rig.apply(&spec(json!({ "path": "/dir", "type": "Directory", "mode": "0700" }))).await;
    assert_eq!(rig.mode("/dir"), 0o700);
    rig.take(&row).await.unwrap();
    assert_eq!((rig.mode("/dir"), rig.read("/dir/theirs").as_str()), (0o711, "text"));
}

#[tokio::test]
async fn a_link_that_others_pointed_elsewhere_is_set_aside() {
    let rig = Rig::new();
    let row = rig.apply(&spec(json!({ "path": "/link", "type": "Symlink", "target": "ours" }))).await;
    fs::remove_file(rig.real("/link")).unwrap();
    symlink("theirs", rig.real("/link")).unwrap();
    rig.take(&row).await.unwrap();
    assert!(fs::symlink_metadata(rig.real("/link")).is_err());
    assert_eq!(rig.displaced().into_values().collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn a_directory_that_others_put_in_the_place_of_a_file_is_left() {
    let rig = Rig::new();
    let row = rig.apply(&text_file("/it", "ours")).await;
    fs::remove_file(rig.real("/it")).unwrap();
    fs::create_dir(rig.real("/it")).unwrap();
    rig.take(&row).await.unwrap();
    assert!(rig.real("/it").is_dir());
}

#[tokio::test]
async fn an_original_whose_directory_is_gone_is_set_aside() {
    let rig = Rig::new();
    fs::create_dir(rig.real("/dir")).unwrap();
    rig.write("/dir/it", "original");
    let row = rig.apply(&text_file("/dir/it", "ours")).await;
    fs::remove_dir_all(rig.real("/dir")).unwrap();
    rig.take(&row).await.unwrap();
    assert_eq!(rig.displaced().into_values().collect::<Vec<_>>(), ["original"]);
    assert!(rig.originals().is_empty());
}

#[tokio::test]
async fn a_lost_ledger_still_gives_the_original_back() {
    let rig = Rig::new();
    rig.write("/it", "original");
    let spec = text_file("/it", "ours");
    rig.apply(&spec).await;
    let rig = rig.restarted();
    let row = rig.intend(&spec).await;
    assert!(row.held.values().all(|before| *before == Before::Original));
    rig.put(&row).await.unwrap();
    rig.take(&row).await.unwrap();
    assert_eq!(rig.read("/it"), "original");
}

#[tokio::test]
async fn a_damaged_original_is_told_and_not_put_back() {
    let rig = Rig::new();
    rig.write("/it", "original");
    let row = rig.apply(&text_file("/it", "ours")).await;
    let name = rig.originals().into_keys().find(|name| name.ends_with(".data")).unwrap();
    fs::write(rig.host.state_dir.join("originals").join(name), "damaged").unwrap();
    let rig = rig.restarted();
    assert_eq!(rig.take(&row).await.unwrap_err().reason, "OriginalDamaged");
    assert_eq!(rig.read("/it"), "ours");
    assert!(rig.leftovers().is_empty());
}

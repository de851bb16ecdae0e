//! What is ours and what was there before us, wherever the agent was killed: what is kept decides, not what a spec looks like.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use super::rig::{Rig, Row, context, spec, text_file};
use crate::{
    observation::Before,
    reconciler::{Reconciler, Take},
};

/// A file that matched its spec when it was taken on, and that its owner has changed since.
async fn adopted_and_edited() -> (Rig, Row) {
    let rig = Rig::new();
    rig.write("/it", "from the image");
    rig.chmod("/it", 0o644);
    let row = rig.apply(&text_file("/it", "from the image")).await;
    assert!(row.held.values().all(|before| *before == Before::Same));
    rig.write("/it", "edited");
    rig.chmod("/it", 0o600);
    (rig, row)
}

fn is_edited(rig: &Rig) -> bool {
    (rig.read("/it").as_str(), rig.mode("/it")) == ("edited", 0o600)
}

#[tokio::test]
async fn what_its_owner_changed_after_it_was_adopted_returns() {
    for next in ["second", "from the image"] {
        let (rig, row) = adopted_and_edited().await;
        let next = text_file("/it", next);
        rig.put_with(&context(), &row, &next).await.unwrap();
        assert!(rig.see(&next).await.unwrap().on_target());
        rig.take(&row.with(&next)).await.unwrap();
        assert!(is_edited(&rig), "{next:?}");
        assert!(rig.originals().is_empty() && rig.displaced().is_empty());
    }
}

#[tokio::test]
async fn a_link_that_its_owner_changed_after_it_was_adopted_returns() {
    let rig = Rig::new();
    symlink("here", rig.real("/link")).unwrap();
    let row = rig.apply(&spec(json!({ "path": "/link", "type": "Symlink", "target": "here" }))).await;
    fs::remove_file(rig.real("/link")).unwrap();
    symlink("there", rig.real("/link")).unwrap();
    let next = spec(json!({ "path": "/link", "type": "Symlink", "target": "elsewhere" }));
    rig.put_with(&context(), &row, &next).await.unwrap();
    rig.take(&row.with(&next)).await.unwrap();
    assert_eq!(fs::read_link(rig.real("/link")).unwrap().to_str(), Some("there"));
}

/// A kill at each point of the change of what was adopted, as it is found at the next start.
#[tokio::test]
async fn a_change_of_what_was_adopted_may_be_killed_anywhere() {
    type Kill = fn(&Rig);
    let before_the_record: Kill = |rig| {
        let record = rig.originals().into_keys().find(|name| name.ends_with(".json")).unwrap();
        fs::remove_file(rig.host.state_dir.join("originals").join(record)).unwrap();
        put_edited(rig);
    };
    let before_the_rename: Kill = put_edited;
    let after_the_rename: Kill = |_| {};
    for (number, kill) in [before_the_record, before_the_rename, after_the_rename].into_iter().enumerate() {
        for is_finished in [false, true] {
            let (rig, row) = adopted_and_edited().await;
            let next = text_file("/it", "second");
            rig.put_with(&context(), &row, &next).await.unwrap();
            kill(&rig);
            let rig = rig.restarted();
            if is_finished {
                rig.put_with(&context(), &row, &next).await.unwrap();
                assert_eq!(rig.read("/it"), "second");
            }
            let mut take = Take { id: &row.id, owned: row.owned() };
            take.owned.attempted = Some(&next);
            rig.files.delete(&context(), &take).await.unwrap();
            assert!(is_edited(&rig), "killed at {number}, finished: {is_finished}");
        }
    }
}

fn put_edited(rig: &Rig) {
    rig.write("/it", "edited");
    rig.chmod("/it", 0o600);
}

#[tokio::test]
async fn what_was_adopted_and_made_again_is_left() {
    let (rig, row) = adopted_and_edited().await;
    fs::remove_file(rig.real("/it")).unwrap();
    rig.put(&row).await.unwrap();
    rig.take(&row).await.unwrap();
    assert_eq!(rig.read("/it"), "from the image");
    assert!(rig.originals().is_empty());
}

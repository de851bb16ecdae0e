//! What is ours and what was there before us, wherever the agent was killed: what is kept decides, not what a spec looks like.

use std::{fs, os::unix::fs::symlink, time::Duration};

use serde_json::json;

use super::rig::{Rig, Row, context, picture, spec, text_file};
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
async fn what_was_adopted_and_went_away_leaves_nothing_after_a_new_spec() {
    let (rig, row) = adopted_and_edited().await;
    fs::remove_file(rig.real("/it")).unwrap();
    let (second, third) = (text_file("/it", "second"), text_file("/it", "third"));
    rig.put_with(&context(), &row, &second).await.unwrap();
    let rig = rig.restarted();
    rig.put_with(&context(), &row.with(&second), &third).await.unwrap();
    rig.take(&row.with(&third)).await.unwrap();
    assert!(!rig.real("/it").exists(), "our own content is not put back as if it were theirs");
    assert!(rig.originals().is_empty() && rig.displaced().is_empty());
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

/// An original whose content our last spec wanted, too, as it was given back by an agent that was killed before its ledger knew.
async fn given_back() -> (Rig, Row) {
    let rig = Rig::new();
    rig.write("/it", "theirs");
    rig.chmod("/it", 0o644);
    let row = rig.apply(&text_file("/it", "ours")).await;
    let like_theirs = text_file("/it", "theirs");
    rig.put_with(&context(), &row, &like_theirs).await.unwrap();
    let row = row.with(&like_theirs);
    rig.take(&row).await.unwrap();
    assert!(rig.originals().is_empty());
    (rig.restarted(), row)
}

#[tokio::test]
async fn what_was_given_back_is_not_taken_away_after_a_kill() {
    let (rig, row) = given_back().await;
    let all = picture(rig.temp.path(), true);
    rig.take(&row).await.unwrap();
    assert_eq!(picture(rig.temp.path(), true), all);
}

#[tokio::test]
async fn what_was_given_back_and_is_wanted_again_returns_again() {
    let (rig, row) = given_back().await;
    let third = text_file("/it", "third");
    rig.put_with(&context(), &row, &third).await.unwrap();
    assert_eq!(rig.read("/it"), "third");
    rig.take(&row.with(&third)).await.unwrap();
    assert_eq!(rig.read("/it"), "theirs");
    assert!(rig.originals().is_empty() && rig.displaced().is_empty());
}

#[tokio::test]
async fn what_is_kept_by_a_step_that_stops_before_it_writes_is_let_go() {
    let rig = Rig::new();
    let original = "x".repeat(16 * 1024 * 1024);
    rig.write("/it", &original);
    let row = rig.intend(&text_file("/it", "ours")).await;
    let originals = rig.host.state_dir.join("originals");
    let keeps = async {
        while !fs::read_dir(&originals).is_ok_and(|entries| entries.count() > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = rig.put(&row) => panic!("to keep the original takes longer than to see it"),
        () = keeps => {}
    }
    let world = &rig.files.world;
    let _turn = world.turns.take(&context(), ["/it"].into()).await.unwrap();
    assert!(rig.read("/it") == original && rig.originals().is_empty() && rig.leftovers().is_empty());
}

#[tokio::test]
async fn what_was_made_where_an_original_had_gone_is_ours_after_a_kill() {
    let rig = Rig::new();
    rig.write("/it", "theirs");
    let row = rig.intend(&text_file("/it", "ours")).await;
    fs::remove_file(rig.real("/it")).unwrap();
    rig.put(&row).await.unwrap();
    let rig = rig.restarted();
    let second = text_file("/it", "second");
    rig.put_with(&context(), &row.with(&row.spec), &second).await.unwrap();
    assert!(rig.originals().values().all(|content| content != "ours"), "our own content is no original");
    rig.take(&row.with(&second)).await.unwrap();
    assert!(!rig.real("/it").exists());
    assert!(rig.originals().is_empty() && rig.displaced().is_empty());
    // Somebody makes the same again, and the ledger did not hear of the end.
    rig.write("/it", "second");
    rig.chmod("/it", 0o644);
    let rig = rig.restarted();
    rig.take(&row.with(&second)).await.unwrap();
    assert_eq!(rig.read("/it"), "second");
}

//! A replacement takes the place of the old one only when it is well; otherwise the old one is back. A kill changes nothing of that.

use super::*;

#[tokio::test]
async fn what_proves_well_takes_the_place() {
    for strategy in ["StopFirst", "StartFirst"] {
        let rig = Rig::new().await;
        let update = json!({ "update": { "strategy": strategy, "healthyWithin": "1s" } });
        let (old, new) = (spec(GOOD, update.clone()), spec(BETTER, update));
        rig.put(None, &old, false).await.unwrap();
        assert_eq!(rig.all().await, [runs("web", "good")]);
        rig.put(Some(&old), &new, false).await.unwrap();
        assert_eq!(rig.all().await, [runs("web", "better")]);
        assert!(is_well(&rig.see(&new).await));
        rig.take(&new).await;
        assert_eq!(rig.all().await, []);
    }
}

#[tokio::test]
async fn what_does_not_prove_well_leaves_the_old_one_in_its_place() {
    for strategy in ["StopFirst", "StartFirst"] {
        let rig = Rig::new().await;
        let update = json!({ "update": { "strategy": strategy, "healthyWithin": "1s" } });
        let (old, new) = (spec(GOOD, update.clone()), spec(BAD, update));
        rig.put(None, &old, false).await.unwrap();
        let before = rig.fake.container("web").await.unwrap().unwrap();
        let failure = rig.put(Some(&old), &new, false).await.unwrap_err();
        assert_eq!((failure.reason.as_str(), failure.rolled_back), ("UpdateRolledBack", true));
        assert!(
            failure.message.contains("web:3") && failure.message.contains("web:1"),
            "{}",
            failure.message
        );
        assert_eq!(rig.all().await, [runs("web", "good")]);
        let after = rig.fake.container("web").await.unwrap().unwrap();
        assert_eq!(after.id, before.id, "it is the old one, not one like it");
        if strategy == "StartFirst" {
            assert_eq!(after.state.started_at, before.state.started_at, "it never stopped");
        }
        assert!(is_well(&rig.see(&old).await));
    }
}

#[tokio::test]
async fn what_falls_while_the_old_one_is_stopped_has_not_proved_well() {
    let rig = Rig::new().await;
    let update = json!({ "update": { "strategy": "StartFirst", "healthyWithin": "1s" } });
    let (old, new) = (spec(GOOD, update.clone()), spec(BETTER, update));
    rig.put(None, &old, false).await.unwrap();
    rig.fake.fall_with("web.holdfast-prior", "web");
    let failure = rig.put(Some(&old), &new, false).await.unwrap_err();
    assert_eq!(failure.reason, "UpdateRolledBack");
    assert_eq!(rig.all().await, [runs("web", "good")]);
}

#[tokio::test]
async fn what_cannot_be_started_or_ends_at_once_leaves_the_old_one_too() {
    for behaviour in [Behaviour::CannotStart, Behaviour::Ends(3)] {
        let rig = Rig::new().await;
        rig.fake.add_image(BAD, "sha256:bad", behaviour);
        let (old, new) = (spec(GOOD, json!({})), spec(BAD, json!({ "restartPolicy": "No" })));
        rig.put(None, &old, false).await.unwrap();
        let failure = rig.put(Some(&old), &new, false).await.unwrap_err();
        assert_eq!(failure.reason, "UpdateRolledBack", "{behaviour:?}");
        assert_eq!(rig.all().await, [runs("web", "good")]);
    }
}

#[tokio::test]
async fn killed_at_any_point_of_a_replacement_there_is_exactly_one_in_the_end() {
    for (to, ends) in [(BETTER, "better"), (BAD, "good")] {
        for strategy in ["StopFirst", "StartFirst"] {
            for wakes in 0..24 {
                let mut rig = Rig::new().await;
                rig.fake.add_foreign("theirs").unwrap();
                let update = json!({ "update": { "strategy": strategy, "healthyWithin": "1s" } });
                let (old, new) = (spec(GOOD, update.clone()), spec(to, update));
                rig.put(None, &old, false).await.unwrap();
                rig.put_and_die(&old, &new, wakes).await;
                rig = rig.restarted().await;
                let again = rig.put(Some(&old), &new, false).await;
                assert_eq!(again.is_ok(), to == BETTER, "{strategy} {wakes}: {again:?}");
                let theirs = ("theirs".to_owned(), "sha256:else".to_owned(), Activity::Running);
                assert_eq!(rig.all().await, [theirs.clone(), runs("web", ends)], "{strategy} {wakes}");
                rig.take(&new).await;
                assert_eq!(rig.all().await, [theirs]);
            }
        }
    }
}

#[tokio::test]
async fn a_newer_spec_takes_over_from_a_replacement_that_was_cut_off() {
    for wakes in 0..24 {
        let rig = Rig::new().await;
        let (old, new, newest) = (spec(GOOD, json!({})), spec(BAD, json!({})), spec(BETTER, json!({})));
        rig.put(None, &old, false).await.unwrap();
        rig.put_and_die(&old, &new, wakes).await;
        rig.put(Some(&old), &newest, false).await.unwrap();
        assert_eq!(rig.all().await, [runs("web", "better")], "{wakes}");
    }
}

#[tokio::test]
async fn a_replacement_that_was_cut_off_can_be_taken_away() {
    for wakes in 0..24 {
        let rig = Rig::new().await;
        let (old, new) = (spec(GOOD, json!({})), spec(BETTER, json!({})));
        rig.put(None, &old, false).await.unwrap();
        rig.put_and_die(&old, &new, wakes).await;
        rig.take(&new).await;
        assert_eq!(rig.all().await, [], "{wakes}");
    }
}

#[tokio::test]
async fn limits_and_networks_change_in_place_and_a_restart_keeps_the_container() {
    let rig = Rig::new().await;
    let shop = serde_json::from_value(json!({})).unwrap();
    rig.fake.create_network("shop", &shop, &Default::default()).await.unwrap();
    rig.fake.create_network("other", &shop, &Default::default()).await.unwrap();
    let old = spec(GOOD, json!({ "resources": { "memory": "64Mi" }, "networks": [{ "name": "shop" }] }));
    rig.put(None, &old, false).await.unwrap();
    let before = rig.fake.container("web").await.unwrap().unwrap();
    let new = spec(
        GOOD,
        json!({ "resources": { "memory": "128Mi" }, "restartPolicy": "UnlessStopped", "networks": [{ "name": "shop", "aliases": ["www"] }, { "name": "other" }] }),
    );
    rig.put(Some(&old), &new, false).await.unwrap();
    assert!(is_well(&rig.see(&new).await));
    rig.put(Some(&new), &old, true).await.unwrap();
    let after = rig.fake.container("web").await.unwrap().unwrap();
    assert_eq!(after.id, before.id);
    assert!(after.state.started_at > before.state.started_at, "the restart that was due was made");
    assert!(is_well(&rig.see(&old).await));
}

#[tokio::test]
async fn an_image_is_pulled_when_the_policy_says_so() {
    let rig = Rig::new().await;
    let image = "registry.example/web:1";
    let (missing, never) = (spec(image, json!({})), spec(image, json!({ "pullPolicy": "Never" })));
    for spec in [&missing, &never] {
        assert_eq!(rig.put(None, spec, false).await.unwrap_err().reason, "ImageNotFound");
    }
    rig.fake.publish_image(image, "sha256:one", Behaviour::Runs);
    rig.put(None, &missing, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "one")]);
    // The registry has another by that name now.
    rig.fake.publish_image(image, "sha256:two", Behaviour::Runs);
    rig.put(Some(&missing), &missing, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "one")], "one that is there will do");
    let always = spec(image, json!({ "pullPolicy": "Always", "env": { "A": "1" } }));
    rig.put(Some(&missing), &always, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "two")]);
}

#[tokio::test]
async fn what_somebody_paused_is_replaced_and_taken_away_all_the_same() {
    let rig = Rig::new().await;
    let (old, new) = (spec(GOOD, json!({})), spec(BETTER, json!({})));
    let pause = || rig.fake.change("web", |own| own.state.activity = Activity::Paused).unwrap();
    rig.put(None, &old, false).await.unwrap();
    pause();
    rig.put(Some(&old), &new, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "better")]);
    pause();
    rig.take(&new).await;
    assert_eq!(rig.all().await, []);
}

#[tokio::test]
async fn an_engine_that_makes_something_else_is_not_asked_again_and_again() {
    let rig = Rig::new().await;
    rig.fake.forget_setting("user");
    let (old, new) = (spec(GOOD, json!({})), spec(GOOD, json!({ "user": "1000" })));
    let failure = rig.put(None, &new, false).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("NotKeptByEngine", false));
    assert!(failure.message.contains("user"), "{}", failure.message);
    rig.take(&new).await;
    rig.put(None, &old, false).await.unwrap();
    let before = rig.fake.container("web").await.unwrap().unwrap();
    let failure = rig.put(Some(&old), &new, false).await.unwrap_err();
    assert!(failure.rolled_back && failure.message.contains("user"), "{}", failure.message);
    assert_eq!(rig.all().await, [runs("web", "good")]);
    assert_eq!(rig.fake.container("web").await.unwrap().unwrap().id, before.id);
}

/// A job that is under way is not done because it was stopped to make room.
#[tokio::test]
async fn what_was_stopped_for_a_change_that_is_taken_back_runs_again() {
    for policy in ["No", "OnFailure"] {
        for wakes in 0..60 {
            let rig = Rig::new().await;
            let update = json!({ "restartPolicy": policy, "update": { "healthyWithin": "1s" } });
            let (old, new) = (spec(GOOD, update.clone()), spec(BETTER, update));
            rig.put(None, &old, false).await.unwrap();
            rig.put_and_die(&old, &new, wakes).await;
            let rig = rig.restarted().await;
            rig.put(Some(&old), &old, false).await.unwrap();
            assert_eq!(rig.all().await, [runs("web", "good")], "{policy} after {wakes} wakes");
        }
    }
}

/// Who has the port may be about to let go of it; who has it for good leaves the old one in its place.
#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_is_waited_for_a_little() {
    for is_let_go in [true, false] {
        let rig = Rig::new().await;
        let update = json!({ "update": { "healthyWithin": "1s" } });
        let (old, new) = (spec(GOOD, update.clone()), spec(BETTER, update));
        rig.put(None, &old, false).await.unwrap();
        rig.fake.add_image(BETTER, "sha256:better", Behaviour::FindsPortTaken);
        let mut step = Box::pin(rig.step(Some(&old), &new, false));
        assert!(tokio::time::timeout(Duration::from_secs(2), &mut step).await.is_err(), "it waits");
        if is_let_go {
            rig.fake.add_image(BETTER, "sha256:better", Behaviour::Runs);
            step.await.unwrap();
            assert_eq!(rig.all().await, [runs("web", "better")]);
        } else {
            let failure = step.await.unwrap_err();
            assert!(failure.rolled_back, "{failure:?}");
            assert_eq!(rig.all().await, [runs("web", "good")]);
        }
    }
}

#[tokio::test]
async fn what_was_stopped_to_be_taken_away_and_is_wanted_again_runs_again() {
    for wakes in 0..20 {
        let rig = Rig::new().await;
        let job = spec(GOOD, json!({ "restartPolicy": "No" }));
        rig.put(None, &job, false).await.unwrap();
        drop_after(rig.take(&job), wakes).await;
        let rig = rig.restarted().await;
        rig.put(Some(&job), &job, false).await.unwrap();
        assert_eq!(rig.all().await, [runs("web", "good")], "after {wakes} wakes");
    }
}

#[tokio::test]
async fn what_runs_again_is_done_when_it_ends_by_itself() {
    let rig = Rig::new().await;
    let job = spec(GOOD, json!({ "restartPolicy": "No" }));
    rig.put(None, &job, false).await.unwrap();
    // A stop that was noted and not made.
    let id = rig.fake.container("web").await.unwrap().unwrap().id;
    rig.reconciler.halts.begins(&rig.reconciler.link, &id).await.unwrap();
    rig.put(Some(&job), &job, false).await.unwrap();
    rig.fake.end("web", 0).unwrap();
    super::abuse::heard().await;
    assert_eq!(rig.drift(&job).await, Vec::<String>::new());
    rig.put(Some(&job), &job, false).await.unwrap();
    assert_eq!(rig.fake.container("web").await.unwrap().unwrap().state.activity, Activity::Exited);
}

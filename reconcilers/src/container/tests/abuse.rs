//! What others do to a container is seen, and mended with the least disruption.

use super::*;

/// What is abused: what somebody does, the paths in which that is seen, and whether the container survives the mending.
#[tokio::test]
async fn what_others_do_is_seen_and_mended() {
    type Abuse = fn(&FakeEngine);
    let cases: [(&str, Abuse, &[&str], bool); 7] = [
        ("stop", |fake| fake.end("web", 137).unwrap(), &["running"], true),
        (
            "pause",
            |fake| fake.change("web", |own| own.state.activity = Activity::Paused).unwrap(),
            &["running"],
            true,
        ),
        (
            "rename",
            |fake| fake.change("web", |own| own.name = "webb".into()).unwrap(),
            &["beside", "container"],
            true,
        ),
        (
            "update",
            |fake| fake.change("web", |own| own.shape.set("resources.memory", 1 << 20)).unwrap(),
            &["resources.memory"],
            true,
        ),
        (
            "disconnect",
            |fake| fake.change("web", |own| own.shape.unset_below("networks.bridge")).unwrap(),
            &["networks.bridge"],
            true,
        ),
        ("tag", |fake| fake.add_image(GOOD, "sha256:moved", Behaviour::Runs), &["image"], false),
        ("remove", |fake| fake.lose("web").unwrap(), &["container"], false),
    ];
    for (name, abuse, paths, survives) in cases {
        let rig = Rig::new().await;
        let web = spec(GOOD, json!({ "resources": { "memory": "64Mi" } }));
        rig.put(None, &web, false).await.unwrap();
        let before = rig.fake.container("web").await.unwrap().unwrap();
        assert!(is_well(&rig.see(&web).await));
        abuse(&rig.fake);
        heard().await;
        assert_eq!(rig.drift(&web).await, paths, "{name}");
        rig.put(Some(&web), &web, false).await.unwrap();
        heard().await;
        assert!(is_well(&rig.see(&web).await), "{name}: {:?}", rig.see(&web).await);
        let after = rig.fake.container("web").await.unwrap().unwrap();
        assert_eq!(after.id == before.id, survives, "{name}");
        assert_eq!(rig.all().await.len(), 1, "{name}");
    }
}

/// Lets the one who listens to events note them.
pub(super) async fn heard() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Renamed at any moment of a step: the step itself finds it, or does not say that it has seen all.
#[tokio::test]
async fn what_is_renamed_while_a_step_is_under_way_is_not_forgotten() {
    let [web, other] =
        [GOOD, BETTER].map(|image| spec(image, json!({ "update": { "healthyWithin": "1s" } })));
    for (old, wakes) in (0..60).flat_map(|wakes| [(None, wakes), (Some(&web), wakes)]) {
        let rig = Rig::new().await;
        if old.is_some() {
            rig.put(None, &web, false).await.unwrap();
        }
        for name in ["web", "web.holdfast-next"] {
            let mut step = Box::pin(rig.step(old, &other, false));
            let told = match drop_after(&mut step, wakes).await {
                Some(told) => told,
                None => {
                    // It may not be there at this moment.
                    drop(rig.fake.change(name, |own| own.name = "elsewhere".into()));
                    step.await
                }
            };
            let all = rig.all().await;
            assert!(!told.unwrap() || all.len() == 1, "{name} after {wakes} wakes: {all:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let rig = Rig::new().await;
    rig.fake.add_foreign("web").unwrap();
    let web = spec(GOOD, json!({}));
    let failure = rig.put(None, &web, false).await.unwrap_err();
    assert_eq!(failure.reason, "Conflict");
    rig.take(&web).await;
    assert_eq!(rig.all().await.len(), 1);
}

#[tokio::test]
async fn under_another_id_the_container_of_that_name_is_kept() {
    let rig = Rig::new().await;
    let web = spec(GOOD, json!({ "name": "web" }));
    rig.put(None, &web, false).await.unwrap();
    let before = rig.fake.container("web").await.unwrap().unwrap();
    let heir = Rig { id: "shop".parse().unwrap(), ..rig };
    assert!(is_well(&heir.see(&web).await));
    heir.put(Some(&web), &web, false).await.unwrap();
    assert_eq!(heir.fake.container("web").await.unwrap().unwrap().id, before.id);
    // A new resource of the former id has nothing to do with it.
    let other = Rig { id: "web".parse().unwrap(), ..heir };
    let second = spec(GOOD, json!({ "name": "web-two" }));
    assert_eq!(other.drift(&second).await, ["container"]);
    other.put(None, &second, false).await.unwrap();
    assert_eq!(other.all().await, [runs("web", "good"), runs("web-two", "good")]);
    other.take(&second).await;
    assert_eq!(other.all().await, [runs("web", "good")]);
}

#[tokio::test]
async fn an_engine_that_is_away_hides_the_whole_kind() {
    let rig = Rig::new().await;
    let web = spec(GOOD, json!({}));
    rig.put(None, &web, false).await.unwrap();
    rig.fake.set_away(true);
    let target = Target { id: &rig.id, wanted: Some(&web), owned: None };
    let unseen = rig.reconciler.observe(&[target]).await.unwrap_err();
    assert_eq!(unseen.reason, "EngineAway");
    rig.fake.set_away(false);
    assert!(is_well(&rig.see(&web).await));
}

/// An image that somebody makes of a container of ours has its labels, and so has what is run of that.
#[tokio::test]
async fn what_somebody_runs_of_an_image_of_ours_is_theirs() {
    let rig = Rig::new().await;
    let web = spec(GOOD, json!({}));
    rig.put(None, &web, false).await.unwrap();
    let labels = rig.fake.container("web").await.unwrap().unwrap().labels;
    let copy = spec(BETTER, json!({}));
    rig.fake.create(&NewContainer { name: "debug", spec: &copy, marks: &labels }).await.unwrap();
    rig.fake.start("debug").await.unwrap();
    let all = [runs("debug", "better"), runs("web", "good")];
    assert_eq!(rig.drift(&web).await, Vec::<String>::new());
    rig.put(Some(&web), &web, false).await.unwrap();
    assert_eq!(rig.all().await, all);
    rig.take(&web).await;
    assert_eq!(rig.all().await, all[..1]);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_says_nothing_of_what_is_alive() {
    let rig = Rig::new().await;
    let probe = json!({ "exec": { "command": ["true"] }, "interval": "1s", "failureThreshold": 2 });
    let probed = spec(GOOD, json!({ "probes": { "liveness": probe } }));
    rig.put(None, &probed, false).await.unwrap();
    assert!(is_well(&rig.see(&probed).await));
    rig.fake.set_away(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.fake.set_away(false);
    assert_eq!(rig.drift(&probed).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_keeps_nothing_running() {
    let rig = Rig::new().await;
    let job = spec(GOOD, json!({ "restartPolicy": "No" }));
    let stopped = spec(GOOD, json!({ "restartPolicy": "No", "desired": "Stopped" }));
    rig.put(None, &job, false).await.unwrap();
    // A directory where the note is to be: nothing can be written there, whoever tries.
    std::fs::create_dir_all(rig.state.path().join("halted.json.new")).unwrap();
    rig.put(Some(&job), &stopped, false).await.unwrap();
    assert_eq!(rig.all().await[0].2, Activity::Exited);
    rig.fake.start("web").await.unwrap();
    rig.take(&job).await;
    assert_eq!(rig.all().await, []);
}

/// Podman says that a container has ended until it runs again.
#[tokio::test]
async fn what_the_engine_is_about_to_start_again_is_left_to_it_for_a_moment() {
    let fake = FakeEngine::default();
    fake.announce_no_restarts();
    let rig = Rig::with(fake).await;
    let web = spec(GOOD, json!({}));
    rig.put(None, &web, false).await.unwrap();
    rig.fake.end("web", 7).unwrap();
    heard().await;
    let seen = rig.see(&web).await;
    assert!(seen.on_target() && matches!(seen.health, Health::Starting(_)), "{seen:?}");
    rig.put(Some(&web), &web, false).await.unwrap();
    let started = |container: Container| container.state.activity == Activity::Running;
    assert!(!started(rig.fake.container("web").await.unwrap().unwrap()), "that is the engine's");
    // It does not come.
    let was = |own: &mut Container| {
        own.state.finished_at = own.state.finished_at.map(|at| at - Duration::from_secs(2))
    };
    rig.fake.change("web", was).unwrap();
    heard().await;
    assert_eq!(rig.drift(&web).await, ["running"]);
    rig.put(Some(&web), &web, false).await.unwrap();
    assert!(started(rig.fake.container("web").await.unwrap().unwrap()));
}

/// What a step has stopped itself is not waited for.
#[tokio::test]
async fn what_is_restarted_by_a_step_is_not_left_to_the_engine() {
    let fake = FakeEngine::default();
    fake.announce_no_restarts();
    let rig = Rig::with(fake).await;
    let web = spec(GOOD, json!({}));
    rig.put(None, &web, false).await.unwrap();
    rig.put(Some(&web), &web, true).await.unwrap();
    heard().await;
    assert!(is_well(&rig.see(&web).await), "{:?}", rig.see(&web).await);
    let bad = spec(BAD, json!({}));
    rig.put(Some(&web), &bad, false).await.unwrap_err();
    assert_eq!(rig.all().await, [runs("web", "good")]);
}

/// Podman keeps the name of a container that somebody removes while it is being started.
#[tokio::test]
async fn what_the_engine_leaves_of_a_container_of_ours_is_cleared_away() {
    let rig = Rig::new().await;
    let web = spec(GOOD, json!({}));
    rig.put(None, &web, false).await.unwrap();
    rig.fake.lose_but_for_its_name("web").unwrap();
    let rig = rig.restarted().await;
    rig.put(Some(&web), &web, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "good")]);
    // What nobody remembers to have made is somebody else's.
    rig.fake.lose_but_for_its_name("web").unwrap();
    std::fs::remove_file(rig.state.path().join("born.json")).unwrap();
    let rig = rig.restarted().await;
    assert_eq!(rig.put(Some(&web), &web, false).await.unwrap_err().reason, "InUse");
}

/// Podman counts a paused container as in a network, and does not connect it.
#[tokio::test]
async fn what_was_connected_while_it_was_paused_is_connected_in_the_end() {
    let rig = Rig::new().await;
    let web = spec(GOOD, json!({}));
    let bridge = || manifest_types::kinds::container::Attachment::to("bridge".parse().unwrap());
    for is_connected_by_others in [false, true] {
        rig.put(None, &web, false).await.unwrap();
        let id = rig.fake.container("web").await.unwrap().unwrap().id;
        rig.fake
            .change("web", |own| {
                own.shape.unset_below("networks.bridge");
                own.state.activity = Activity::Paused;
            })
            .unwrap();
        if is_connected_by_others {
            rig.fake.connect(&id, &bridge()).await.unwrap();
        }
        heard().await;
        assert_eq!(rig.drift(&web).await, ["networks.bridge", "running"]);
        rig.put(Some(&web), &web, false).await.unwrap();
        heard().await;
        assert!(is_well(&rig.see(&web).await));
        assert_eq!(rig.fake.container("web").await.unwrap().unwrap().id, id);
    }
}

//! Images that our pulls brought are removed when nothing needs them, and no others ever are.

use super::*;

/// The versions of an image that only a registry has.
const VERSIONS: [&str; 4] = ["r.example/app:1", "r.example/app:2", "r.example/app:3", "r.example/app:4"];

impl Rig {
    async fn with_registry() -> Self {
        let rig = Self::new().await;
        for (number, reference) in VERSIONS.iter().enumerate() {
            rig.fake.publish_image(reference, &format!("sha256:app{}", number + 1), Behaviour::Runs);
        }
        rig
    }

    /// The ids of all images, when they are these; they are removed beside everything else.
    async fn images_become(&self, expected: &[&str]) {
        let wait = async {
            loop {
                let images = self.fake.images().await.unwrap();
                let ids: Vec<_> = images.iter().map(|image| image.id.trim_start_matches("sha256:")).collect();
                if ids == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let late = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(late.is_ok(), "{:?} are not {expected:?}", self.fake.images().await);
    }

    /// A step, and what a driver does before and after it.
    async fn update(&self, from: Option<&str>, to: &str) {
        let (old, new) = (from.map(|image| spec(image, json!({}))), spec(to, json!({})));
        self.see(&new).await;
        self.put(old.as_ref(), &new, false).await.unwrap();
        self.see(&new).await;
    }

    /// Takes it away, and looks whether it is gone.
    async fn take_and_look(&self, spec: &ContainerSpec) {
        self.take(spec).await;
        let held = held(spec, &self.id);
        let owned = Owned { spec, applied: true, attempted: None, held: &held };
        let sights =
            self.reconciler.observe(&[Target { id: &self.id, wanted: None, owned: Some(owned) }]).await;
        assert!(sights.unwrap().values().all(|sight| !sight.as_ref().unwrap().is_present()));
    }
}

#[tokio::test]
async fn the_image_before_the_last_one_goes() {
    let rig = Rig::with_registry().await;
    rig.update(None, VERSIONS[0]).await;
    rig.update(Some(VERSIONS[0]), VERSIONS[1]).await;
    rig.update(Some(VERSIONS[1]), VERSIONS[2]).await;
    rig.images_become(&["app2", "app3", "bad", "better", "good"]).await;
    let rig = rig.restarted().await;
    rig.update(Some(VERSIONS[2]), VERSIONS[3]).await;
    rig.images_become(&["app3", "app4", "bad", "better", "good"]).await;
    rig.take_and_look(&spec(VERSIONS[3], json!({}))).await;
    rig.images_become(&["bad", "better", "good"]).await;
}

#[tokio::test]
async fn an_image_that_was_there_before_or_is_used_by_others_stays() {
    let rig = Rig::with_registry().await;
    // Pulled again, it is what was there already.
    rig.fake.publish_image(GOOD, "sha256:good", Behaviour::Runs);
    let always = spec(GOOD, json!({ "pullPolicy": "Always" }));
    rig.put(None, &always, false).await.unwrap();
    rig.update(Some(GOOD), VERSIONS[0]).await;
    let theirs = spec(VERSIONS[0], json!({}));
    let new = NewContainer { name: "theirs", spec: &theirs, marks: &Texts::new() };
    let theirs = rig.fake.create(&new).await.unwrap();
    rig.update(Some(VERSIONS[0]), VERSIONS[1]).await;
    rig.update(Some(VERSIONS[1]), VERSIONS[2]).await;
    rig.update(Some(VERSIONS[2]), VERSIONS[3]).await;
    rig.images_become(&["app1", "app3", "app4", "bad", "better", "good"]).await;
    rig.fake.remove(&theirs).await.unwrap();
    rig.take_and_look(&spec(VERSIONS[3], json!({}))).await;
    rig.images_become(&["bad", "better", "good"]).await;
}

#[tokio::test]
async fn what_failed_goes_when_something_else_is_wanted() {
    let rig = Rig::with_registry().await;
    rig.fake.publish_image(VERSIONS[1], "sha256:app2", Behaviour::CannotStart);
    rig.update(None, VERSIONS[0]).await;
    let failed = rig.put(Some(&spec(VERSIONS[0], json!({}))), &spec(VERSIONS[1], json!({})), false).await;
    assert!(failed.unwrap_err().rolled_back);
    rig.images_become(&["app1", "app2", "bad", "better", "good"]).await;
    rig.update(Some(VERSIONS[0]), VERSIONS[2]).await;
    rig.images_become(&["app1", "app3", "bad", "better", "good"]).await;
}

#[tokio::test]
async fn what_two_are_made_of_goes_with_the_last_of_them() {
    let rig = Rig::with_registry().await;
    rig.update(None, VERSIONS[0]).await;
    let other = Rig { id: "other".parse().unwrap(), ..rig };
    other.update(None, VERSIONS[0]).await;
    other.take_and_look(&spec(VERSIONS[0], json!({}))).await;
    other.images_become(&["app1", "bad", "better", "good"]).await;
    let rig = Rig { id: "web".parse().unwrap(), ..other };
    rig.take_and_look(&spec(VERSIONS[0], json!({}))).await;
    rig.images_become(&["bad", "better", "good"]).await;
}

#[tokio::test]
async fn what_failed_does_not_pile_up() {
    let rig = Rig::with_registry().await;
    rig.update(None, VERSIONS[0]).await;
    let first = spec(VERSIONS[0], json!({}));
    for (number, version) in (1..).zip(VERSIONS).skip(1) {
        rig.fake.publish_image(version, &format!("sha256:app{number}"), Behaviour::CannotStart);
        let next = spec(version, json!({}));
        rig.see(&next).await;
        assert!(rig.put(Some(&first), &next, false).await.unwrap_err().rolled_back);
        rig.see(&first).await;
    }
    rig.images_become(&["app1", "app4", "bad", "better", "good"]).await;
}

#[tokio::test]
async fn an_image_that_goes_before_it_is_used_is_pulled_again() {
    let rig = Rig::with_registry().await;
    rig.update(None, VERSIONS[0]).await;
    rig.take(&spec(VERSIONS[0], json!({}))).await;
    // It is still known as there when the next step begins.
    rig.images_become(&["bad", "better", "good"]).await;
    rig.put(None, &spec(VERSIONS[0], json!({})), false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "app1")]);
}

#[tokio::test]
async fn wherever_a_pull_is_cut_off_its_image_is_known_as_ours() {
    for wakes in 0..40 {
        let rig = Rig::with_registry().await;
        rig.put_and_die(&spec(VERSIONS[0], json!({})), &spec(VERSIONS[0], json!({})), wakes).await;
        let rig = rig.restarted().await;
        rig.put(None, &spec(VERSIONS[0], json!({})), false).await.unwrap();
        rig.take_and_look(&spec(VERSIONS[0], json!({}))).await;
        rig.images_become(&["bad", "better", "good"]).await;
    }
}

#[tokio::test]
async fn what_somebody_brings_after_a_pull_has_failed_is_theirs() {
    let rig = Rig::with_registry().await;
    let (theirs, id) = ("r.example/theirs:1", "sha256:theirs");
    let wanted = spec(theirs, json!({}));
    assert_eq!(rig.put(None, &wanted, false).await.unwrap_err().reason, "ImageNotFound");
    rig.fake.add_image(theirs, id, Behaviour::Runs);
    super::abuse::heard().await;
    rig.put(None, &wanted, false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "theirs")]);
    rig.take_and_look(&wanted).await;
    // What is ours goes, and this does not.
    rig.update(None, VERSIONS[0]).await;
    rig.take_and_look(&spec(VERSIONS[0], json!({}))).await;
    rig.images_become(&["bad", "better", "good", "theirs"]).await;
}

#[tokio::test]
async fn what_a_spec_names_is_not_removed_though_it_is_not_known_to_be_there() {
    let rig = Rig::with_registry().await;
    let wanted = spec(VERSIONS[0], json!({}));
    rig.see(&wanted).await;
    // A pull whose end nobody has seen; and who comes next begins with making room for one.
    rig.reconciler.images.begin_a_pull("web", &wanted.image).await;
    rig.fake.add_image(VERSIONS[0], "sha256:app1", Behaviour::Runs);
    rig.reconciler.images.make_room().await;
    rig.images_become(&["app1", "bad", "better", "good"]).await;
}

#[tokio::test]
async fn where_there_is_no_room_the_image_of_before_gives_way() {
    let rig = Rig::with_registry().await;
    rig.fake.make_room_for(5);
    rig.update(None, VERSIONS[0]).await;
    rig.update(Some(VERSIONS[0]), VERSIONS[1]).await;
    rig.images_become(&["app1", "app2", "bad", "better", "good"]).await;
    rig.update(Some(VERSIONS[1]), VERSIONS[2]).await;
    rig.images_become(&["app2", "app3", "bad", "better", "good"]).await;
    // What runs and what is to run never do.
    rig.fake.make_room_for(4);
    let failure =
        rig.put(Some(&spec(VERSIONS[2], json!({}))), &spec(VERSIONS[3], json!({})), false).await.unwrap_err();
    assert_eq!(failure.reason, "InsufficientStorage");
    rig.images_become(&["app3", "bad", "better", "good"]).await;
    assert_eq!(rig.all().await, [runs("web", "app3")]);
}

#[tokio::test]
async fn without_room_to_remember_it_nothing_is_pulled() {
    let rig = Rig::with_registry().await;
    std::fs::create_dir(rig.state.path().join("images.json.new")).unwrap();
    let failure = rig.put(None, &spec(VERSIONS[0], json!({})), false).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("StateUnwritable", true));
    assert!(rig.all().await.is_empty());
    rig.images_become(&["bad", "better", "good"]).await;
    // One that is there will do.
    rig.put(None, &spec(GOOD, json!({ "pullPolicy": "Always" })), false).await.unwrap();
    assert_eq!(rig.all().await, [runs("web", "good")]);
}

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

    async fn update(&self, from: Option<&str>, to: &str) {
        let old = from.map(|image| spec(image, json!({})));
        self.put(old.as_ref(), &spec(to, json!({})), false).await.unwrap();
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
    rig.take(&spec(VERSIONS[3], json!({}))).await;
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
    rig.take(&spec(VERSIONS[3], json!({}))).await;
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
async fn wherever_a_pull_is_cut_off_its_image_is_known_as_ours() {
    for wakes in 0..40 {
        let rig = Rig::with_registry().await;
        rig.put_and_die(&spec(VERSIONS[0], json!({})), &spec(VERSIONS[0], json!({})), wakes).await;
        let rig = rig.restarted().await;
        rig.put(None, &spec(VERSIONS[0], json!({})), false).await.unwrap();
        rig.take(&spec(VERSIONS[0], json!({}))).await;
        rig.images_become(&["bad", "better", "good"]).await;
    }
}

#[tokio::test]
async fn without_room_to_remember_it_nothing_is_pulled() {
    let rig = Rig::with_registry().await;
    std::fs::create_dir(rig.state.path().join("images.json.new")).unwrap();
    let failure = rig.put(None, &spec(VERSIONS[0], json!({})), false).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("StateUnwritable", true));
    assert!(rig.all().await.is_empty());
    rig.images_become(&["bad", "better", "good"]).await;
}

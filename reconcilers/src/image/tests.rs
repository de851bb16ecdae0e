//! Images keep the contract in the fake engine, and go when nothing needs them any more.

use std::{collections::BTreeMap, path::Path};

use manifest_types::digest::Digest;
use tokio_util::sync::CancellationToken;

use super::{fixture::Images as Fixture, *};
use crate::{
    container::fixture::host,
    engine::{
        NewContainer,
        bed::FakeBed,
        fake::{Behaviour, FakeEngine},
    },
    host::Host,
    observation::Observed,
    reconciler::Owned,
};

crate::promises!(Fixture<FakeBed>);

const ONE: &str = "registry.example/web:1";
const TWO: &str = "registry.example/web:2";

/// A device whose registry has two images.
struct Rig {
    fake: FakeEngine,
    reconciler: ImageReconciler<FakeEngine>,
    state: tempfile::TempDir,
}

fn reconciler(fake: &FakeEngine, state: &Path) -> ImageReconciler<FakeEngine> {
    let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
    let host = Host { state_dir: state.to_owned(), ..host() };
    ImageReconciler::new(link.clone(), Images::new(&host, link))
}

fn spec(image: &str) -> ImageSpec {
    ImageSpec { image: image.parse().unwrap(), registry_credentials: None }
}

impl Rig {
    fn new() -> Self {
        let (fake, state) = (FakeEngine::default(), tempfile::tempdir().unwrap());
        fake.publish_image(ONE, "sha256:one", Behaviour::Runs);
        fake.publish_image(TWO, "sha256:two", Behaviour::Runs);
        Self { reconciler: reconciler(&fake, state.path()), fake, state }
    }

    /// The same device after its agent was started again.
    fn restarted(self) -> Self {
        Self { reconciler: reconciler(&self.fake, self.state.path()), ..self }
    }

    async fn put(&self, id: &str, image: &str) {
        let (id, spec, held) = (id.parse().unwrap(), spec(image), BTreeMap::new());
        let owned = Owned { spec: &spec, applied: true, attempted: None, held: &held };
        let put = Put { id: &id, spec: &spec, digest: Digest::of(b""), owned, restart: false };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        let seen = self.reconciler.reconcile(&cx, &put).await.unwrap().unwrap();
        assert_eq!(seen.drift(&spec), []);
    }

    async fn take(&self, id: &str, image: &str) {
        let (id, spec, held) = (id.parse().unwrap(), spec(image), BTreeMap::new());
        let owned = Owned { spec: &spec, applied: true, attempted: None, held: &held };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        self.reconciler.delete(&cx, &Take { id: &id, owned }).await.unwrap();
    }

    /// A look at it, after which no step is made: it is there.
    async fn see(&self, id: &str, image: &str) {
        let (id, spec) = (id.parse().unwrap(), spec(image));
        let target = Target { id: &id, wanted: Some(&spec), owned: None };
        let sights = self.reconciler.observe(&[target]).await.unwrap();
        assert_eq!(sights[&id].as_ref().unwrap().drift(&spec), []);
    }

    async fn there(&self) -> Vec<String> {
        self.fake.images().await.unwrap().into_iter().map(|image| image.id).collect()
    }
}

#[tokio::test]
async fn two_may_need_the_same_image_and_it_goes_with_the_last() {
    let rig = Rig::new();
    rig.put("a", ONE).await;
    rig.put("b", ONE).await;
    rig.take("a", ONE).await;
    assert_eq!(rig.there().await, ["sha256:one"]);
    let rig = rig.restarted();
    rig.put("c", TWO).await;
    assert_eq!(
        rig.there().await,
        ["sha256:one", "sha256:two"],
        "also what nobody has looked at yet is needed"
    );
    rig.take("b", ONE).await;
    assert_eq!(rig.there().await, ["sha256:two"]);
}

#[tokio::test]
async fn what_is_there_already_is_held_without_a_step() {
    let rig = Rig::new();
    rig.put("a", ONE).await;
    rig.see("b", ONE).await;
    rig.take("a", ONE).await;
    let rig = rig.restarted();
    rig.put("c", TWO).await;
    assert_eq!(rig.there().await, ["sha256:one", "sha256:two"]);
    // It is another one that b wants, and that is there, too.
    rig.see("b", TWO).await;
    rig.take("c", TWO).await;
    assert_eq!(rig.there().await, ["sha256:two"]);
}

#[tokio::test]
async fn what_a_container_is_made_of_stays_though_it_is_not_wanted_any_more() {
    let rig = Rig::new();
    rig.put("a", ONE).await;
    let web = serde_json::from_value(serde_json::json!({ "image": ONE })).unwrap();
    let new = NewContainer { name: "web", spec: &web, marks: &Default::default() };
    rig.fake.create(&new).await.unwrap();
    rig.put("a", TWO).await;
    assert_eq!(rig.there().await, ["sha256:one", "sha256:two"]);
    rig.fake.lose("web").unwrap();
    rig.take("a", TWO).await;
    assert_eq!(rig.there().await, Vec::<String>::new());
}

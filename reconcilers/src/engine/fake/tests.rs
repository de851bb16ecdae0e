//! The fake keeps the engines' contract.

use futures_util::FutureExt;

use super::{Behaviour, FakeEngine};
use crate::engine::{
    contract::{Pause, Rig, what_is_offered_is_pulled},
    terms::Activity,
};

async fn rig() -> Rig<FakeEngine> {
    let engine = FakeEngine::default();
    engine.add_image("localhost/holdfast/busybox:1", "sha256:busybox", Behaviour::Runs);
    let fake = engine.clone();
    let pause = move |id: String| {
        fake.change(&id, |container| container.state.activity = Activity::Paused).expect("it is there");
        futures_util::future::ready(()).boxed_local()
    };
    Rig {
        engine,
        image: "localhost/holdfast/busybox:1".into(),
        adjusts: true,
        annotates: true,
        is_docker: true,
        pause: Pause(Box::new(pause)),
    }
}

crate::engine_promises!(rig());

#[tokio::test]
async fn what_its_registry_offers_is_pulled() {
    let fake = FakeEngine::default();
    fake.publish_image("registry.example/shop/web:1", "sha256:web", Behaviour::Runs);
    what_is_offered_is_pulled(&fake, "registry.example/shop/web:1", "registry.example/shop/web:2").await;
}

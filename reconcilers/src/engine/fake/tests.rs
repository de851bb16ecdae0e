//! The fake keeps the engines' contract.

use super::{Behaviour, FakeEngine};
use crate::engine::contract::Rig;

async fn rig() -> Rig<FakeEngine> {
    let engine = FakeEngine::default();
    engine.add_image("localhost/holdfast/busybox:1", "sha256:busybox", Behaviour::Runs);
    Rig { engine, image: "localhost/holdfast/busybox:1".into(), adjusts: true, annotates: true }
}

crate::engine_promises!(rig());

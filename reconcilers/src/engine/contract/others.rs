//! What engines promise of what others do beside us: somebody pauses a container, a registry offers an image.

use std::{fmt, sync::Mutex, time::Duration};

use futures_util::future::LocalBoxFuture;
use manifest_types::kinds::engine::ImageRef;
use serde_json::json;

use super::{Rig, cause, fresh};
use crate::engine::{ContainerEngine, error::Cause, terms::Activity};

/// Pauses a container, by its id, as somebody else would.
pub struct Pause(pub Box<dyn Fn(String) -> LocalBoxFuture<'static, ()>>);

impl fmt::Debug for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pause")
    }
}

/// What was paused goes on, and can be stopped and removed; what was not is left.
pub async fn what_was_paused_goes_on<E: ContainerEngine>(rig: &Rig<E>) {
    let name = fresh("paused");
    let id = rig.make(&name, &rig.spec(json!({}))).await.expect("the engine does as it is asked");
    rig.engine.start(&id).await.expect("the engine does as it is asked");
    let started = rig.see(&id).await.state.started_at;
    rig.pause.0(id.clone()).await;
    assert_eq!(rig.see(&id).await.state.activity, Activity::Paused);
    for _ in 0..2 {
        rig.engine.unpause(&id).await.expect("the engine does as it is asked");
        let goes_on = rig.see(&id).await.state;
        assert_eq!((goes_on.activity, goes_on.started_at), (Activity::Running, started));
    }
    rig.engine.stop(&id, Duration::ZERO).await.expect("the engine does as it is asked");
    rig.engine.unpause(&id).await.expect("the engine does as it is asked");
    assert_eq!(rig.see(&id).await.state.activity, Activity::Exited, "it does not run because of that");
    rig.engine.remove(&id).await.expect("the engine does as it is asked");
    assert_eq!(cause(rig.engine.unpause(&id).await), Cause::NotFound);
}

/// What a registry offers is pulled, telling how far it is, and is there then; done twice, the second time it is still there. What it does not have is not found.
pub async fn what_is_offered_is_pulled<E: ContainerEngine>(engine: &E, offered: &str, missing: &str) {
    let [offered, missing] =
        [offered, missing].map(|name| name.parse::<ImageRef>().expect("the contract's rigs give good names"));
    assert_eq!(engine.image(offered.as_str()).await.expect("the engine answers"), None);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let told = Mutex::new(Vec::new());
        let tell = |progress| told.lock().expect("nobody panics with it").push(progress);
        engine.pull(&offered, None, &tell).await.expect("the engine does as it is asked");
        let told = told.into_inner().expect("nobody panics with it");
        assert!(told.iter().all(|own| own.total.is_none_or(|total| own.done <= total)), "{told:?}");
        let found = engine.image(offered.as_str()).await.expect("the engine answers");
        ids.push(found.expect("it was pulled").id);
    }
    assert_eq!(ids[0], ids[1]);
    let listed = engine.images().await.expect("the engine answers");
    let named = |own: &crate::engine::terms::NamedImage| own.names.contains(&offered.canonical());
    assert!(listed.iter().any(|own| own.id == ids[0] && named(own)), "{listed:?}");
    assert_eq!(cause(engine.pull(&missing, None, &|_| {}).await), Cause::ImageNotFound);
    for _ in 0..2 {
        engine.remove_image(&offered.canonical()).await.expect("the engine does as it is asked");
    }
    assert_eq!(engine.image(offered.as_str()).await.expect("the engine answers"), None);
}

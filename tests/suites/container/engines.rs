//! Docker and Podman keep the engines' contract, which the fake keeps, too.

use e2e::{Registry, parts};
use futures_util::FutureExt;
use reconcilers::engine::{
    contract::{Pause, Rig, what_is_offered_is_pulled},
    docker::Docker,
};

use crate::{IMAGE, rig::docker};

/// Docker 20.10 speaks API 1.41: annotations came with 1.43. Podman 4 changes no limits in place by its compatible API, and chooses no port of a range.
fn engine(place: String, is_docker: bool) -> Rig<Docker> {
    let engine = Docker::new(vec![place.clone()]);
    let pause = move |id: String| {
        let place = place.clone();
        async move { docker(&place, &["pause", &id]).await }.boxed_local()
    };
    Rig {
        engine,
        image: IMAGE.into(),
        adjusts: is_docker,
        annotates: false,
        is_docker,
        pause: Pause(Box::new(pause)),
    }
}

async fn what_a_registry_offers_is_pulled(place: String) {
    let registry = Registry::open().await;
    registry.push_variant(&parts::docker(), IMAGE, "shop/offered:1").await;
    let [offered, missing] = [1, 2].map(|tag| registry.image(&format!("shop/offered:{tag}")));
    what_is_offered_is_pulled(&Docker::new(vec![place]), &offered, &missing).await;
}

mod on_docker {
    use super::*;

    async fn rig() -> Rig<Docker> {
        engine(parts::docker(), true)
    }

    reconcilers::engine_promises!(rig());

    #[tokio::test]
    async fn what_a_registry_offers_is_pulled() {
        super::what_a_registry_offers_is_pulled(parts::docker()).await;
    }
}

mod on_podman {
    use super::*;

    async fn rig() -> Rig<Docker> {
        engine(parts::podman(), false)
    }

    reconcilers::engine_promises!(rig());

    #[tokio::test]
    async fn what_a_registry_offers_is_pulled() {
        super::what_a_registry_offers_is_pulled(parts::podman()).await;
    }
}

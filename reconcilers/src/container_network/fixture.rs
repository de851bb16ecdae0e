//! A world of engine networks for the contract.

use std::marker::PhantomData;

use manifest_types::kinds::{container_network::ContainerNetworkSpec, engine::Texts};
use serde_json::json;

use super::ContainerNetworkReconciler;
use crate::{
    contract::{Fixture, Picture},
    engine::{
        ContainerEngine,
        bed::{Bed, Plot},
        terms::Network,
    },
};

/// Networks in an engine.
#[derive(Debug)]
pub struct Networks<B: Bed> {
    plot: Plot<B::Engine>,
    reconciler: ContainerNetworkReconciler<B::Engine>,
    bed: PhantomData<B>,
}

impl<B: Bed> Networks<B> {
    fn spec(&self, name: &str, internal: bool) -> ContainerNetworkSpec {
        let spec =
            json!({ "name": self.plot.name(name), "internal": internal, "labels": { "tier": "front" } });
        serde_json::from_value(spec).expect("it is a good spec")
    }

    async fn put(&self, internal: bool) {
        let spec = self.spec("it", internal);
        let made = self.plot.link.engine.create_network(&self.plot.name("it"), &spec, &Texts::new()).await;
        made.expect("the engine makes networks");
    }

    async fn networks(&self) -> Vec<Network> {
        self.plot.link.engine.networks().await.expect("the engine lists them")
    }
}

impl<B: Bed> Fixture for Networks<B> {
    type Reconciler = ContainerNetworkReconciler<B::Engine>;

    const TAKES_OVER: bool = false;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let plot = Plot::of::<B>().await;
        Self { reconciler: ContainerNetworkReconciler::new(plot.link.clone()), plot, bed: PhantomData }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> ContainerNetworkSpec {
        self.spec("it", false)
    }

    fn second(&self) -> ContainerNetworkSpec {
        self.spec("it", true)
    }

    fn elsewhere(&self) -> ContainerNetworkSpec {
        self.spec("elsewhere", false)
    }

    fn impossible(&self) -> ContainerNetworkSpec {
        ContainerNetworkSpec { driver: Some("no-such-driver".into()), ..self.spec("impossible", false) }
    }

    async fn put_same(&self) {
        self.put(false).await;
    }

    async fn put_other(&self) {
        self.put(true).await;
    }

    async fn disturb(&self) {
        let removed = self.plot.link.engine.remove_network(&self.plot.name("it")).await;
        removed.expect("nothing uses it");
    }

    async fn seen_by_others(&self) -> Picture {
        let all = self.networks().await.into_iter();
        self.plot.here(all.map(|network| {
            let foreign: Vec<_> =
                network.labels.into_iter().filter(|(name, _)| !name.starts_with("holdfast.")).collect();
            (network.name, (network.driver, network.internal, foreign))
        }))
    }

    async fn in_all(&self) -> Picture {
        let all = self.networks().await.into_iter();
        self.plot.here(all.map(|network| (network.name.clone(), network)))
    }
}

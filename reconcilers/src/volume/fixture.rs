//! A world of volumes for the contract.

use std::marker::PhantomData;

use manifest_types::kinds::{engine::Texts, volume::VolumeSpec};
use serde_json::json;

use super::VolumeReconciler;
use crate::{
    contract::{Fixture, Picture},
    engine::{
        ContainerEngine,
        bed::{Bed, Plot},
    },
};

/// Volumes in an engine.
#[derive(Debug)]
pub struct Volumes<B: Bed> {
    plot: Plot<B::Engine>,
    reconciler: VolumeReconciler<B::Engine>,
    bed: PhantomData<B>,
}

impl<B: Bed> Volumes<B> {
    fn spec(&self, name: &str, label: &str, on_delete: &str) -> VolumeSpec {
        let spec =
            json!({ "name": self.plot.name(name), "labels": { "tier": label }, "onDelete": on_delete });
        serde_json::from_value(spec).expect("it is a good spec")
    }

    async fn put(&self, label: &str) {
        let spec = self.spec("it", label, "Retain");
        let made = self.plot.link.engine.create_volume(&self.plot.name("it"), &spec, &Texts::new()).await;
        made.expect("the engine makes volumes");
    }

    async fn volumes(&self) -> Vec<crate::engine::terms::Volume> {
        self.plot.link.engine.volumes().await.expect("the engine lists them")
    }
}

impl<B: Bed> Fixture for Volumes<B> {
    type Reconciler = VolumeReconciler<B::Engine>;

    const TAKES_OVER: bool = false;
    const CHANGES: bool = false;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let plot = Plot::of::<B>().await;
        Self { reconciler: VolumeReconciler::new(plot.link.clone()), plot, bed: PhantomData }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> VolumeSpec {
        self.spec("it", "front", "Remove")
    }

    fn second(&self) -> VolumeSpec {
        let spec = json!({ "name": self.plot.name("it"), "onDelete": "Remove", "driver": "local", "labels": { "tier": "front" }, "options": {} });
        serde_json::from_value(spec).expect("it is a good spec")
    }

    fn elsewhere(&self) -> VolumeSpec {
        self.spec("elsewhere", "front", "Remove")
    }

    fn impossible(&self) -> VolumeSpec {
        VolumeSpec { driver: Some("no-such-driver".into()), ..self.spec("impossible", "front", "Remove") }
    }

    async fn put_same(&self) {
        self.put("front").await;
    }

    async fn put_other(&self) {
        self.put("back").await;
    }

    async fn disturb(&self) {
        let removed = self.plot.link.engine.remove_volume(&self.plot.name("it")).await;
        removed.expect("nothing uses it");
    }

    async fn seen_by_others(&self) -> Picture {
        let all = self.volumes().await.into_iter();
        self.plot.here(all.map(|volume| {
            let foreign: Vec<_> =
                volume.labels.into_iter().filter(|(name, _)| !name.starts_with("holdfast.")).collect();
            (volume.name, (volume.driver, foreign))
        }))
    }

    async fn in_all(&self) -> Picture {
        let all = self.volumes().await.into_iter();
        self.plot.here(all.map(|volume| (volume.name.clone(), volume)))
    }
}

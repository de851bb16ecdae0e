//! A world of containers for the contract.

use std::{marker::PhantomData, path::PathBuf, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use manifest_types::kinds::{container::ContainerSpec, engine::Texts};
use serde_json::json;

use super::ContainerReconciler;
use crate::{
    contract::{Fixture, Picture},
    engine::{
        ContainerEngine, NewContainer,
        bed::{Bed, IMAGE, Plot},
        contract::listed,
        images::Images,
        terms::Container,
    },
    host::{Blob, BlobError, BlobSource, Blobs, Host},
};

/// Containers in an engine.
#[derive(Debug)]
pub struct Containers<B: Bed> {
    plot: Plot<B::Engine>,
    reconciler: ContainerReconciler<B::Engine>,
    bed: PhantomData<B>,
}

struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, source: &BlobSource) -> BoxFuture<'static, Result<Blob, BlobError>> {
        let from = source.clone();
        Box::pin(async move { Err(BlobError::Unreachable { from, why: "there are none".into() }) })
    }
}

/// A device on which nothing but its engine is of interest.
pub fn host() -> Host {
    Host {
        root: PathBuf::from("/"),
        state_dir: PathBuf::from("/nonexistent"),
        protected: Vec::new(),
        agent_id: "pump-17".parse().expect("it is a name"),
        engine_places: Vec::new(),
        services: Default::default(),
        blobs: Arc::new(NoBlobs),
        reach: Arc::new(crate::host::AlwaysThere),
    }
}

impl<B: Bed> Containers<B> {
    fn spec(&self, name: &str, mode: &str) -> ContainerSpec {
        let spec = json!({
            "name": self.plot.name(name), "image": IMAGE, "command": ["sleep", "10000"], "env": { "MODE": mode }, "stopGracePeriod": "0s"
        });
        serde_json::from_value(spec).expect("it is a good spec")
    }

    async fn put(&self, mode: &str) {
        let (name, spec) = (self.plot.name("it"), self.spec("it", mode));
        let new = NewContainer { name: &name, spec: &spec, marks: &Texts::new() };
        let id = self.plot.link.engine.create(&new).await.expect("the engine makes containers");
        self.plot.link.engine.start(&id).await.expect("the engine starts containers");
    }

    async fn containers(&self) -> Vec<Container> {
        let engine = &self.plot.link.engine;
        let mut all = Vec::new();
        for listed in listed(engine).await {
            if listed.name.starts_with(&self.plot.prefix) {
                all.extend(engine.container(&listed.id).await.expect("the engine tells of them"));
            }
        }
        all
    }
}

impl<B: Bed> Fixture for Containers<B> {
    type Reconciler = ContainerReconciler<B::Engine>;

    const TAKES_OVER: bool = false;
    const ADOPTS: bool = false;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let plot = Plot::of::<B>().await;
        let images = Images::new(&host(), plot.link.clone());
        let reconciler = ContainerReconciler::new(&host(), plot.link.clone(), images);
        Self { reconciler: reconciler.settling(Duration::from_millis(50)), plot, bed: PhantomData }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> ContainerSpec {
        self.spec("it", "first")
    }

    fn second(&self) -> ContainerSpec {
        self.spec("it", "second")
    }

    fn elsewhere(&self) -> ContainerSpec {
        self.spec("elsewhere", "first")
    }

    fn impossible(&self) -> ContainerSpec {
        let image = "localhost/holdfast/no-such-image:1".parse().expect("it is a reference");
        let pull_policy = manifest_types::kinds::container::PullPolicy::Never;
        ContainerSpec { image, pull_policy, ..self.spec("impossible", "first") }
    }

    async fn put_same(&self) {
        self.put("first").await;
    }

    async fn put_other(&self) {
        self.put("other").await;
    }

    async fn disturb(&self) {
        let stopped = self.plot.link.engine.stop(&self.plot.name("it"), Duration::ZERO).await;
        stopped.expect("it runs");
    }

    async fn seen_by_others(&self) -> Picture {
        let all = self.containers().await.into_iter();
        self.plot.here(all.map(|container| {
            let mode = container.shape.get("env.MODE").cloned();
            (container.name, (container.image_id, mode, container.state.activity))
        }))
    }

    async fn in_all(&self) -> Picture {
        let all = self.containers().await.into_iter();
        self.plot.here(
            all.map(|container| (container.name.clone(), (container.id, container.state, container.labels))),
        )
    }
}

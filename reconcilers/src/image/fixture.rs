//! A world of images for the contract.

use std::marker::PhantomData;

use manifest_types::kinds::{engine::ImageRef, image::ImageSpec};
use serde_json::json;
use tempfile::TempDir;

use super::ImageReconciler;
use crate::{
    container::fixture::host,
    contract::{Fixture, Picture},
    engine::{
        ContainerEngine,
        bed::{Plot, Shelf},
        images::Images as Stock,
    },
    host::Host,
};

/// Images in an engine.
#[derive(Debug)]
pub struct Images<B: Shelf> {
    plot: Plot<B::Engine>,
    reconciler: ImageReconciler<B::Engine>,
    first: String,
    elsewhere: String,
    state: TempDir,
    bed: PhantomData<B>,
}

impl<B: Shelf> Images<B> {
    fn spec(&self, image: &str) -> ImageSpec {
        ImageSpec { image: image.parse().expect("it is a reference"), registry_credentials: None }
    }

    async fn pull(&self) {
        let first: ImageRef = self.first.parse().expect("it is a reference");
        self.plot.link.engine.pull(&first, None, &|_| {}).await.expect("the engine pulls");
    }

    async fn images(&self) -> Picture {
        let all = self.plot.link.engine.images().await.expect("the engine lists them");
        let named = all.into_iter().flat_map(|image| {
            let id = image.id;
            image.names.into_iter().map(move |name| {
                let bare = name.split_once('/').map_or(name.as_str(), |(_, bare)| bare);
                (bare.to_owned(), id.clone())
            })
        });
        self.plot.here(named)
    }
}

impl<B: Shelf> Fixture for Images<B> {
    type Reconciler = ImageReconciler<B::Engine>;

    const TAKES_OVER: bool = false;
    const SHARES: bool = true;
    const CHANGES: bool = false;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let plot = Plot::of::<B>().await;
        let state = TempDir::new().expect("there is a folder for temporary files");
        let host = Host { state_dir: state.path().to_owned(), ..host() };
        let reconciler = ImageReconciler::new(plot.link.clone(), Stock::new(&host, plot.link.clone()));
        let first = B::offer(&plot.link.engine, &plot.name("it")).await;
        let elsewhere = B::offer(&plot.link.engine, &plot.name("elsewhere")).await;
        Self { plot, reconciler, first, elsewhere, state, bed: PhantomData }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> ImageSpec {
        self.spec(&self.first)
    }

    fn second(&self) -> ImageSpec {
        let file = self.state.path().join("credentials.json");
        std::fs::write(&file, json!({ "auths": {} }).to_string()).expect("the folder is ours");
        let credentials = file.to_str().and_then(|file| file.parse().ok());
        ImageSpec { registry_credentials: credentials, ..self.first() }
    }

    fn elsewhere(&self) -> ImageSpec {
        self.spec(&self.elsewhere)
    }

    fn impossible(&self) -> ImageSpec {
        self.spec(&self.first.replace("-it:", "-impossible:"))
    }

    async fn put_same(&self) {
        self.pull().await;
    }

    async fn put_other(&self) {
        self.pull().await;
    }

    async fn disturb(&self) {
        self.plot.link.engine.remove_image(&self.first).await.expect("nothing uses it");
    }

    async fn seen_by_others(&self) -> Picture {
        self.images().await
    }

    async fn in_all(&self) -> Picture {
        self.images().await
    }
}

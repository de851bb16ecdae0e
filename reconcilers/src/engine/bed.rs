//! What the contract tests of the engine's kinds stand on: an engine, and names in it that nobody else uses.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use super::{
    ContainerEngine, contract,
    fake::{Behaviour, FakeEngine},
    link::Link,
};

/// The image that every bed has.
pub const IMAGE: &str = "localhost/holdfast/busybox:1";

/// An engine to test in.
pub trait Bed: 'static {
    /// The engine.
    type Engine: ContainerEngine;

    /// The engine, which others may use, too; it has [`IMAGE`].
    fn engine() -> impl Future<Output = Self::Engine>;
}

/// A bed with a registry of images.
pub trait Shelf: Bed {
    /// Puts an image there that no engine has, under a name that nobody else uses; its reference.
    fn offer(engine: &Self::Engine, name: &str) -> impl Future<Output = String>;
}

/// The fake: an engine of one's own.
#[derive(Debug)]
pub struct FakeBed;

impl Bed for FakeBed {
    type Engine = FakeEngine;

    async fn engine() -> FakeEngine {
        let engine = FakeEngine::default();
        engine.add_image(IMAGE, "sha256:busybox", Behaviour::Runs);
        engine
    }
}

impl Shelf for FakeBed {
    async fn offer(engine: &FakeEngine, name: &str) -> String {
        let reference = format!("registry.example/{name}:1");
        engine.publish_image(&reference, &format!("sha256:{name}"), Behaviour::Runs);
        reference
    }
}

/// A part of an engine: the names that begin alike.
#[derive(Debug)]
pub struct Plot<E> {
    /// The way to the engine.
    pub link: Arc<Link<E>>,
    /// How all names here begin.
    pub prefix: String,
}

impl<E: ContainerEngine> Plot<E> {
    /// A part that nobody else uses.
    pub async fn of<B: Bed<Engine = E>>() -> Self {
        // Each is an agent of its own: what others make in the same engine is not its.
        let prefix = contract::fresh("plot");
        let link = Link::new(B::engine().await, prefix.parse().expect("it is a name"));
        link.open().await.expect("the engine is there");
        Self { link, prefix }
    }

    /// A name here.
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Those of `things` that are here, without the beginning of their names.
    pub fn here<T: std::fmt::Debug>(
        &self,
        things: impl IntoIterator<Item = (String, T)>,
    ) -> BTreeMap<String, String> {
        let own = |(name, thing): (String, T)| {
            let name = name.strip_prefix(&self.prefix)?.to_owned();
            Some((name, format!("{thing:?}")))
        };
        things.into_iter().filter_map(own).collect()
    }
}

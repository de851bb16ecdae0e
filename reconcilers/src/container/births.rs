//! Which containers this agent has made, where the engine may keep the name of one that it does not know any more (Podman does, of one that somebody removes while
//! it is being started). What is left then has no labels: only who remembers having made it may clear it away. Remembered in the state directory.

use std::{collections::BTreeMap, path::Path};

use crate::{
    books::Books,
    engine::{ContainerEngine, link::Link},
};

const FILE: &str = "born.json";
/// So many of one resource are remembered: the one that runs, the one before, and those that failed.
const KEPT: usize = 4;

/// The containers that were made, by the names of their resources in the engine.
#[derive(Debug)]
pub(super) struct Births(Books<BTreeMap<String, Vec<String>>>);

impl Births {
    /// Those remembered in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self(Books::new(state_dir, FILE))
    }

    /// A container was made for what is to have this name.
    pub(super) async fn note<E: ContainerEngine>(&self, link: &Link<E>, name: &str, id: &str) {
        if link.info().is_none_or(|info| !info.leaves_names) {
            return;
        }
        let add = |born: &mut BTreeMap<String, Vec<String>>| {
            let ids = born.entry(name.to_owned()).or_default();
            ids.push(id.to_owned());
            ids.drain(..ids.len().saturating_sub(KEPT));
        };
        if let Err(error) = self.0.change(&link.identity(), add).await {
            tracing::warn!(%error, "what the engine may leave of a container will not be known as ours");
        }
    }

    /// Whether a container was made for what has this name.
    pub(super) async fn is_own<E: ContainerEngine>(&self, link: &Link<E>, name: &str, id: &str) -> bool {
        let born = self.0.record(&link.identity()).await.unwrap_or_default();
        born.get(name).is_some_and(|ids| ids.iter().any(|own| own == id))
    }

    /// These names are held no more.
    pub(super) async fn forget<E: ContainerEngine>(&self, link: &Link<E>, names: &[String]) {
        let engine = link.identity();
        let changed = self.0.change(&engine, |born| born.retain(|name, _| !names.contains(name)));
        if let Err(error) = changed.await {
            tracing::warn!(%error, "what is gone is not forgotten yet");
        }
    }
}

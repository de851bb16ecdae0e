//! What is remembered of interfaces in the state directory: how each was before us, which specs were confirmed, and the change that is under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use manifest_types::{digest::Digest, name::ResourceId};
use serde::{Deserialize, Serialize};

use super::{backend::Saved, moves::Snapshot};
use crate::books::{Books, NotRemembered};

const FILE: &str = "network.json";
/// One device, one record.
const DEVICE: &str = "device";

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record {
    /// How interfaces were before us, by the resource that holds them.
    pub(super) held: BTreeMap<ResourceId, Checkpoint>,
    /// The specs that were confirmed.
    pub(super) confirmed: BTreeMap<ResourceId, Digest>,
    /// The change that is under way.
    pub(super) open: Option<Open>,
    /// Specs whose change was taken back by another than the step that made it, and why: they are told once more.
    pub(super) undone: BTreeMap<ResourceId, Undone>,
}

/// How interfaces were at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    /// In the kernel.
    pub(super) kernel: Snapshot,
    /// In the words of what manages them.
    pub(super) saved: Saved,
}

impl Record {
    /// A resource holds nothing any more.
    pub(super) fn forget(&mut self, id: &ResourceId) {
        self.held.remove(id);
        self.confirmed.remove(id);
        self.undone.remove(id);
    }
}

impl Checkpoint {
    /// The names of its interfaces.
    pub(super) fn interfaces(&self) -> Vec<String> {
        self.kernel.keys().cloned().collect()
    }

    /// Those of its interfaces that are in none of these names.
    pub(super) fn without<'n>(&self, names: impl Iterator<Item = &'n str>) -> Self {
        let names: BTreeSet<&str> = names.collect();
        let mut rest = self.clone();
        rest.kernel.retain(|name, _| !names.contains(name.as_str()));
        rest.saved.0.retain(|name, _| !names.contains(name.as_str()));
        rest
    }
}

/// A change that is neither confirmed nor taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open {
    /// How it was before.
    pub(super) before: Checkpoint,
    /// The boot in which it was begun: after another one, the kernel knows nothing of it any more.
    pub(super) boot: String,
    /// What is being changed, and the specs' digests; none for what is taken away.
    pub(super) changes: BTreeMap<ResourceId, Option<Digest>>,
    /// Whether it must be confirmed still: else what is left to do is to say that it stays.
    pub(super) must_confirm: bool,
}

/// A spec whose change was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Undone {
    pub(super) digest: Digest,
    pub(super) why: String,
}

/// The memory.
#[derive(Debug)]
pub(super) struct Memory(Books<Record>);

impl Memory {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self(Books::new(state_dir, FILE))
    }

    pub(super) async fn record(&self) -> Result<Record, NotRemembered> {
        self.0.record(DEVICE).await
    }

    /// Changes it; durable when it returns.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), NotRemembered> {
        self.0.change(DEVICE, change).await
    }
}

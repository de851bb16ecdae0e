//! All that the ledger holds, in memory: what an agent starts from, and what one commit changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use manifest_types::{digest::Digest, manifest::Generation, name::ResourceId};
use serde::{Deserialize, Serialize};

use super::row::{OpaqueRow, Row};

/// What an agent starts from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// The last admitted manifest.
    pub manifest: Option<SavedManifest>,
    /// The last generation admitted from each source.
    pub generations: BTreeMap<String, Admission>,
    /// What we own.
    pub rows: BTreeMap<ResourceId, Arc<Row>>,
    /// What we own and cannot understand.
    pub opaque: BTreeMap<ResourceId, OpaqueRow>,
    /// The instance ids of this device's agent so far.
    pub instances: BTreeSet<String>,
}

/// A manifest as it was admitted. Printing it for debugging leaves its text out: there may be secrets in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedManifest {
    /// The name of the source it came from.
    pub source: String,
    /// Its number.
    pub generation: Generation,
    /// Its text.
    pub text: String,
}

impl fmt::Debug for SavedManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("SavedManifest");
        told.field("source", &self.source).field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What a source last brought that was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Its number.
    pub generation: Generation,
    /// The digest of its canonical JSON.
    pub digest: Digest,
}

/// One atomic change of the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LedgerWrite {
    /// The manifest that was admitted, and its admission.
    pub manifest: Option<(SavedManifest, Admission)>,
    /// Rows to write, or to remove.
    pub rows: BTreeMap<ResourceId, Option<Arc<Row>>>,
    /// Whether the last generation of each source is forgotten.
    pub forgets_generations: bool,
    /// Whether it only lets go of things: then the reserve may be used on a full disk.
    pub lets_go: bool,
}

impl LedgerWrite {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.manifest.is_none() && self.rows.is_empty() && !self.forgets_generations
    }
}

impl Memory {
    /// Applies one change, as the ledger does.
    pub fn commit(&mut self, write: &LedgerWrite) {
        if write.forgets_generations {
            self.generations.clear();
        }
        if let Some((manifest, admission)) = &write.manifest {
            self.generations.insert(manifest.source.clone(), *admission);
            self.manifest = Some(manifest.clone());
        }
        for (id, row) in &write.rows {
            match row {
                Some(row) => drop(self.rows.insert(id.clone(), row.clone())),
                None => drop(self.rows.remove(id)),
            }
        }
    }
}

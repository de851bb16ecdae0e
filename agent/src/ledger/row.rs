//! What the ledger remembers of one resource.

use std::{collections::BTreeMap, sync::Arc};

use manifest_types::{
    claim::Claim, digest::Digest, kinds::Spec, manifest::Edges, name::ResourceId, status::DriftRecord,
};
use reconcilers::observation::Before;
use serde::{Deserialize, Serialize};

/// A resource that we own, or are about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its kind.
    pub kind: String,
    /// All that it holds, and what was there before.
    pub held: Arc<BTreeMap<Claim, Before>>,
    /// The spec last applied whole.
    pub applied: Option<Applied>,
    /// The edges that hold while it is as it is.
    pub edges: Edges,
    /// How many changes were made to it, counted with their intents.
    pub revision: u64,
    /// The revisions of its `restartOn` that its last start has seen.
    pub saw: BTreeMap<ResourceId, u64>,
    /// What was begun and is not known to have ended.
    pub intent: Option<Intent>,
    /// How often the present spec was tried in vain.
    pub attempts: u32,
    /// A spec that failed in a way that put the former one back.
    pub quarantine: Option<Quarantine>,
    /// Whether it was Ready since `applied` was applied.
    pub reached: bool,
    /// How often it drifted, and the last time.
    pub drift: DriftHistory,
}

/// A spec that was applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The digest of its canonical JSON as it was written.
    pub digest: Digest,
    /// The spec.
    pub spec: Arc<Spec>,
}

/// What is about to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Intent {
    /// Bring it to this spec.
    Put {
        /// What will be applied.
        target: Applied,
        /// The revisions of its `restartOn` at that time.
        saw: BTreeMap<ResourceId, u64>,
    },
    /// Take it away.
    Take {
        /// What had been begun before and may be there, too.
        attempted: Option<Applied>,
    },
}

/// A spec that is not tried again until it changes or somebody asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Its digest.
    pub digest: Digest,
    /// Why.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// What was changed together with it and proved bad with it: any of them may be to blame.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<ResourceId, Digest>,
}

/// How often a resource drifted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftHistory {
    /// How often.
    pub count: u64,
    /// The last time.
    pub last: Option<DriftRecord>,
}

/// A row of a kind, or with a spec, that this build does not know. It is kept as it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OpaqueRow {
    /// Its kind.
    pub kind: String,
    /// All that it holds.
    pub held: BTreeMap<Claim, Before>,
    /// The edges that hold while it is as it is.
    #[serde(default)]
    pub edges: Edges,
}

impl Row {
    /// A resource that holds nothing yet.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            held: Arc::default(),
            applied: None,
            edges: Edges::default(),
            revision: 0,
            saw: BTreeMap::new(),
            intent: None,
            attempts: 0,
            quarantine: None,
            reached: false,
            drift: DriftHistory::default(),
        }
    }

    /// The digest of the spec last applied whole.
    pub fn applied_digest(&self) -> Option<Digest> {
        self.applied.as_ref().map(|applied| applied.digest)
    }

    /// The spec that describes best what is held: the one applied, else the one begun.
    pub fn spec(&self) -> Option<&Arc<Spec>> {
        self.applied.as_ref().or_else(|| self.attempted()).map(|applied| &applied.spec)
    }

    /// Whether it is about to be taken away.
    pub fn lets_go(&self) -> bool {
        matches!(self.intent, Some(Intent::Take { .. }))
    }

    /// The spec that was begun and is not known to be applied.
    pub fn attempted(&self) -> Option<&Applied> {
        match &self.intent {
            Some(Intent::Put { target, .. }) => Some(target),
            Some(Intent::Take { attempted }) => attempted.as_ref(),
            None => None,
        }
    }
}

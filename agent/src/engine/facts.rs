//! What the engine knows beside its resources: of manifests, kinds, steps and the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use manifest_types::{manifest::Generation, name::ResourceId};
use reconcilers::reconciler::Batch;

use crate::{
    clock::BootTime,
    ledger::memory::{Admission, LedgerWrite, SavedManifest},
};

/// What is known of manifests.
#[derive(Debug, Default)]
pub(crate) struct ManifestFacts {
    /// The generation in force.
    pub(crate) generation: Option<Generation>,
    /// Which one is in force: its source, and what that brought.
    pub(crate) in_force: Option<(String, Admission)>,
    /// The last one from each source.
    pub(crate) admissions: BTreeMap<String, Admission>,
    /// The number last processed.
    pub(crate) observed_generation: u64,
    /// The source's revision last processed.
    pub(crate) observed_revision: u64,
    /// Why the source cannot be reached.
    pub(crate) source_away: Option<String>,
    /// Why the last one was refused: reason and message.
    pub(crate) refused: Option<(String, String)>,
    /// The one in force, until it is durable, and when it was admitted.
    pub(crate) unsaved: Option<(SavedManifest, Admission, BootTime)>,
}

/// What is known of a kind.
#[derive(Debug, Default)]
pub(crate) struct KindFacts {
    /// Why it cannot be seen: reason and message, how often in a row, and when it is tried again.
    pub(crate) unseen: Option<Unseen>,
    /// How many steps are under way that have told no progress.
    pub(crate) steps: usize,
    /// The looks under way at resources that are looked at alone.
    pub(crate) lone_looks: BTreeSet<u64>,
    /// Those that only wait for a step or a look to end, so that there is room.
    pub(crate) waiting: BTreeSet<ResourceId>,
    /// When all are looked at again.
    pub(crate) resync_at: Option<BootTime>,
}

/// The resources of one step.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) kind: String,
    pub(crate) batch: Option<Batch>,
    pub(crate) ids: Vec<ResourceId>,
    /// Whether it has told its progress.
    pub(crate) is_long: bool,
}

/// A kind that cannot be seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unseen {
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) times: u32,
    pub(crate) retry_at: BootTime,
}

/// How the ledger fares.
#[derive(Debug, Default)]
pub(crate) struct LedgerFacts {
    /// The write under way, and what it holds.
    pub(crate) in_flight: Option<(u64, Arc<LedgerWrite>)>,
    /// Whether that takes very long.
    pub(crate) slow: bool,
    /// Why the last write failed, how often in a row, and when it is tried again.
    pub(crate) broken: Option<LedgerFault>,
    /// Resources whose row has changed.
    pub(crate) unsaved: BTreeSet<ResourceId>,
    /// Rows to be removed.
    pub(crate) removed: BTreeSet<ResourceId>,
    /// Whether the generations are to be forgotten.
    pub(crate) forgets_generations: bool,
    /// Whether something waits for the write: an intent, or a removal.
    pub(crate) urgent: bool,
    /// Since when there is something that can wait.
    pub(crate) lazy_since: Option<BootTime>,
    /// Whether everything is to be written now.
    pub(crate) flush: bool,
}

/// A ledger that cannot be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LedgerFault {
    pub(crate) message: String,
    pub(crate) full: bool,
    pub(crate) times: u32,
    pub(crate) retry_at: BootTime,
}

//! Facts, as the engine takes them in.

use std::collections::BTreeMap;

use jiff::Timestamp;
use manifest_types::{
    name::ResourceId,
    status::{Capability, Progress},
};
use reconcilers::{
    error::Unseen,
    reconciler::Hint,
    registry::{Observations, StepResults},
};

use super::outbox;
use crate::{
    admit::{Admitted, Rejection},
    clock::BootTime,
};

/// One fact.
#[derive(Debug)]
pub enum Event {
    /// The source brought a manifest, and it was admitted.
    Admitted {
        /// The manifest.
        admitted: Box<Admitted>,
        /// The source's revision.
        revision: u64,
    },
    /// The source brought something, and it was refused.
    Refused {
        /// Why.
        rejection: Box<Rejection>,
        /// The source's revision.
        revision: u64,
    },
    /// The source's key was deleted or purged. Changes nothing on the device.
    KeyAbsent {
        /// The source's revision.
        revision: u64,
    },
    /// The source can be reached, or cannot.
    Source {
        /// Why it cannot.
        away: Option<String>,
    },
    /// An observation ended.
    Observed {
        /// Which.
        ticket: u64,
        /// The kind.
        kind: String,
        /// What was seen.
        result: LookResult,
    },
    /// An observation that had taken too long has returned at last: what it hung in lets go again.
    LookReturned {
        /// Which.
        ticket: u64,
    },
    /// What of the device the kinds need and have found, by name.
    Capabilities(BTreeMap<String, Capability>),
    /// A step ended, or was given up.
    StepEnded {
        /// Which.
        step: u64,
        /// How.
        ended: StepEnd,
    },
    /// A long step told how far it is.
    Progress {
        /// Which.
        step: u64,
        /// The resource.
        id: ResourceId,
        /// How far.
        progress: Progress,
    },
    /// Something may have changed outside.
    Hint {
        /// The kind.
        kind: &'static str,
        /// What may have.
        hint: Hint,
    },
    /// A ledger write is durable.
    Remembered {
        /// Which.
        seq: u64,
    },
    /// A ledger write takes very long: the disk may hang.
    LedgerSlow {
        /// Which.
        seq: u64,
    },
    /// A ledger write failed; nothing of it was written.
    LedgerFailed {
        /// Which.
        seq: u64,
        /// Why.
        message: String,
        /// Whether it was for want of space.
        full: bool,
    },
    /// The gate of a group was closed by somebody, or opened.
    Gate {
        /// The group, or the resource's id where it has none.
        group: String,
        /// Who holds it closed.
        holder: Option<String>,
    },
    /// An operator asks to try a resource, or all, again.
    Retry {
        /// Which; all without one.
        id: Option<ResourceId>,
    },
    /// An operator asks to leave a resource, or all, as it is until then; at once again without one.
    Pause {
        /// Which; all without one.
        id: Option<ResourceId>,
        /// Until when.
        until: Option<BootTime>,
    },
    /// An operator asks to look at everything now.
    Resync,
    /// Whatever the ledger has not got yet is to be written now.
    Flush,
    /// An operator asks to accept any generation next.
    ForgetGeneration,
    /// A fact about the status on its way.
    Outbox(outbox::Fact),
}

/// How an observation ended.
#[derive(Debug)]
pub enum LookResult {
    /// What was seen of each target.
    Seen(Observations),
    /// The whole kind cannot be seen.
    Unseen(Unseen),
    /// It took too long.
    TimedOut,
}

/// How a step ended.
#[derive(Debug)]
pub enum StepEnd {
    /// It came to its end: what became of each change, and what was seen right after.
    Done {
        /// What became of each change.
        results: StepResults,
        /// What was seen.
        seen: LookResult,
    },
    /// It was given up at its deadline, or some time after it was cancelled. What it was stuck in may still end.
    GivenUp {
        /// When.
        at: Timestamp,
    },
}

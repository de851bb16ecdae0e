//! What should begin, as values. `Display` is the log line, the dry run and the golden test.

use std::{fmt, sync::Arc, time::Duration};

use manifest_types::{
    name::ResourceId,
    status::{AgentStatus, DriftRecord},
};
use reconcilers::registry::{AnyChange, AnyTarget, Work};

use super::resource::Standing;
use crate::{clock::BootTime, ledger::memory::LedgerWrite};

/// What follows from the facts.
#[derive(Debug, Default)]
pub struct Plan {
    /// What should begin now, in this order.
    pub commands: Vec<Command>,
    /// When to plan again, even if nothing happens.
    pub wake_at: Option<BootTime>,
    /// Whose standing changed since the last plan: to be logged.
    pub changes: Vec<(ResourceId, Standing)>,
    /// Those of which nothing is wanted or owned any more: to be logged.
    pub gone: Vec<ResourceId>,
    /// Drifts that were found since: to be logged.
    pub drifts: Vec<(ResourceId, DriftRecord)>,
}

/// One thing that should begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Look at resources of one kind.
    Observe {
        /// Names the answer.
        ticket: u64,
        /// The kind.
        kind: String,
        /// The resources.
        targets: Vec<AnyTarget>,
    },
    /// Carry out a step, and look at its resources afterwards.
    Start {
        /// Names the answer.
        step: u64,
        /// The kind.
        kind: String,
        /// What is to be done.
        changes: Vec<AnyChange>,
        /// How long it may take.
        deadline: Duration,
    },
    /// Tell a step to stop. It still answers when it has ended.
    Cancel {
        /// Which.
        step: u64,
    },
    /// Commit to the ledger, durably.
    Remember {
        /// Names the answer.
        seq: u64,
        /// What.
        write: Arc<LedgerWrite>,
    },
    /// Send a status, if the sink still holds the revision `over`.
    Publish {
        /// The status.
        status: Box<AgentStatus>,
        /// The revision that it replaces; 0 where there is none.
        over: u64,
    },
    /// Read which status the sink holds.
    ReadStatus,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observe { kind, targets, .. } => {
                let ids: Vec<_> = targets.iter().map(|target| target.id.as_str()).collect();
                write!(f, "observe {kind} {}", ids.join(" "))
            }
            Self::Start { kind, changes, .. } => {
                write!(f, "start {kind}")?;
                changes.iter().try_for_each(|change| match &change.work {
                    Work::Put { restart: false, .. } => write!(f, " put {}", change.id),
                    Work::Put { restart: true, .. } => write!(f, " restart {}", change.id),
                    Work::Take => write!(f, " take {}", change.id),
                })
            }
            Self::Cancel { step } => write!(f, "cancel step {step}"),
            Self::Remember { write, .. } => {
                f.write_str("remember")?;
                if let Some((manifest, _)) = &write.manifest {
                    write!(f, " generation {}", manifest.generation)?;
                }
                write.rows.iter().try_for_each(|(id, row)| match row {
                    Some(row) if row.intent.is_some() => write!(f, " {id}: intent"),
                    Some(_) => write!(f, " {id}"),
                    None => write!(f, " {id}: gone"),
                })
            }
            Self::Publish { over, .. } => write!(f, "publish over {over}"),
            Self::ReadStatus => f.write_str("read the status"),
        }
    }
}

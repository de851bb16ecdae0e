//! What the engine is told once, at its start.

use std::{collections::BTreeMap, time::Duration};

use manifest_types::{kinds::Spec, name::AgentId};
use reconcilers::reconciler::Batch;

use super::sabotage::Sabotage;

/// Which specs must change together.
pub type BatchOf = Box<dyn Fn(&Spec) -> Option<Batch> + Send>;

/// What the engine is told once, at its start.
pub struct Settings {
    /// This device.
    pub agent_id: AgentId,
    /// This run of the agent.
    pub instance_id: String,
    /// The agent's version.
    pub agent_version: String,
    /// Whatever chance is needed follows from this.
    pub seed: u64,
    /// How often everything is looked at, hints or none.
    pub resync: Duration,
    /// How many steps of one kind may be under way, beside those that tell their progress.
    pub parallel: BTreeMap<String, usize>,
    /// How long a step may take.
    pub deadline: Duration,
    /// How long another agent of this id must be silent before this one claims the status again.
    pub takeover_after: Duration,
    /// The most bytes that the sink takes at once.
    pub status_limit: usize,
    /// Which specs must change together.
    pub batch: BatchOf,
    /// Which rules are switched off, for the tests of the tests.
    pub sabotage: Sabotage,
}

/// How many steps of a kind are under way unless it is said otherwise. Most of a step's time is spent waiting for a disk or an engine, which knows
/// better than we do how much it can do at once.
pub(crate) const PARALLEL: usize = 32;

impl Settings {
    /// Settings with everything at its default.
    pub fn new(agent_id: AgentId, instance_id: String) -> Self {
        Self {
            agent_id,
            instance_id,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: 0,
            resync: Duration::from_secs(60),
            parallel: BTreeMap::new(),
            deadline: Duration::from_secs(30 * 60),
            takeover_after: Duration::from_secs(10 * 60),
            status_limit: 1024 * 1024,
            batch: Box::new(|_| None),
            sabotage: Sabotage::default(),
        }
    }

    pub(crate) fn parallel_of(&self, kind: &str) -> usize {
        self.parallel.get(kind).copied().unwrap_or(PARALLEL)
    }
}

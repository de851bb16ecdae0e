//! What people ask of a running agent, by way of the local API, and what it answers.

use std::{collections::BTreeMap, time::Duration};

use manifest_types::{
    name::ResourceId,
    problem::Problem,
    status::{AgentStatus, DriftField, Phase, ResourceStatus},
};
use reconcilers::{
    error::Failure,
    reconciler::{Lines, Printed},
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// One question, with the way back for its answer.
#[derive(Debug)]
pub enum Ask {
    /// The status as it would be sent now.
    Status(oneshot::Sender<AgentStatus>),
    /// Why a resource is in its phase; nothing if there is no such resource.
    Explain(ResourceId, oneshot::Sender<Option<Explanation>>),
    /// What a manifest would change.
    Preview(Vec<u8>, oneshot::Sender<Result<Preview, Refused>>),
    /// Try a resource, or all, again now. Whether there is such a resource.
    Retry(Option<ResourceId>, oneshot::Sender<bool>),
    /// Leave a resource, or all, as it is for so long; go on at once without a time. Whether there is such a resource.
    Pause(Option<ResourceId>, Option<Duration>, oneshot::Sender<bool>),
    /// Look at everything now.
    Reconcile(oneshot::Sender<()>),
    /// Accept any generation next.
    ForgetGeneration(oneshot::Sender<()>),
    /// What a resource prints.
    Logs(ResourceId, Lines, oneshot::Sender<Logs>),
    /// How the source fares; nothing if it is one that is told by itself.
    Source(oneshot::Sender<Option<serde_json::Value>>),
    /// Let the source ask now, and ignore locks if so told. Whether it is one that asks.
    Poll(bool, oneshot::Sender<bool>),
    /// Numbers for monitoring.
    Metrics(oneshot::Sender<Metrics>),
}

/// What a resource prints, or why that is not told.
pub enum Logs {
    /// There is no such resource.
    Unknown,
    /// Resources of this kind print nothing.
    Silent {
        /// The kind.
        kind: String,
    },
    /// It cannot be read.
    Failed(Failure),
    /// What it prints.
    Printed(Printed),
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("Unknown"),
            Self::Silent { kind } => write!(f, "Silent({kind})"),
            Self::Failed(failure) => write!(f, "Failed({failure:?})"),
            // What is printed may be anything, also a secret.
            Self::Printed(_) => f.write_str("Printed"),
        }
    }
}

/// Why a resource is in its phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The resource.
    pub id: ResourceId,
    /// What is told of it.
    pub status: ResourceStatus,
    /// Those it depends on, and their phases.
    pub depends_on: BTreeMap<ResourceId, Phase>,
    /// What it holds on the device, and what was there before.
    pub holds: BTreeMap<String, String>,
    /// Where it differs from its spec now.
    pub differences: Vec<DriftField>,
    /// How often the present spec was tried in vain.
    pub attempts: u32,
    /// How many changes were made to it.
    pub revision: u64,
    /// For how long an operator wants it left alone, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_seconds: Option<u64>,
    /// In how many seconds it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_seconds: Option<f64>,
}

/// What a manifest would change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Each resource of the manifest, and each that it would take away.
    pub resources: BTreeMap<ResourceId, Forecast>,
    /// What is wrong with single entries.
    pub problems: Vec<ToldProblem>,
}

impl Preview {
    /// Whether there is nothing to do.
    pub fn is_quiet(&self) -> bool {
        self.problems.is_empty() && self.resources.values().all(|forecast| *forecast == Forecast::Unchanged)
    }
}

/// What would become of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "camelCase")]
pub enum Forecast {
    /// It would be made.
    Create,
    /// It would be changed in these fields.
    #[serde(rename_all = "camelCase")]
    Change {
        /// Where it differs.
        fields: Vec<DriftField>,
    },
    /// It would be taken away.
    Delete,
    /// It is as wanted.
    Unchanged,
    /// It cannot be said.
    #[serde(rename_all = "camelCase")]
    Unclear {
        /// Why.
        reason: String,
        /// Why, for people.
        message: String,
    },
}

/// A manifest that would be refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Why.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// All that is wrong, with places.
    pub problems: Vec<ToldProblem>,
}

/// One problem of a document, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldProblem {
    /// Where in the document, as a JSONPath.
    pub path: String,
    /// The line in the text, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in the text, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl From<&Problem> for ToldProblem {
    fn from(problem: &Problem) -> Self {
        Self {
            path: problem.path.to_string(),
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            message: problem.message.clone(),
        }
    }
}

/// Numbers for monitoring, since the agent's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Resources by phase.
    pub resources: BTreeMap<Phase, u64>,
    /// The generation in force.
    pub manifest_generation: u64,
    /// The generation last processed.
    pub observed_generation: u64,
    /// Steps that ended well, by kind.
    pub steps_done: BTreeMap<String, u64>,
    /// Steps that failed, by kind.
    pub steps_failed: BTreeMap<String, u64>,
    /// Looks at resources, by kind.
    pub observations: BTreeMap<String, u64>,
    /// Drifts of all resources, ever.
    pub drifts: u64,
    /// Statuses sent.
    pub statuses_sent: u64,
    /// Commits of the ledger.
    pub ledger_commits: u64,
    /// Whether the source and sink can be reached.
    pub link_up: bool,
    /// For how long the agent runs.
    pub uptime: Duration,
}

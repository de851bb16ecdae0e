//! What a status says for good, apart from mere progress: only that is worth a write at once.

use std::hash::{DefaultHasher, Hash, Hasher};

use manifest_types::status::{AgentStatus, Condition, ConditionStatus};

use super::is_settled;

/// The settled facts that a status tells, each as a number; sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settled(Vec<u64>);

impl Settled {
    /// Those of `status`: its conditions, and the resources that are under way no more.
    pub(crate) fn of(status: &AgentStatus) -> Self {
        let conditions = status.conditions.iter().filter_map(verdict).map(|said| number(&said));
        let settled = status.resources.iter().filter(|(_, resource)| is_settled(resource.phase));
        let resources = settled.map(|(id, resource)| {
            let error = resource.error.as_ref().map(|error| &error.reason);
            let outcome =
                (resource.phase, resource.spec_digest, error, resource.drift_count, resource.drifted);
            number(&(id, outcome))
        });
        let mut facts: Vec<_> = conditions.chain(resources).collect();
        facts.sort_unstable();
        Self(facts)
    }

    /// Whether something is settled here that was not told there. What is merely under way again is not.
    pub(crate) fn says_more_than(&self, told: &Self) -> bool {
        self.0.iter().any(|fact| told.0.binary_search(fact).is_err())
    }
}

/// What a condition says for good. That not all is Ready yet is progress, and so is that one more manifest was accepted.
fn verdict(condition: &Condition) -> Option<(&str, ConditionStatus, &str, u64)> {
    let Condition { condition_type, status, reason, observed_generation, .. } = condition;
    let generation = match (condition_type.as_str(), status) {
        ("Ready", ConditionStatus::False | ConditionStatus::Unknown) => return None,
        ("ManifestAccepted", ConditionStatus::False) => *observed_generation,
        _ => 0,
    };
    Some((condition_type, *status, reason, generation))
}

fn number(fact: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    fact.hash(&mut hasher);
    hasher.finish()
}

//! What was asked and answered: how often, and how many bytes. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was asked and answered, by what it was about.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Told(BTreeMap<String, Count>);

/// Requests of one sort.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How many.
    pub requests: u64,
    /// Bytes of their heads and bodies.
    pub received: u64,
    /// Bytes of the answers' heads and bodies.
    pub sent: u64,
    /// How many were answered with each status; 0 are those that were cut off.
    pub statuses: BTreeMap<u16, u64>,
}

impl Told {
    /// Counts one.
    pub fn count(&mut self, about: &str, status: u16, received: usize, sent: usize) {
        let count = self.0.entry(about.to_owned()).or_default();
        count.requests += 1;
        count.received += received as u64;
        count.sent += sent as u64;
        *count.statuses.entry(status).or_default() += 1;
    }
}

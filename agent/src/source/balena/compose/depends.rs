//! What must be how far before a service starts.

use std::collections::BTreeMap;

use manifest_types::manifest::Until;

use crate::source::balena::{
    compose::texts::{flag, list},
    document::{Fields, Node, Read, all_named},
};

/// A service that another one depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// How far it must be.
    pub until: Until,
    /// Whether its changes restart the other one.
    pub restarts: bool,
    /// Whether the other one cannot do without it.
    pub is_required: bool,
}

impl Dependency {
    /// What the short form means.
    pub const STARTED: Self = Self { until: Until::Started, restarts: false, is_required: true };
}

/// Reads `depends_on`: a list of services, or an object with a condition for each.
pub(super) fn depends_on(node: &Node<'_>) -> Read<BTreeMap<String, Dependency>> {
    if node.value().is_array() {
        return Ok(list(node)?.into_iter().map(|name| (name, Dependency::STARTED)).collect());
    }
    all_named(node.members()?.iter().map(|(name, node)| ((*name).to_owned(), dependency(node))))
}

fn dependency(node: &Node<'_>) -> Read<Dependency> {
    if node.value().is_null() {
        return Ok(Dependency::STARTED);
    }
    let mut fields = Fields::of(node)?;
    let until = fields.take("condition", |node| match node.text()? {
        "service_started" => Ok(Until::Started),
        "service_healthy" => Ok(Until::Ready),
        "service_completed_successfully" => Ok(Until::Completed),
        _ => node.wrong("must be service_started, service_healthy or service_completed_successfully"),
    });
    let restarts = fields.take("restart", flag).unwrap_or(false);
    let is_required = fields.take("required", flag).unwrap_or(true);
    fields.end(Some(Dependency { until: until.unwrap_or(Until::Started), restarts, is_required }))
}

//! The manifest's envelope as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{API_VERSION, DriftPolicy, Edges, Generation, MANIFEST_KIND, Until};
use crate::{
    name::{AgentId, GroupName, ResourceId},
    problem::{JsonPath, Problem, shortened},
};

/// What a device is to be: the value of the key `desired-state.<agent-id>`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "AgentManifest")]
#[expect(dead_code, reason = "some members are only checked")]
pub(crate) struct ManifestText {
    /// The address of a JSON Schema, for editors; not read.
    #[serde(default, rename = "$schema")]
    schema: Option<String>,
    /// The version of this contract.
    #[schemars(extend("const" = API_VERSION))]
    api_version: String,
    /// What this document is.
    #[schemars(extend("const" = MANIFEST_KIND))]
    #[serde(deserialize_with = "manifest_kind")]
    kind: String,
    /// The device it is for. When present, no other device takes it.
    #[serde(default)]
    pub(crate) agent_id: Option<AgentId>,
    /// Its number, strictly increasing. The control plane assigns it; a file for `apply` leaves it out.
    #[serde(default)]
    pub(crate) generation: Option<Generation>,
    /// All that the device is to hold. What was held and is no longer listed is taken away.
    #[schemars(with = "Vec<ResourceText>", length(max = 10_000))]
    resources: Vec<IgnoredAny>,
}

/// One thing on the device.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Resource")]
#[expect(dead_code, reason = "some members are only checked")]
pub(crate) struct ResourceText {
    /// Its name: unique here, and the same in every generation.
    id: ResourceId,
    /// What kind of thing it is.
    kind: String,
    /// Those that must be Ready before this one starts; they are taken away after it.
    #[serde(default)]
    depends_on: Vec<ResourceId>,
    /// Another condition than Ready for some of those.
    #[serde(default)]
    depends_until: BTreeMap<ResourceId, Until>,
    /// Those whose changes restart or reload this one; implies `dependsOn`.
    #[serde(default)]
    restart_on: Vec<ResourceId>,
    /// Members of a group may only be disrupted together.
    #[serde(default)]
    group: Option<GroupName>,
    /// What is done when the device differs from the spec.
    #[serde(default)]
    pub(crate) drift: DriftPolicy,
    /// What is wanted; its members depend on the kind.
    #[schemars(with = "Value")]
    spec: IgnoredAny,
}

impl ResourceText {
    /// The edges; a condition for what is no dependency is a problem.
    pub(crate) fn edges(&self) -> Result<Edges, Vec<Problem>> {
        let listed = self.depends_on.iter().chain(&self.restart_on);
        let mut depends_on: BTreeMap<_, _> = listed.map(|id| (id.clone(), Until::default())).collect();
        let mut problems = Vec::new();
        for (id, until) in &self.depends_until {
            match depends_on.get_mut(id) {
                Some(condition) => *condition = *until,
                None => problems.push(Problem::new(
                    JsonPath::root().key("dependsUntil").key(id.as_str()),
                    "is neither in dependsOn nor in restartOn",
                )),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Edges { depends_on, restart_on: self.restart_on.clone(), group: self.group.clone() })
    }
}

fn manifest_kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let kind = String::deserialize(deserializer)?;
    if kind == MANIFEST_KIND {
        return Ok(kind);
    }
    Err(serde::de::Error::custom(format!("must be {MANIFEST_KIND:?}, not {:?}", shortened(kind, 100))))
}

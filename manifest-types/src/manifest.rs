//! The manifest: what one device is to be.

use std::{collections::BTreeMap, fmt, num::NonZeroU64, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    decode::decode,
    digest::Digest,
    kinds::Spec,
    name::{AgentId, GroupName, ResourceId},
    problem::{JsonPath, Problem, in_words, shortened},
    validate,
};

mod text;
pub(crate) use text::{ManifestText, ResourceText};

/// The one version of the wire contract.
pub const API_VERSION: &str = "holdfast/v1";
/// What a manifest says of its own kind.
pub const MANIFEST_KIND: &str = "AgentManifest";
/// The most bytes of a manifest: 1 MiB.
pub const MANIFEST_LIMIT: usize = 1024 * 1024;
/// The most resources of a manifest.
pub const RESOURCE_LIMIT: usize = 10_000;

/// A manifest's number, 1 to 2⁵³−1: higher is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u64", try_from = "u64")]
pub struct Generation(NonZeroU64);

impl Generation {
    /// The highest: the largest number that every JSON reader keeps exact.
    pub const MAX: u64 = (1 << 53) - 1;
    /// The lowest.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The one after this; `None` past the highest.
    pub fn next(self) -> Option<Self> {
        Self::try_from(self.get() + 1).ok()
    }
}

impl TryFrom<u64> for Generation {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        NonZeroU64::new(number)
            .filter(|number| number.get() <= Self::MAX)
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from 1 to {}, not {number}", Self::MAX))
    }
}

impl From<Generation> for u64 {
    fn from(generation: Generation) -> u64 {
        generation.get()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl JsonSchema for Generation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Generation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": Self::MAX })
    }
}

/// What is done about drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is recorded and repaired.
    #[default]
    Enforce,
    /// It is recorded and left.
    Report,
    /// After the resource was ready once, it is not looked for.
    Ignore,
}

/// How far a resource must be before those that depend on it may start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Until {
    /// It is there and was started, healthy or not yet.
    Started,
    /// It is as wanted, and healthy.
    #[default]
    Ready,
    /// It has run to its end with success.
    Completed,
}

/// A manifest that was read. Its entries may each be good, of an unknown kind, or bad.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentManifest {
    /// The device it is for, if it says so.
    pub agent_id: Option<AgentId>,
    /// Its number; a person's file may leave it out.
    pub generation: Option<Generation>,
    /// The digest of its canonical JSON.
    pub digest: Digest,
    /// What is wanted; ids are unique and every edge leads to one of them.
    pub resources: Vec<Resource>,
}

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Its name.
    pub id: ResourceId,
    /// Its kind, as written; empty if that cannot be read.
    pub kind: String,
    /// How it hangs together with others.
    pub edges: Edges,
    /// What is done about drift.
    pub drift: DriftPolicy,
    /// What is wanted, as far as it can be understood.
    pub body: Body,
}

/// How a resource hangs together with others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edges {
    /// What must be how far before this starts (`dependsOn`, `dependsUntil`, `restartOn`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<ResourceId, Until>,
    /// Those whose changes restart this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_on: Vec<ResourceId>,
    /// The group whose members may only be disrupted together: all of them or none; and one that goes does so once the others have what they need from outside of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
}

/// What an entry wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A good spec, and the digest of its canonical JSON as written.
    Spec(Arc<Spec>, Digest),
    /// A kind that this build does not know.
    UnknownKind,
    /// Wrong in itself: these problems, with paths from the manifest's root.
    Invalid(Vec<Problem>),
}

/// Why a text is no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalReason {
    /// Neither JSON nor, where that is accepted, YAML.
    Unparsable,
    /// More bytes or resources than allowed.
    TooLarge,
    /// Another `apiVersion`.
    UnsupportedApiVersion,
    /// The envelope is wrong, or an entry does not tell its id.
    Invalid,
    /// Two entries have the same id.
    DuplicateId,
    /// A dependency on an id that is not there.
    DanglingDependency,
    /// Dependencies in a circle.
    DependencyCycle,
    /// Two entries claim the same thing.
    ConflictingClaims,
}

/// A text that is no manifest: why, and all that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The first cause, in the order of [`RefusalReason`].
    pub reason: RefusalReason,
    /// All that is wrong with it, never empty; those of bad entries, too.
    pub problems: Vec<Problem>,
}

impl AgentManifest {
    /// Reads a manifest. Bad entries are in the result; what makes the whole unusable is the error.
    pub fn read(value: &Value) -> Result<Self, Refusal> {
        let version = value.get("apiVersion").and_then(Value::as_str);
        if let Some(other) = version.filter(|version| *version != API_VERSION) {
            let path = JsonPath::root().key("apiVersion");
            let message = format!("must be {API_VERSION:?}, not {:?}", shortened(other.to_owned(), 100));
            return Err(Refusal::new(RefusalReason::UnsupportedApiVersion, path, message));
        }
        let listed = value.get("resources").and_then(Value::as_array);
        if let Some(count) = listed.map(Vec::len).filter(|count| *count > RESOURCE_LIMIT) {
            let message = format!("has {count} entries, {RESOURCE_LIMIT} at most");
            return Err(Refusal::new(RefusalReason::TooLarge, JsonPath::root().key("resources"), message));
        }
        let (resources, unusable) = read_entries(listed.map_or(&[], Vec::as_slice));
        let envelope = decode::<ManifestText>(value);
        let mut wrong = envelope.as_ref().err().cloned().unwrap_or_default();
        wrong.extend(unusable);
        if let (true, Ok(envelope)) = (wrong.is_empty(), envelope) {
            validate::graph(&resources)?;
            return Ok(Self {
                agent_id: envelope.agent_id,
                generation: envelope.generation,
                digest: Digest::of_json(value),
                resources,
            });
        }
        wrong.extend(resources.iter().flat_map(|resource| resource.problems().to_vec()));
        Err(Refusal { reason: RefusalReason::Invalid, problems: wrong })
    }

    /// All problems of its entries.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.resources.iter().flat_map(|resource| resource.problems())
    }
}

impl Resource {
    /// What is wrong with it.
    pub fn problems(&self) -> &[Problem] {
        match &self.body {
            Body::Invalid(problems) => problems,
            Body::Spec(..) | Body::UnknownKind => &[],
        }
    }

    /// Its spec, if it has a good one.
    pub fn spec(&self) -> Option<&Arc<Spec>> {
        match &self.body {
            Body::Spec(spec, _) => Some(spec),
            Body::UnknownKind | Body::Invalid(_) => None,
        }
    }
}

impl Refusal {
    /// So many problems are told where it is printed; the others are counted.
    pub const TOLD: usize = 10;

    /// A refusal for one cause.
    pub fn new(reason: RefusalReason, path: JsonPath, message: impl Into<String>) -> Self {
        Self { reason, problems: vec![Problem::new(path, message)] }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(&self.problems, Self::TOLD))
    }
}

/// The entries that can at least be named, and the problems of the others: which resource they mean, and so what may be deleted, is unknown.
fn read_entries(values: &[Value]) -> (Vec<Resource>, Vec<Problem>) {
    let mut resources = Vec::with_capacity(values.len());
    let mut unusable = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let at = JsonPath::root().key("resources").index(index);
        match read_entry(value, &at) {
            Ok(resource) => resources.push(resource),
            Err(problems) => unusable.extend(problems),
        }
    }
    (resources, unusable)
}

fn read_entry(value: &Value, at: &JsonPath) -> Result<Resource, Vec<Problem>> {
    let text = |key| value.get(key).and_then(Value::as_str);
    let kind = text("kind").unwrap_or_default();
    let spec = value.get("spec").and_then(|spec| Spec::read(kind, spec));
    let envelope = decode::<ResourceText>(value).and_then(|text| {
        let edges = text.edges()?;
        Ok((edges, text.drift))
    });

    let mut problems = Vec::new();
    let (edges, drift) = envelope.unwrap_or_else(|wrong| {
        problems.extend(wrong.into_iter().map(|problem| problem.below(at)));
        Default::default()
    });
    let below_spec = at.key("spec");
    let body = match spec {
        Some(Err(wrong)) => {
            problems.extend(wrong.into_iter().map(|problem| problem.below(&below_spec)));
            None
        }
        Some(Ok(spec)) => Some(spec),
        None => None,
    };
    let Some(id) = text("id").and_then(|id| id.parse().ok()) else {
        return Err(problems);
    };
    let body = match body {
        _ if !problems.is_empty() => Body::Invalid(problems),
        Some(spec) => Body::Spec(Arc::new(spec), Digest::of_json(&value["spec"])),
        None => Body::UnknownKind,
    };
    Ok(Resource { id, kind: kind.to_owned(), edges, drift, body })
}

#[cfg(test)]
mod tests;

//! Makes a manifest of a target state. Pure and total: the same input gives the same output, whatever the order of its keys.
//!
//! A release that cannot be understood whole is rejected; what its app has run before stays, word by word ([`Kept`]). An app whose uuid is gone is gone with its
//! volumes; a volume that a release drops stays as long as its app.

use std::{collections::BTreeMap, fmt};

use manifest_types::{
    kinds::engine::Texts,
    manifest::{API_VERSION, AgentManifest, MANIFEST_KIND, MANIFEST_LIMIT},
    name::ResourceId,
    problem::{JsonPath, Problem},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cadence::flag,
    document::{Notes, Read},
    facts::Facts,
    target::{App, Role, target_state},
};
use kept::KeptApp;
use names::Names;
use release::{Part, Release};

mod contract;
mod environment;
mod features;
mod kept;
mod labels;
mod names;
mod release;
mod service;
mod update;

pub use contract::SUPERVISOR_VERSION;
pub use features::shared_paths;
pub use kept::Kept;

/// What was made of a target state.
#[derive(Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Translation {
    /// The device's name.
    pub name: String,
    /// Its configuration variables.
    pub config: Texts,
    /// The manifest's resources.
    pub resources: Vec<Value>,
    /// What has become of each app that is ours to run.
    pub apps: BTreeMap<String, Outcome>,
    /// The apps that are left to others, by their uuids: whose they are.
    pub left_alone: BTreeMap<String, String>,
    /// What was read over, and why.
    pub notes: Vec<Problem>,
    /// What the next translation is to know.
    #[serde(skip)]
    pub kept: Kept,
}

/// What has become of an app.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// The release that it is to run, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// The release that the manifest has: the same, or, if that was rejected, the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why the wanted one was rejected; places are told from the release on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Problem>,
    /// The images of those services of the wanted one that the manifest does not have, as the API calls them.
    #[serde(skip)]
    pub other_images: BTreeMap<String, String>,
    /// What of the wanted one was read over, and why; places are told from the release on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Problem>,
    /// The services that the device does without, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, String>,
    /// The services of the release that the manifest has.
    pub services: BTreeMap<String, Line>,
    /// How the ids of all its resources begin.
    #[serde(skip)]
    pub prefix: String,
}

/// A service of a release that the manifest has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its resource.
    pub resource: ResourceId,
    /// The resource that brings its image, if the container does not pull it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_resource: Option<ResourceId>,
    /// Its image, as the API calls it.
    pub image: String,
    /// The service's id.
    pub service_id: u64,
}

/// Resources have keys in them: what is told of them is which ones there are.
impl fmt::Debug for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.resources.iter().map(|resource| &resource["id"]).collect();
        f.debug_struct("Translation")
            .field("apps", &self.apps)
            .field("resources", &ids)
            .finish_non_exhaustive()
    }
}

impl Translation {
    /// The manifest. It has no generation: whoever admits it gives it one.
    pub fn manifest(&self) -> Value {
        manifest(&self.resources)
    }
}

/// The bytes of resources in a manifest.
fn size<'a>(resources: impl Iterator<Item = &'a Value>) -> usize {
    resources.map(|resource| resource.to_string().len() + 1).sum()
}

fn manifest(resources: &[Value]) -> Value {
    json!({ "apiVersion": API_VERSION, "kind": MANIFEST_KIND, "resources": resources })
}

/// Translates the target state of this device; the error is what makes the document as a whole unusable.
pub fn translate(document: &Value, facts: &Facts, former: &Kept) -> Read<Translation> {
    let notes = Notes::default();
    let target = target_state(document, &facts.uuid, &notes)?;
    let overrides = ["SUPERVISOR_OVERRIDE_LOCK", "OVERRIDE_LOCK"];
    let ignores_locks =
        facts.ignores_locks || overrides.iter().any(|name| flag(&target.config, name) == Some(true));
    let facts = &Facts { ignores_locks, ..facts.clone() };
    let mut translation = Translation {
        name: target.name.clone(),
        config: target.config.clone(),
        resources: Vec::new(),
        apps: BTreeMap::new(),
        left_alone: BTreeMap::new(),
        notes: Vec::new(),
        kept: Kept::default(),
    };
    // What apps that come later have had fits in any case: nobody takes its room.
    let mut taken: usize =
        target.apps.keys().filter_map(|uuid| former.of(uuid)).map(|app| size(app.all())).sum();
    for (uuid, app) in &target.apps {
        let former = former.of(uuid).cloned().unwrap_or_default();
        taken -= size(former.all());
        match app.role {
            Role::Fleet => translation.add(uuid, app, (&target.name, facts), former, taken),
            Role::HostOs => translation.leave(uuid, "the operating system; its own updater updates it"),
            Role::Supervisor => translation.leave(uuid, "the Supervisor; the operating system updates it"),
        }
    }
    drop(target);
    translation.notes = notes.into_sorted();
    Ok(translation)
}

impl Translation {
    fn leave(&mut self, uuid: &str, whose: &str) {
        self.left_alone.insert(uuid.to_owned(), whose.to_owned());
    }

    /// Adds an app, of which `former` was accepted last, and which leaves so many bytes of the manifest to others.
    fn add(&mut self, uuid: &str, app: &App<'_>, about: (&str, &Facts), former: KeptApp, taken: usize) {
        let names = Names::new(app.id, uuid);
        let notes = Notes::default();
        let release = Release::read(app, &names, about, &notes);
        let wanted = release.as_ref().ok().and_then(|release| release.commit.clone());
        let wanted = wanted.or_else(|| only_commit(app));
        let release = release.and_then(|release| {
            let taken = taken + size(release.volumes_of(&former));
            let problems = self.misfits(&release.parts, taken);
            if problems.is_empty() { Ok(release) } else { Err(problems) }
        });
        let (kept, rejected, left_out) = match release {
            Ok(release) => {
                let left_out = release.left_out.clone();
                (release.kept(&former), Vec::new(), left_out)
            }
            Err(problems) => (former, problems, BTreeMap::new()),
        };
        self.resources.extend(kept.all().cloned());
        let mut other_images = wanted.as_ref().map(|commit| images_of(app, commit)).unwrap_or_default();
        other_images.retain(|name, _| !rejected.is_empty() || !kept.services.contains_key(name));
        let outcome = Outcome {
            name: app.name.clone(),
            wanted,
            held: kept.commit.clone(),
            rejected,
            other_images,
            left_out,
            notes: notes.into_sorted(),
            services: kept.services.clone(),
            prefix: names.prefix(),
        };
        self.apps.insert(uuid.to_owned(), outcome);
        self.kept.keep(uuid, kept);
    }

    /// What is wrong with a release's resources, beside those that are in the manifest already, and those that have so many bytes of it.
    fn misfits(&self, parts: &[Part], taken: usize) -> Vec<Problem> {
        let before = self.resources.len();
        let all: Vec<_> =
            self.resources.iter().chain(parts.iter().map(|part| &part.resource)).cloned().collect();
        let place = |problem: &Problem| match problem.path.0.as_slice() {
            [_, manifest_types::problem::Segment::Index(index), rest @ ..] if *index >= before => {
                let part = &parts[index - before];
                let below = JsonPath(rest.to_vec());
                Problem::new(
                    part.origin.clone(),
                    format!("as a {} ({below}): {}", part.kind, problem.message),
                )
            }
            _ => Problem::new(JsonPath::root(), problem.message.clone()),
        };
        let manifest = manifest(&all);
        let bytes = manifest.to_string().len() + taken;
        if bytes > MANIFEST_LIMIT {
            let message = format!("with it the manifest has {bytes} bytes; it may have {MANIFEST_LIMIT}");
            return vec![Problem::new(JsonPath::root(), message)];
        }
        match AgentManifest::read(&manifest) {
            Ok(read) => read.problems().map(place).collect(),
            Err(refusal) => refusal.problems.iter().map(place).collect(),
        }
    }
}

/// The images of a release's services, as far as they are told.
fn images_of(app: &App<'_>, commit: &str) -> BTreeMap<String, String> {
    let services = app.releases.as_ref().and_then(|node| node.value()[commit]["services"].as_object());
    let image =
        |(name, service): (&String, &Value)| Some((name.clone(), service["image"].as_str()?.to_owned()));
    services.into_iter().flatten().filter_map(image).collect()
}

/// The release that an app is to run, if it says so in so many words.
fn only_commit(app: &App<'_>) -> Option<String> {
    let releases = app.releases.as_ref()?.members().ok()?;
    let mut commits = releases.keys();
    let first = commits.next()?;
    commits.next().is_none().then(|| (*first).to_owned())
}

#[cfg(test)]
mod tests;

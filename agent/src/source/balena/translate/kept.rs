//! What was accepted last, by app: what a rejected release leaves as it is, and the volumes of releases before.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Line;

/// What was accepted last, by the apps' uuids.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(BTreeMap<String, KeptApp>);

/// What was accepted last of one app.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KeptApp {
    /// The release.
    pub(super) commit: Option<String>,
    /// Its services.
    pub(super) services: BTreeMap<String, Line>,
    /// Its resources, but for volumes.
    pub(super) resources: Vec<Value>,
    /// The volumes that its releases have had so far.
    pub(super) volumes: BTreeMap<String, Value>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl KeptApp {
    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        self.resources.iter().chain(self.volumes.values())
    }

    /// One more of its resources, from a manifest.
    fn add(&mut self, resource: &Value) {
        match volume_of(resource) {
            Some(name) => drop(self.volumes.insert(name, resource.clone())),
            None => {
                self.services.extend(line_of(resource));
                self.resources.push(resource.clone());
            }
        }
    }
}

impl Kept {
    /// What a manifest says that was made of a target state: all but which release it was of.
    pub fn of_manifest(resources: &[Value]) -> Self {
        let uuids: BTreeMap<_, _> =
            resources.iter().filter_map(|own| Some((app_id(own)?, app_uuid(own)?))).collect();
        let mut kept = Self::default();
        for resource in resources {
            if let Some(uuid) = app_id(resource).and_then(|id| uuids.get(id)) {
                kept.0.entry((*uuid).to_owned()).or_default().add(resource);
            }
        }
        for app in kept.0.values_mut() {
            app.find_images();
        }
        kept
    }

    pub(super) fn of(&self, uuid: &str) -> Option<&KeptApp> {
        self.0.get(uuid)
    }

    pub(super) fn keep(&mut self, uuid: &str, app: KeptApp) {
        self.0.insert(uuid.to_owned(), app);
    }
}

impl KeptApp {
    /// Which images are brought by resources of their own.
    fn find_images(&mut self) {
        let ids: Vec<_> = self.resources.iter().filter_map(|own| own["id"].as_str()).collect();
        for line in self.services.values_mut() {
            let image =
                line.resource.as_str().split_once('.').map(|(app, name)| format!("{app}.image.{name}"));
            line.image_resource =
                image.filter(|id| ids.contains(&id.as_str())).and_then(|id| id.parse().ok());
        }
    }
}

/// The app's number, with which the ids of all its resources begin.
fn app_id(resource: &Value) -> Option<&str> {
    Some(resource["id"].as_str()?.split_once('.')?.0)
}

fn label<'a>(resource: &'a Value, name: &str) -> Option<&'a str> {
    resource["spec"]["labels"][format!("io.balena.{name}")].as_str()
}

fn app_uuid(resource: &Value) -> Option<&str> {
    label(resource, "app-uuid")
}

/// The name of a volume in its release: the engine's has the app's number before it.
fn volume_of(resource: &Value) -> Option<String> {
    let name = resource["spec"]["name"].as_str().filter(|_| resource["kind"] == "Volume")?;
    Some(name.split_once('_')?.1.to_owned())
}

fn line_of(resource: &Value) -> Option<(String, Line)> {
    if resource["kind"] != "Container" {
        return None;
    }
    let line = Line {
        resource: resource["id"].as_str()?.parse().ok()?,
        image_resource: None,
        image: resource["spec"]["image"].as_str()?.to_owned(),
        service_id: label(resource, "service-id")?.parse().ok()?,
    };
    Some((label(resource, "service-name")?.to_owned(), line))
}

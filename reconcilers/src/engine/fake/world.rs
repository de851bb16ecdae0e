//! What a fake engine holds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use manifest_types::kinds::engine::Texts;

use super::refused;
use crate::engine::{
    Answer,
    error::Cause,
    shape::Shape,
    terms::{Container, EngineEvent, Network, Volume},
};

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) is_away: bool,
    pub(super) made: u64,
    /// Two names: when the first one is stopped, the second one falls with it.
    pub(super) falls_with: Option<(String, String)>,
    /// It has room for so many images.
    pub(super) room: Option<usize>,
    /// A setting that it takes and does not keep.
    pub(super) forgets: Option<String>,
    /// It starts containers again by their policy without saying so before, as Podman does.
    pub(super) restarts_unannounced: bool,
    /// Containers that count as in a network, by their ids and its name, and that are not connected with it.
    pub(super) half_joined: BTreeSet<(String, String)>,
    /// Names that are kept for containers which it does not know any more.
    pub(super) left: BTreeMap<String, String>,
    pub(super) clock: i64,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) volumes: BTreeMap<String, Volume>,
    pub(super) networks: BTreeMap<String, Network>,
    /// The images there are, by id.
    pub(super) images: BTreeMap<String, FakeImage>,
    /// What each reference stands for.
    pub(super) names: BTreeMap<String, String>,
    /// The images that a pull gives, by reference.
    pub(super) registry: BTreeMap<String, FakeImage>,
    pub(super) past: Vec<EngineEvent>,
}

/// An image of the fake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeImage {
    /// Its id.
    pub id: String,
    /// What a container of it does when it is started.
    pub behaviour: Behaviour,
}

/// What a container of an image does when it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It runs until it is stopped, and is well.
    Runs,
    /// It runs until it is stopped, and its healthcheck fails.
    IsUnwell,
    /// It ends at once with this code.
    Ends(i64),
    /// It cannot be started.
    CannotStart,
    /// The engine will not start it, because something has its port.
    FindsPortTaken,
}

/// What a container may share with another one.
const SHARES: [&str; 3] = ["ipc", "networkMode", "pid"];
const SHARED: &str = "container:";
/// What stands before the rights of a volume without a name.
const OWN_VOLUME: &str = "volume  ";

impl World {
    /// From now on a reference stands for this image.
    pub(super) fn bring(&mut self, reference: &str, image: FakeImage) {
        self.names.insert(reference.to_owned(), image.id.clone());
        self.images.insert(image.id.clone(), image);
    }

    /// The image of this reference or id.
    pub(super) fn image(&self, name: &str) -> Option<&FakeImage> {
        self.images.get(self.names.get(name).map_or(name, String::as_str))
    }

    /// Takes a name away, and the image with its last one.
    pub(super) fn remove_image(&mut self, name: &str) -> Answer<()> {
        let doing = format!("remove image {name}");
        let Some(id) = self.image(name).map(|image| image.id.clone()) else { return Ok(()) };
        let of_it = self.names.values().filter(|of| **of == id).count();
        let by_id = !self.names.contains_key(name);
        let is_last = by_id || of_it == 1;
        let is_used = self.containers.values().any(|container| container.image_id == id);
        if (is_last && is_used) || (by_id && of_it > 1) {
            return Err(refused(doing, Cause::InConflict));
        }
        self.names.retain(|other, of| if by_id { *of != id } else { other != name });
        if is_last {
            self.images.remove(&id);
        }
        Ok(())
    }

    /// Keeps with whom a container shares a namespace by that one's id, as engines do.
    pub(super) fn share_by_ids(&self, shape: &mut Shape) -> Result<(), ()> {
        for path in SHARES {
            let told = shape.get(path).and_then(|told| told.as_str());
            let Some(name) = told.and_then(|told| told.strip_prefix(SHARED)) else { continue };
            let id = self.id_of(name).ok_or(())?;
            shape.set(path, format!("{SHARED}{id}"));
        }
        Ok(())
    }

    /// The same by the name that this one has now, if it is there.
    pub(super) fn with_names_of_shared(&self, mut container: Container) -> Container {
        for path in SHARES {
            let told = container.shape.get(path).and_then(|told| told.as_str());
            let id = told.and_then(|told| told.strip_prefix(SHARED));
            let name =
                id.and_then(|id| self.containers.get(id)).map(|other| format!("{SHARED}{}", other.name));
            container.shape.set_some(path, name);
        }
        container
    }

    /// Makes the volumes that are a container's own, with names of 64 digits.
    pub(super) fn make_own_volumes(&mut self, container: &mut Container) {
        let wanted = container.shape.names_below("mounts").map(|target| format!("mounts.{target}"));
        let wanted: Vec<_> = wanted.collect();
        for (index, path) in wanted.into_iter().enumerate() {
            let told = container.shape.get(&path).and_then(|told| told.as_str());
            let Some(rights) = told.and_then(|told| told.strip_prefix(OWN_VOLUME)).map(str::to_owned) else {
                continue;
            };
            let name = format!("{:032x}{index:032x}", self.made);
            container.shape.set(path, format!("volume {name} {rights}"));
            let volume = Volume {
                name: name.clone(),
                driver: "local".to_owned(),
                options: Texts::new(),
                labels: Texts::new(),
                mountpoint: None,
            };
            self.volumes.insert(name, volume);
        }
    }

    /// Removes a container, and the volumes that are its own.
    pub(super) fn remove_container(&mut self, id: &str) -> Option<Container> {
        let container = self.containers.remove(id)?;
        let mounts = container.shape.names_below("mounts").map(|target| format!("mounts.{target}"));
        for path in mounts {
            let told = container.shape.get(&path).and_then(|told| told.as_str()).unwrap_or_default();
            let name = told.split(' ').nth(1).filter(|name| name.len() == 64);
            name.map(|name| self.volumes.remove(name));
        }
        Some(container)
    }

    pub(super) fn now(&mut self) -> i64 {
        let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        self.clock = now.max(self.clock + 1);
        self.clock
    }

    pub(super) fn timestamp(&mut self) -> Option<Timestamp> {
        let now = self.now();
        Timestamp::from_nanosecond(now.into()).ok()
    }

    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        if self.containers.contains_key(name) {
            return Some(name.to_owned());
        }
        let found = self.containers.values().find(|container| container.name == name);
        found.map(|container| container.id.clone())
    }

    pub(super) fn container(&mut self, name: &str, doing: &str) -> Answer<&mut Container> {
        let id = self.id_of(name).ok_or_else(|| refused(doing, Cause::NotFound))?;
        Ok(self.containers.get_mut(&id).expect("its id was found"))
    }
}

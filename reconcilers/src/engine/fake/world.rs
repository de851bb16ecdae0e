//! What a fake engine holds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::refused;
use crate::engine::{
    Answer,
    error::Cause,
    terms::{Container, EngineEvent, Network, Volume},
};

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) is_away: bool,
    pub(super) made: u64,
    /// Two names: when the first one is stopped, the second one falls with it.
    pub(super) falls_with: Option<(String, String)>,
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

//! Looking: what the list tells of all, and for each container what was read of it last, if nothing has happened to it since.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use manifest_types::{kinds::container::ContainerSpec, name::ResourceId};
use tokio::time::Instant;

use super::{ContainerReconciler, fare, sight::Sight, turn};
use crate::{
    engine::{
        ContainerEngine,
        error::EngineError,
        last_output,
        link::{Moment, Names},
        marks,
        terms::{Container, Image, Listed, Subject},
    },
    tail::TOLD,
};

/// What the list does not tell is read again after so long, whether or not something happened.
const READ_AGAIN: Duration = Duration::from_secs(600);

/// What was read of containers and images, and when.
#[derive(Debug, Default)]
pub(super) struct Looks {
    read: Mutex<BTreeMap<String, Read>>,
    images: Mutex<BTreeMap<String, Resolved>>,
    /// Whose each container is, by its id.
    ids: Arc<Names>,
}

/// What a reference stood for.
#[derive(Debug, Clone)]
struct Resolved {
    image: Option<Image>,
    moment: Moment,
    at: Instant,
}

/// What was read of one container.
#[derive(Debug, Clone)]
pub(super) struct Read {
    container: Container,
    output: String,
    moment: Moment,
    at: Instant,
}

/// The list that one observation works with, and a moment before it.
pub(super) struct Known {
    pub(super) all: Vec<Listed>,
    pub(super) before: Moment,
}

impl Looks {
    fn read(&self) -> MutexGuard<'_, BTreeMap<String, Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn images(&self) -> MutexGuard<'_, BTreeMap<String, Resolved>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ids(&self) -> Arc<Names> {
        Arc::clone(&self.ids)
    }

    /// From now on what happens to these is a hint on `id`. Those that were known last are known until there are others.
    pub(super) fn knows(&self, id: &ResourceId, containers: Vec<String>) {
        if !containers.is_empty() {
            self.ids.set(id, containers);
        }
    }

    /// Keeps what was read of a container after that moment.
    pub(super) fn keep(&self, container: Container, output: String, moment: Moment) -> Read {
        let read = Read { container, output, moment, at: Instant::now() };
        self.read().insert(read.container.id.clone(), read.clone());
        read
    }

    /// The digest by which registries know an image, if the reference stands for it.
    fn digest(&self, reference: &str, image_id: &str) -> Option<String> {
        let images = self.images();
        let image = images.get(reference)?.image.as_ref().filter(|image| image.id == image_id)?;
        image.digests.first().cloned()
    }

    /// Forgets what was read of containers that are gone.
    pub(super) fn forget_all_but(&self, all: &[Listed]) {
        let there: BTreeSet<_> = all.iter().map(|listed| listed.id.as_str()).collect();
        self.read().retain(|id, _| there.contains(id.as_str()));
    }
}

impl<E: ContainerEngine> ContainerReconciler<E> {
    /// What is seen of one resource.
    pub(super) async fn see(
        &self,
        id: &ResourceId,
        spec: &ContainerSpec,
        known: &Known,
    ) -> Result<Sight, EngineError> {
        let name = super::name_of(spec, id);
        let listed = known.all.iter().find(|listed| listed.name == name);
        let take_over = spec.take_over.as_ref();
        let beside = self.ours(&known.all, id, std::slice::from_ref(&name), take_over);
        let beside = beside.into_iter().filter(|other| other.name != name).map(|other| other.name.clone());
        let sight = Sight {
            beside: beside.collect(),
            image_id: self.image_id(&spec.image.canonical()).await?,
            locked_by: self.locks.holder(id, &spec.update.locks).await,
            ..Sight::absent(&name)
        };
        let Some(listed) = listed else { return Ok(sight) };
        let Some(read) = self.read(listed, spec, known.before).await? else { return Ok(sight) };
        Ok(self.seen(id, spec, sight, read))
    }

    /// The sight of a container that is there. When its meaning changes by time alone, it is looked at again.
    pub(super) fn seen(&self, id: &ResourceId, spec: &ContainerSpec, mut sight: Sight, read: Read) -> Sight {
        let Read { container, output, .. } = read;
        sight.is_ours = marks::belongs(&self.link.agent, spec.take_over.as_ref(), &container.labels);
        let now = Timestamp::now();
        if sight.is_ours {
            sight.said = self.probes.said(&self.link, &container, spec);
            self.looks.ids.set(id, [container.id.clone()]);
        }
        sight.health = fare::health(spec, &container.state, sight.said, &output, now);
        let changes_at =
            fare::settles_at(&container.state, now).or_else(|| turn::ends_at(&container.state, now));
        if let Some(at) = changes_at.filter(|_| sight.is_ours) {
            let subject = Subject::Container { id: container.id.clone(), name: container.name.clone() };
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            self.link.remind(subject, wait + Duration::from_millis(100));
        }
        sight.image_digest = self.looks.digest(&spec.image.canonical(), &container.image_id);
        sight.found = Some(container);
        sight
    }

    /// One container whole: as it was read before, if nothing has happened to it since.
    async fn read(
        &self,
        listed: &Listed,
        spec: &ContainerSpec,
        before: Moment,
    ) -> Result<Option<Read>, EngineError> {
        let known = self.looks.read().get(&listed.id).cloned();
        if let Some(known) = known.filter(|known| self.is_current(known, listed)) {
            return Ok(Some(known));
        }
        let Some(container) = self.halts.container(&self.link, &listed.id).await? else { return Ok(None) };
        let is_ours = marks::is_ours(&self.link.agent, &container.labels);
        let asks = is_ours && fare::wants_output(spec, &container.state, Timestamp::now());
        // What it has printed is for people: where it cannot be had, such as with the logging driver `none`, the rest is told without.
        let output = match asks {
            true => last_output(&self.link.engine, &listed.id, TOLD).await.unwrap_or_default(),
            false => String::new(),
        };
        Ok(Some(self.looks.keep(container, output, before)))
    }

    fn is_current(&self, known: &Read, listed: &Listed) -> bool {
        let state = &known.container.state;
        let tells_the_same = state.activity == listed.activity
            && known.container.name == listed.name
            && (listed.healthcheck.is_none() || state.healthcheck == listed.healthcheck);
        tells_the_same
            && known.at.elapsed() < READ_AGAIN
            && !self.link.may_have_changed(&listed.id, known.moment)
    }

    /// What a reference stands for in the engine: as it was read before, if nothing has happened to images since.
    pub(super) async fn image_id(&self, reference: &str) -> Result<Option<String>, EngineError> {
        let known = self.looks.images().get(reference).cloned();
        let is_current = |known: &Resolved| {
            known.at.elapsed() < READ_AGAIN && !self.link.images_may_have_changed(known.moment)
        };
        match known.filter(is_current) {
            Some(known) => Ok(known.image.map(|image| image.id)),
            None => self.image_id_now(reference).await,
        }
    }

    /// What a reference stands for in the engine now.
    pub(super) async fn image_id_now(&self, reference: &str) -> Result<Option<String>, EngineError> {
        let moment = self.link.moment();
        let image = self.link.engine.image(reference).await?;
        let id = image.as_ref().map(|image| image.id.clone());
        let mut images = self.looks.images();
        // What nobody asked for of late is not kept.
        images.retain(|_, known| known.at.elapsed() < 2 * READ_AGAIN);
        images.insert(reference.to_owned(), Resolved { image, moment, at: Instant::now() });
        Ok(id)
    }
}

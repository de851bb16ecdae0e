//! An engine in memory, for what a real one does too rarely. It keeps the same contract.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::ready,
    stream::{self, BoxStream},
};
use manifest_types::{
    kinds::{
        container::Attachment,
        container_network::ContainerNetworkSpec,
        engine::{ImageRef, Texts},
        volume::VolumeSpec,
    },
    status::Progress,
};
use tokio::sync::broadcast;

use super::{
    Answer, ContainerEngine, NewContainer, Output,
    error::{Cause, EngineError},
    shape::USUAL_NETWORK,
    terms::{
        Activity, Adjustment, Container, End, EngineEvent, EngineInfo, Image, Line, Listed, Login,
        NamedImage, Network, Printed, Subject, Volume,
    },
};

mod abuse;
mod making;
mod world;

use world::World;
pub use world::{Behaviour, FakeImage};

/// An engine in memory. Clones are the same engine.
#[derive(Debug, Clone)]
pub struct FakeEngine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    /// `None` tells all listeners that the engine has gone.
    events: broadcast::Sender<Option<EngineEvent>>,
}

impl Default for FakeEngine {
    fn default() -> Self {
        let (events, _) = broadcast::channel(1024);
        let mut world = World::default();
        let usual = Network {
            id: "usual".into(),
            name: USUAL_NETWORK.into(),
            driver: "bridge".into(),
            options: Texts::new(),
            internal: false,
            ipv6: false,
            ipam_driver: "default".into(),
            ipam_options: Texts::new(),
            pools: Vec::new(),
            labels: Texts::new(),
        };
        world.networks.insert(USUAL_NETWORK.into(), usual);
        Self(Arc::new(Shared { world: Mutex::new(world), events }))
    }
}

fn refused(doing: impl Into<String>, cause: Cause) -> EngineError {
    EngineError::Refused { doing: doing.into(), cause, message: format!("the fake says {cause:?}") }
}

impl FakeEngine {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn world(&self) -> Answer<MutexGuard<'_, World>> {
        let world = self.lock();
        if world.is_away {
            return Err(EngineError::Away { endpoint: "the fake".into(), why: "it is switched off".into() });
        }
        Ok(world)
    }

    fn tell(&self, world: &mut World, subject: Subject) {
        let end = match &subject {
            Subject::Container { id, .. } => world.containers.get(id).and_then(|container| {
                (container.state.activity == Activity::Exited).then_some(End::Code(container.state.exit_code))
            }),
            _ => None,
        };
        let event = EngineEvent { at: world.now(), subject, end };
        world.past.push(event.clone());
        // Nobody may be listening.
        let _ = self.0.events.send(Some(event));
    }

    fn tell_of(&self, world: &mut World, id: &str) {
        let name = world.containers.get(id).map(|container| container.name.clone()).unwrap_or_default();
        self.tell(world, Subject::Container { id: id.to_owned(), name });
    }
}

impl ContainerEngine for FakeEngine {
    async fn identify(&self) -> Answer<EngineInfo> {
        let world = self.world()?;
        Ok(EngineInfo {
            name: "fake".into(),
            version: "1".into(),
            api_version: "1.41".into(),
            data_dir: None,
            announces_restarts: !world.restarts_unannounced,
            leaves_names: true,
        })
    }

    async fn containers(&self) -> Answer<Vec<Listed>> {
        let world = self.world()?;
        let listed = world.containers.values().map(|container| Listed {
            id: container.id.clone(),
            name: container.name.clone(),
            image_id: container.image_id.clone(),
            activity: container.state.activity,
            healthcheck: container.state.healthcheck,
            labels: container.labels.clone(),
            networks: container.shape.names_below("networks").map(str::to_owned).collect(),
        });
        Ok(listed.collect())
    }

    async fn container(&self, name: &str) -> Answer<Option<Container>> {
        let world = self.world()?;
        let found = world.id_of(name).and_then(|id| world.containers.get(&id).cloned());
        Ok(found.map(|container| world.with_names_of_shared(container)))
    }

    async fn create(&self, new: &NewContainer<'_>) -> Answer<String> {
        self.create_one(new).await
    }

    async fn start(&self, id: &str) -> Answer<()> {
        self.start_one(id).await
    }

    async fn stop(&self, id: &str, _: Duration) -> Answer<()> {
        tokio::task::yield_now().await;
        let activity = self.world()?.container(id, "stop it")?.state.activity;
        if activity == Activity::Paused {
            // As Podman does.
            return Err(refused(format!("stop {id}"), Cause::Other));
        }
        let falls = {
            let mut world = self.world()?;
            let name = world.container(id, "stop it")?.name.clone();
            world.falls_with.clone().filter(|(stopped, _)| *stopped == name)
        };
        self.end(id, 143)?;
        falls.map_or(Ok(()), |(_, falls)| self.end(&falls, 1))
    }

    async fn unpause(&self, id: &str) -> Answer<()> {
        self.change(id, |container| {
            if container.state.activity == Activity::Paused {
                container.state.activity = Activity::Running;
            }
        })
    }

    async fn rename(&self, id: &str, name: &str) -> Answer<()> {
        tokio::task::yield_now().await;
        if self.world()?.id_of(name).is_some() {
            return Err(refused(format!("rename {id}"), Cause::InConflict));
        }
        self.change(id, |container| container.name = name.to_owned())
    }

    async fn adjust(&self, id: &str, to: &Adjustment) -> Answer<()> {
        self.change(id, |container| {
            container.shape.limits(&to.limits);
            container.shape.restarts(to.restart_policy, to.max_restarts);
        })
    }

    async fn remove(&self, id: &str) -> Answer<()> {
        tokio::task::yield_now().await;
        let mut world = self.world()?;
        world.left.retain(|_, left| left != id);
        let Some(id) = world.id_of(id) else { return Ok(()) };
        let name = world.remove_container(&id).map(|container| container.name).unwrap_or_default();
        self.tell(&mut world, Subject::Container { id, name });
        Ok(())
    }

    async fn connect(&self, id: &str, to: &Attachment) -> Answer<()> {
        let doing = format!("connect {id} to {}", to.name);
        if !self.world()?.networks.contains_key(to.name.as_str()) {
            return Err(refused(doing, Cause::NetworkNotFound));
        }
        let path = format!("networks.{}", to.name);
        let Some(container) = self.container(id).await? else { return Err(refused(doing, Cause::NotFound)) };
        let half = (container.id.clone(), to.name.to_string());
        if container.shape.get(&path).is_some() || self.world()?.half_joined.contains(&half) {
            return Err(refused(doing, Cause::InConflict));
        }
        if container.state.activity == Activity::Paused {
            // As Podman does.
            self.world()?.half_joined.insert(half);
            return Ok(());
        }
        self.change(id, |container| container.shape.network(to))
    }

    async fn disconnect(&self, id: &str, network: &str) -> Answer<()> {
        let below = format!("networks.{network}");
        self.world()?.half_joined.retain(|(container, half)| container != id || half != network);
        self.change(id, |container| container.shape.unset_below(&below))
    }

    async fn output(&self, id: &str, wanted: &Printed) -> Answer<Output> {
        self.world()?.container(id, "tell what it printed")?;
        let printed =
            stream::once(ready(Ok(Line { at: None, bytes: Bytes::from_static(b"the fake was here\n") })));
        let fake = self.clone();
        let ends = fake.ends(id.to_owned());
        if wanted.follow {
            Ok(printed.chain(ends.into_stream().filter_map(|()| ready(None))).boxed())
        } else {
            Ok(printed.boxed())
        }
    }

    async fn run_in(&self, id: &str, command: &[String]) -> Answer<i64> {
        self.world()?.container(id, "run something")?;
        Ok(i64::from(command.first().is_some_and(|program| program == "false")))
    }

    async fn image(&self, reference: &str) -> Answer<Option<Image>> {
        let world = self.world()?;
        Ok(world.image(reference).map(|image| Image {
            id: image.id.clone(),
            digests: vec![image.id.clone()],
            labels: Texts::new(),
            size: 1,
        }))
    }

    async fn pull(
        &self,
        image: &ImageRef,
        _: Option<&Login>,
        progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Answer<()> {
        tokio::task::yield_now().await;
        {
            let mut world = self.world()?;
            let found = world.registry.get(&image.canonical()).cloned();
            let found = found.ok_or_else(|| refused(format!("pull {image}"), Cause::ImageNotFound))?;
            if world.room.is_some_and(|room| world.images.len() >= room) {
                return Err(refused(format!("pull {image}"), Cause::InsufficientStorage));
            }
            progress(Progress {
                message: "pulling the image".into(),
                done: 1,
                total: Some(1),
                unit: "bytes".into(),
            });
            world.bring(&image.canonical(), found);
            self.tell(&mut world, Subject::Image);
        }
        // It is there, and whoever asked for it does not know yet.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn images(&self) -> Answer<Vec<NamedImage>> {
        let world = self.world()?;
        let names = |id: &String| {
            world.names.iter().filter(|(_, of)| *of == id).map(|(name, _)| name.clone()).collect()
        };
        Ok(world.images.keys().map(|id| NamedImage { id: id.clone(), names: names(id) }).collect())
    }

    async fn remove_image(&self, name: &str) -> Answer<()> {
        let mut world = self.world()?;
        world.remove_image(name)?;
        self.tell(&mut world, Subject::Image);
        Ok(())
    }

    async fn volumes(&self) -> Answer<Vec<Volume>> {
        Ok(self.world()?.volumes.values().cloned().collect())
    }

    async fn create_volume(&self, name: &str, spec: &VolumeSpec, marks: &Texts) -> Answer<()> {
        let mut world = self.world()?;
        if spec.wanted_driver() != "local" {
            return Err(refused(format!("make volume {name}"), Cause::NotFound));
        }
        let mut labels = spec.labels.clone();
        labels.extend(marks.clone());
        let volume = Volume {
            name: name.to_owned(),
            driver: spec.wanted_driver().to_owned(),
            options: spec.options.clone(),
            labels,
            mountpoint: None,
        };
        world.volumes.entry(name.to_owned()).or_insert(volume);
        self.tell(&mut world, Subject::Volume(name.to_owned()));
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Answer<()> {
        let mut world = self.world()?;
        let mounts = format!("volume {name} ");
        let uses = |container: &Container| {
            let texts = container.shape.names_below("mounts").map(|target| format!("mounts.{target}"));
            texts
                .filter_map(|path| container.shape.get(&path)?.as_str())
                .any(|text| text.starts_with(&mounts))
        };
        if world.containers.values().any(uses) {
            return Err(refused(format!("remove volume {name}"), Cause::InConflict));
        }
        world.volumes.remove(name);
        self.tell(&mut world, Subject::Volume(name.to_owned()));
        Ok(())
    }

    async fn networks(&self) -> Answer<Vec<Network>> {
        Ok(self.world()?.networks.values().cloned().collect())
    }

    async fn create_network(&self, name: &str, spec: &ContainerNetworkSpec, marks: &Texts) -> Answer<()> {
        let mut world = self.world()?;
        if world.networks.contains_key(name) {
            return Err(refused(format!("make network {name}"), Cause::InConflict));
        }
        if spec.wanted_driver() != "bridge" {
            return Err(refused(format!("make network {name}"), Cause::NotFound));
        }
        world.made += 1;
        let mut labels = spec.labels.clone();
        labels.extend(marks.clone());
        let ipam = spec.ipam.clone();
        let network = Network {
            id: format!("n{}", world.made),
            name: name.to_owned(),
            driver: spec.wanted_driver().to_owned(),
            options: spec.options.clone(),
            internal: spec.internal && world.forgets.as_deref() != Some("internal"),
            ipv6: spec.ipv6,
            ipam_driver: ipam.as_ref().and_then(|ipam| ipam.driver.clone()).unwrap_or("default".into()),
            ipam_options: ipam.as_ref().map(|ipam| ipam.options.clone()).unwrap_or_default(),
            pools: ipam.map(|ipam| ipam.pools).unwrap_or_default(),
            labels,
        };
        world.networks.insert(name.to_owned(), network);
        self.tell(&mut world, Subject::Network { name: name.to_owned(), container: None });
        Ok(())
    }

    async fn remove_network(&self, name: &str) -> Answer<()> {
        let mut world = self.world()?;
        let path = format!("networks.{name}");
        if world
            .containers
            .values()
            .any(|container| container.state.activity.is_up() && container.shape.get(&path).is_some())
        {
            return Err(refused(format!("remove network {name}"), Cause::InConflict));
        }
        world.networks.remove(name);
        self.tell(&mut world, Subject::Network { name: name.to_owned(), container: None });
        Ok(())
    }

    fn events(&self, since: i64) -> BoxStream<'static, Answer<EngineEvent>> {
        let world = self.lock();
        let missed: Vec<_> = world.past.iter().filter(|event| event.at >= since).cloned().collect();
        let coming = futures_util::stream::unfold(self.0.events.subscribe(), |mut coming| async move {
            let event = coming.recv().await.ok()??;
            Some((Ok(event), coming))
        });
        futures_util::stream::iter(missed.into_iter().map(Ok)).chain(coming).boxed()
    }
}

#[cfg(test)]
mod tests;

//! How the fake makes containers and lets them run.

use std::collections::BTreeMap;

use super::{Behaviour, FakeEngine, refused};
use crate::engine::{
    Answer, NewContainer,
    error::{Cause, EngineError},
    shape::Shape,
    terms::{Activity, Checked, Container, State},
};

/// The code with which a command ends at once: `exit N` of a shell.
fn ended_by(shape: &Shape) -> Option<i64> {
    let command = shape.get("command")?.as_array()?;
    command.last()?.as_str()?.strip_prefix("exit ")?.parse().ok()
}

impl FakeEngine {
    /// Returns once a container does not run.
    pub(super) async fn ends(self, id: String) {
        let mut events = self.0.events.subscribe();
        while self.lock().containers.get(&id).is_some_and(|container| container.state.activity.is_up()) {
            if !matches!(events.recv().await, Ok(Some(_))) {
                return;
            }
        }
    }

    pub(super) async fn create_one(&self, new: &NewContainer<'_>) -> Answer<String> {
        tokio::task::yield_now().await;
        let mut world = self.world()?;
        let doing = format!("create {}", new.name);
        if world.id_of(new.name).is_some() {
            return Err(refused(doing, Cause::InConflict));
        }
        if let Some(id) = world.left.get(new.name) {
            let message = format!("the name {} is in use by {id}", new.name);
            return Err(EngineError::Refused { doing, cause: Cause::InConflict, message });
        }
        let image = world.image(&new.spec.image.canonical()).cloned();
        let image = image.ok_or_else(|| refused(&doing, Cause::ImageNotFound))?;
        if new.spec.networks.iter().any(|network| !world.networks.contains_key(network.name.as_str())) {
            return Err(refused(doing, Cause::NetworkNotFound));
        }
        let mut shape = Shape::wanted(new.spec);
        world.share_by_ids(&mut shape).map_err(|()| refused(&doing, Cause::NotFound))?;
        world.made += 1;
        // As long as the ids of real engines.
        let id = format!("c{:063}", world.made);
        let mut labels = new.spec.labels.clone();
        labels.extend(new.marks.clone());
        shape.texts("labels", &labels);
        if let Some(path) = &world.forgets {
            shape.unset_below(path);
        }
        let mut container = Container {
            id: id.clone(),
            name: new.name.to_owned(),
            image: new.spec.image.canonical(),
            image_id: image.id,
            labels,
            state: State::of(Activity::Created),
            shape,
            addresses: BTreeMap::new(),
        };
        world.make_own_volumes(&mut container);
        world.containers.insert(id.clone(), container);
        self.tell_of(&mut world, &id);
        Ok(id)
    }

    pub(super) async fn start_one(&self, id: &str) -> Answer<()> {
        tokio::task::yield_now().await;
        let mut world = self.world()?;
        let (at, doing) = (world.timestamp(), format!("start {id}"));
        let behaviours: BTreeMap<_, _> = world
            .images
            .values()
            .chain(world.registry.values())
            .map(|image| (image.id.clone(), image.behaviour))
            .collect();
        let container = world.container(id, &doing)?;
        if container.state.activity.is_up() {
            return Ok(());
        }
        let ends = ended_by(&container.shape).map(Behaviour::Ends);
        let of_image = behaviours.get(&container.image_id).copied();
        let behaviour = ends.or(of_image).unwrap_or(Behaviour::Runs);
        container.state.started_at = at;
        match behaviour {
            Behaviour::CannotStart => return Err(refused(doing, Cause::Other)),
            Behaviour::FindsPortTaken => return Err(refused(doing, Cause::PortTaken)),
            Behaviour::Ends(code) => {
                container.state.activity = Activity::Exited;
                container.state.exit_code = code;
                container.state.finished_at = at;
            }
            Behaviour::Runs | Behaviour::IsUnwell => {
                let checks =
                    container.shape.get("healthcheck.test").is_some() || behaviour == Behaviour::IsUnwell;
                let checked =
                    if behaviour == Behaviour::Runs { Checked::Healthy } else { Checked::Unhealthy };
                container.state.activity = Activity::Running;
                container.state.healthcheck = checks.then_some(checked);
            }
        }
        let id = container.id.clone();
        self.tell_of(&mut world, &id);
        Ok(())
    }
}

//! What others do to a fake engine.

use super::{Behaviour, FakeEngine, FakeImage, refused};
use crate::engine::{
    Answer,
    error::Cause,
    terms::{Activity, Container, State, Subject},
};

impl FakeEngine {
    /// Puts an image into the engine.
    pub fn add_image(&self, reference: &str, id: &str, behaviour: Behaviour) {
        let image = FakeImage { id: id.to_owned(), behaviour };
        let mut world = self.lock();
        world.bring(reference, image);
        self.tell(&mut world, Subject::Image);
    }

    /// Puts an image where a pull finds it.
    pub fn publish_image(&self, reference: &str, id: &str, behaviour: Behaviour) {
        let image = FakeImage { id: id.to_owned(), behaviour };
        self.lock().registry.insert(reference.to_owned(), image);
    }

    /// From now on it has room for so many images.
    pub fn make_room_for(&self, images: usize) {
        self.lock().room = Some(images);
    }

    /// From now on it makes containers and networks without this setting, whatever it is asked for. Of networks: `internal`.
    pub fn forget_setting(&self, path: &str) {
        self.lock().forgets = Some(path.to_owned());
    }

    /// From now on it does not say that it is about to start a container again, as Podman does not.
    pub fn announce_no_restarts(&self) {
        self.lock().restarts_unannounced = true;
    }

    /// Switches it off or on.
    pub fn set_away(&self, is_away: bool) {
        self.lock().is_away = is_away;
    }

    /// All who listen to its events hear no more.
    pub fn hang_up(&self) {
        // Nobody may be listening.
        let _ = self.0.events.send(None);
    }

    /// A container ends with `code`, and is not started again.
    pub fn end(&self, name: &str, code: i64) -> Answer<()> {
        let mut world = self.world()?;
        let at = world.timestamp();
        let container = world.container(name, "stop it")?;
        if !container.state.activity.is_up() {
            return Ok(());
        }
        container.state.activity = Activity::Exited;
        container.state.exit_code = code;
        container.state.finished_at = at;
        container.state.healthcheck = None;
        let id = container.id.clone();
        self.tell_of(&mut world, &id);
        Ok(())
    }

    /// When the container of the first name is stopped, the one of the second name ends with code 1.
    pub fn fall_with(&self, stopped: &str, falls: &str) {
        self.lock().falls_with = Some((stopped.to_owned(), falls.to_owned()));
    }

    /// Somebody removes a container.
    pub fn lose(&self, name: &str) -> Answer<()> {
        let mut world = self.world()?;
        let id = world.id_of(name).ok_or_else(|| refused("remove it", Cause::NotFound))?;
        world.containers.remove(&id);
        self.tell(&mut world, Subject::Container { id, name: name.to_owned() });
        Ok(())
    }

    /// Somebody removes a container, and the engine keeps its name.
    pub fn lose_but_for_its_name(&self, name: &str) -> Answer<()> {
        let id = self.world()?.id_of(name).ok_or_else(|| refused("remove it", Cause::NotFound))?;
        self.lose(name)?;
        self.lock().left.insert(name.to_owned(), id);
        Ok(())
    }

    /// Something about a container changes.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Container)) -> Answer<()> {
        let mut world = self.world()?;
        let container = world.container(name, "change it")?;
        change(container);
        let id = container.id.clone();
        self.tell_of(&mut world, &id);
        Ok(())
    }

    /// A container without any mark of ours.
    pub fn add_foreign(&self, name: &str) -> Answer<()> {
        let world = self.world()?;
        if world.id_of(name).is_some() {
            return Err(refused("add it", Cause::InConflict));
        }
        drop(world);
        let mut world = self.world()?;
        world.made += 1;
        let id = format!("f{}", world.made);
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            image: "somebody/else:1".into(),
            image_id: "sha256:else".into(),
            labels: Default::default(),
            state: State::of(Activity::Running),
            shape: Default::default(),
            addresses: Default::default(),
        };
        world.containers.insert(id.clone(), container);
        self.tell_of(&mut world, &id);
        Ok(())
    }
}

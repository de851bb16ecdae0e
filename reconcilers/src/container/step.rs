//! A step: look, decide, move, until nothing is left to do.

use std::time::Duration;

use futures_util::{StreamExt, stream::BoxStream};
use jiff::Timestamp;
use manifest_types::kinds::container::{ContainerSpec, Desired};
use tokio::time::Instant;

use super::{
    ContainerReconciler,
    error::ContainerError,
    fare,
    probes::Said,
    scene::{Goal, Member, Memory, Move, Part, Scene, own_names},
    sight::Sight,
};
use crate::{
    engine::{
        ContainerEngine, NewContainer,
        error::{Cause, EngineError},
        held,
        images::Wanted,
        link::Moment,
        marks,
        shape::Shape,
        terms::{Adjustment, Listed},
    },
    error::ReconcileError,
    reconciler::{Hint, Outcome, Put, StepContext},
};

mod failing;

use failing::{failed, given_up, has_gone, holder};

/// So often it is tried again to start what finds its port taken.
const MOST_PORT_WAITS: u32 = 20;
/// How long it is waited before a candidate is looked at again.
const AWAIT: Duration = Duration::from_millis(250);
/// A step that has not come to its end after so many moves is working against somebody.
const MOST_MOVES: usize = 200;
/// What is not there so often is not there for another reason than that somebody takes it away.
const MOST_SURPRISES: u32 = 5;

impl<E: ContainerEngine> ContainerReconciler<E> {
    /// Brings a container to its spec, from wherever it is.
    pub(super) async fn run(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerSpec>,
        name: &str,
    ) -> Outcome<Sight> {
        let mut memory = Memory::default();
        let begun = Instant::now();
        let mut moves = 0;
        let mut before = self.link.moment();
        let mut news = self.link.news_of(own_names(name));
        let mut scene = self.scene(put, name).await?;
        let mut locked = None;
        loop {
            if let Err(cancelled) = cx.check() {
                self.leave(put, name, &memory).await;
                return Err(cancelled.into());
            }
            let goal = Goal {
                name,
                spec: put.spec,
                restart: put.restart,
                settle: self.settle,
                elapsed: begun.elapsed(),
                now: Timestamp::now(),
            };
            memory.sees(&scene, goal.elapsed);
            self.looks.knows(put.id, scene.own_ids());
            let next = scene.next_move(&goal, &memory);
            tracing::debug!(resource = %put.id, ?next, "container");
            match next {
                Move::Done => {
                    self.settled(put, &scene).await;
                    let mut told = self.told(put, name, scene, before);
                    if let Some(sight) = &mut told {
                        // The place of a lock may have come with the container: from now on it is followed.
                        sight.locked_by = self.locks.holder(put.id, &put.spec.update.locks).await;
                    }
                    return Ok(told);
                }
                Move::Conflict(name) => return Err(ContainerError::Conflict { name }.into()),
                Move::NotKept(fields) => {
                    let (name, fields) = (name.to_owned(), fields.join(", "));
                    return Err(ContainerError::NotKept { name, fields }.into());
                }
                Move::GiveUp(why) => {
                    let given_up = || given_up(&scene, put.spec, why).into();
                    return Err(memory.hindered.take().map_or_else(given_up, Into::into));
                }
                Move::Fail(candidate, why) => memory.failed = Some((candidate, why)),
                Move::Await(_) => {
                    let within = put.spec.healthy_within();
                    memory.deadline.get_or_insert(goal.elapsed.saturating_add(within));
                    self.news(cx, &mut news).await;
                    before = self.link.moment();
                    scene = self.scene(put, name).await?;
                    continue;
                }
                Move::AwaitHandOver(_) => {
                    self.news(cx, &mut news).await;
                    memory.is_handed_over = self.is_handed_over(put.spec).await;
                    before = self.link.moment();
                    scene = self.scene(put, name).await?;
                    continue;
                }
                Move::Wait => {
                    memory.waits += 1;
                    self.news(cx, &mut news).await;
                    before = self.link.moment();
                    scene = self.scene(put, name).await?;
                }
                other => {
                    if locked.is_none() && scene.is_disrupted_by(&other) {
                        locked = Some(self.lock(&put.spec.update.locks).await?);
                    }
                    let who = scene.ids();
                    let made = self.make(cx, put, &scene, &other, &mut memory).await;
                    if made.is_err() && matches!(other, Move::Pull) {
                        // What was stopped for an image that cannot be had goes on.
                        self.leave(put, name, &memory).await;
                    }
                    let made = made?;
                    before = self.link.moment();
                    if made == Made::AsMeant {
                        self.look_again(&mut scene, put.spec, &other).await?;
                    }
                    if made == Made::Otherwise || scene.has_lost(who, &other, &memory) {
                        scene = self.scene_anew(put, name).await?;
                    }
                }
            }
            moves += 1;
            if moves >= MOST_MOVES {
                return Err(ContainerError::Contended { moves }.into());
            }
        }
    }

    /// A step that is told to stop leaves something running where something ran: the next one may have to wait for others.
    async fn leave(&self, put: &Put<'_, ContainerSpec>, name: &str, memory: &Memory) {
        if memory.halted.is_empty() {
            return;
        }
        let started = async {
            let scene = self.scene(put, name).await?;
            match scene.left_standing(memory, put.spec) {
                Some(id) => self.link.engine.start(&id).await.map(|()| Some(id)),
                None => Ok(None),
            }
        };
        match started.await {
            Ok(Some(id)) => {
                self.halts.ends(&self.link, &id).await;
                tracing::info!(resource = %put.id, "what was stopped to be replaced runs again: the step was told to stop");
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(resource = %put.id, %error, "what was stopped to be replaced does not run")
            }
        }
    }

    /// Returns when something has happened to the step's containers, or after a little while.
    async fn news(&self, cx: &StepContext, news: &mut BoxStream<'static, Hint>) {
        tokio::select! {
            _ = news.next() => {}
            () = tokio::time::sleep(AWAIT) => {}
            () = cx.cancelled() => {}
        }
    }

    /// What is there under the container's names, and what of ours has a name that it is not to have.
    async fn scene(&self, put: &Put<'_, ContainerSpec>, name: &str) -> Result<Scene, EngineError> {
        // The list does not wait for what an engine is about to do with a container: who was there is asked for at the same time.
        let was_there = put.owned.applied;
        let main = async { if was_there { self.member(name, put.spec).await } else { Ok(None) } };
        let (all, main) = futures_util::try_join!(self.link.engine.containers(), main)?;
        let own = own_names(name);
        let held = held(put.owned).into_iter().find(|held| !own.contains(held));
        let former = held.and_then(|held| all.iter().find(|listed| listed.name == held));
        let former = former
            .or_else(|| self.renamed(&all, put.id, name, put.spec.take_over.as_ref()))
            .map(|former| former.id.clone());
        let is_known = |listed: &&Listed| own.contains(&listed.name) || Some(&listed.id) == former.as_ref();
        let has_strays = !self
            .ours(&all, put.id, std::slice::from_ref(&own[0]), put.spec.take_over.as_ref())
            .iter()
            .all(is_known);
        let mut scene = Scene::new(name, former, has_strays);
        scene.main = main;
        for part in scene.parts().into_iter().filter(|part| *part != Part::Main || !was_there) {
            let key = scene.key_of(part);
            if key.is_some_and(|key| all.iter().any(|listed| listed.name == key || listed.id == key)) {
                self.look_at(&mut scene, part, put.spec).await?;
            }
        }
        let image = put.spec.image.canonical();
        scene.image_id = self.image_id(&image).await?;
        self.images.needs(name, image, scene.image_id.as_deref());
        Ok(scene)
    }

    /// The same, with nothing of it taken from memory.
    async fn scene_anew(&self, put: &Put<'_, ContainerSpec>, name: &str) -> Result<Scene, EngineError> {
        self.image_id_now(&put.spec.image.canonical()).await?;
        self.scene(put, name).await
    }

    /// A container is as wanted: what it was made of before the last time may not be needed any more.
    async fn settled(&self, put: &Put<'_, ContainerSpec>, scene: &Scene) {
        let Some(main) = &scene.main else { return };
        let (name, image) = (&main.container.name, &main.container.image_id);
        self.images.settled(name, &held(put.owned), image).await;
        // A kill may have kept that from being noted.
        if main.container.state.activity.is_up() {
            self.halts.ends(&self.link, &main.container.id).await;
        }
    }

    /// Looks again at what a move has changed. What else may have changed is for the next look.
    async fn look_again(
        &self,
        scene: &mut Scene,
        spec: &ContainerSpec,
        made: &Move,
    ) -> Result<(), EngineError> {
        if *made == Move::Pull {
            scene.image_id = self.image_id_now(&spec.image.canonical()).await?;
        }
        // How the container itself fares may have changed while the move was made, and what comes next hangs on it.
        let others = scene.touched_by(made).into_iter().filter(|part| *part != Part::Main);
        for part in others.chain([Part::Main]) {
            self.look_at(scene, part, spec).await?;
        }
        Ok(())
    }

    async fn look_at(&self, scene: &mut Scene, part: Part, spec: &ContainerSpec) -> Result<(), EngineError> {
        let seen = match scene.key_of(part) {
            Some(key) => self.member(&key, spec).await?,
            None => None,
        };
        scene.put(part, seen);
        Ok(())
    }

    /// What the step has seen at its end, where that is all that a look would tell.
    fn told(&self, put: &Put<'_, ContainerSpec>, name: &str, scene: Scene, before: Moment) -> Option<Sight> {
        let now = Timestamp::now();
        // What has happened since, or is told only now, is for a look of its own.
        let is_as_seen = |main: &Member| !self.link.may_have_changed(&main.container.id, before);
        let main = scene.main.filter(|main| !scene.has_strays && is_as_seen(main));
        let main = main.filter(|main| !fare::wants_output(put.spec, &main.container.state, now))?;
        let read = self.looks.keep(main.container, String::new(), before);
        let sight = Sight { image_id: scene.image_id, ..Sight::absent(name) };
        Some(self.seen(put.id, put.spec, sight, read))
    }

    async fn member(&self, name: &str, spec: &ContainerSpec) -> Result<Option<Member>, EngineError> {
        let found = self.halts.container(&self.link, name).await?;
        Ok(found.map(|container| {
            let is_ours = marks::belongs(&self.link.agent, spec.take_over.as_ref(), &container.labels);
            let said = match is_ours {
                true => self.probes.said(&self.link, &container, spec),
                false => Said::default(),
            };
            Member { is_ours, said, container }
        }))
    }

    /// Takes a container out of a network that the engine counts it in and has not connected it with: Podman does so where somebody asks for it while it is paused.
    async fn leaves_half(&self, next: &Move, error: &EngineError) -> bool {
        match next {
            Move::Connect(id, attachment) if error.cause() == Some(Cause::InConflict) => {
                self.link.engine.disconnect(id, attachment.name.as_str()).await.is_ok()
            }
            _ => false,
        }
    }

    /// Removes what is left of a container of ours that the engine does not know any more and whose name it still keeps: Podman leaves that
    /// where somebody removes one that is just being started.
    async fn clears_away(&self, put: &Put<'_, ContainerSpec>, next: &Move, error: &EngineError) -> bool {
        let Some(left) = holder(next, error) else { return false };
        if !self.births.is_own(&self.link, &super::name_of(put.spec, put.id), left).await {
            return false;
        }
        let is_gone = matches!(self.link.engine.container(left).await, Ok(None));
        is_gone && self.link.engine.remove(left).await.is_ok()
    }

    /// Pulls the image. Where one of that name is there already, it will do.
    async fn pull(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerSpec>,
        scene: &Scene,
    ) -> Result<(), ReconcileError> {
        self.forget_strangers();
        let wanted = Wanted {
            resource: put.id,
            user: &scene.name,
            image: &put.spec.image,
            credentials: put.spec.registry_credentials.as_ref(),
            is_there: scene.image_id.is_some(),
        };
        self.images.pull(cx, &wanted).await
    }

    /// Whether the new one has said that the old one is to go.
    async fn is_handed_over(&self, spec: &ContainerSpec) -> bool {
        for file in spec.update.hand_over.iter().flat_map(|hand_over| &hand_over.files) {
            if tokio::fs::symlink_metadata(file.as_str()).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Starts a container: whatever it is to be restarted for, it has seen.
    async fn start(&self, id: &str, memory: &mut Memory) -> Result<(), EngineError> {
        self.link.engine.start(id).await?;
        memory.has_restarted = true;
        self.halts.ends(&self.link, id).await;
        Ok(())
    }

    /// Makes a move that changes something.
    async fn make(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerSpec>,
        scene: &Scene,
        next: &Move,
        memory: &mut Memory,
    ) -> Result<Made, ReconcileError> {
        let misfit = scene.takes_back(next, memory);
        memory.misfits += u32::from(misfit);
        memory.mends(next);
        let engine = &self.link.engine;
        let grace = Duration::from_secs(put.spec.stop_seconds().into());
        let made = match next {
            Move::Pull => {
                self.pull(cx, put, scene).await?;
                memory.has_pulled = true;
                Ok(())
            }
            Move::Create(name) => {
                let wanted = Shape::wanted(put.spec);
                let mut marks = marks::marks(&self.link.agent, put.id, put.digest, &wanted);
                marks.extend(scene.image_id.iter().map(|id| (marks::IMAGE.to_owned(), id.clone())));
                let made = engine.create(&NewContainer { name, spec: put.spec, marks: &marks }).await;
                match made {
                    Ok(id) => {
                        self.births.note(&self.link, &super::name_of(put.spec, put.id), &id).await;
                        memory.made.push(id);
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            Move::RemoveImage(id) => {
                memory.old_image = None;
                match engine.remove_image(id).await {
                    Err(error) if error.cause() == Some(Cause::InConflict) => Ok(()),
                    removed => removed,
                }
            }
            Move::Start(id) => {
                if scene.next.as_ref().is_some_and(|next| next.container.id == *id) {
                    forget_hand_over(put.spec).await;
                }
                self.start(id, memory).await
            }
            Move::Unpause(id) => engine.unpause(id).await,
            Move::Stop(id) => {
                match (scene.may_rest(id, put.spec), put.spec.desired) {
                    (false, _) => {}
                    (true, Desired::Stopped) => self.halts.begins_for_good(&self.link, id).await,
                    (true, Desired::Running) => self.halts.begins(&self.link, id).await?,
                }
                memory.halted.push(id.clone());
                self.halts.stops(id);
                engine.stop(id, grace).await
            }
            Move::Restart(id) => {
                if scene.may_rest(id, put.spec) {
                    self.halts.begins(&self.link, id).await?;
                }
                self.halts.stops(id);
                match engine.stop(id, grace).await {
                    Ok(()) => self.start(id, memory).await,
                    error => error,
                }
            }
            Move::Remove(id) => {
                memory.old_image = scene.image_to_go(id, put.spec).or(memory.old_image.take());
                let removed = engine.remove(id).await;
                if removed.is_ok() {
                    self.halts.ends(&self.link, id).await;
                }
                removed
            }
            Move::Rename(id, name) => engine.rename(id, name).await,
            Move::Adjust(id) => match engine.adjust(id, &Adjustment::of(put.spec)).await {
                Err(EngineError::Unsupported { .. }) => {
                    memory.cannot_adjust = true;
                    Ok(())
                }
                answer => answer,
            },
            Move::Connect(id, attachment) => engine.connect(id, attachment).await,
            Move::Disconnect(id, network) => {
                memory.left = scene.attachment(id, network);
                engine.disconnect(id, network).await
            }
            Move::Done
            | Move::Conflict(_)
            | Move::NotKept(_)
            | Move::GiveUp(_)
            | Move::Wait
            | Move::Await(_)
            | Move::AwaitHandOver(_)
            | Move::Fail(..) => Ok(()),
        };
        match made {
            Ok(()) if misfit => Ok(Made::Otherwise),
            Ok(()) => Ok(Made::AsMeant),
            // Who has it may be about to let go of it: one that is replaced at the same time.
            Err(error) if error.cause() == Some(Cause::PortTaken) && memory.port_waits < MOST_PORT_WAITS => {
                memory.port_waits += 1;
                tokio::time::sleep(AWAIT).await;
                Ok(Made::AsMeant)
            }
            Err(error) if memory.surprises < MOST_SURPRISES && has_gone(next, &error, put.spec) => {
                memory.surprises += 1;
                memory.has_pulled &= !matches!(next, Move::Create(_));
                Ok(Made::Otherwise)
            }
            Err(error) if memory.surprises < MOST_SURPRISES && self.leaves_half(next, &error).await => {
                memory.surprises += 1;
                Ok(Made::AsMeant)
            }
            Err(error) if memory.surprises < MOST_SURPRISES && self.clears_away(put, next, &error).await => {
                memory.surprises += 1;
                Ok(Made::Otherwise)
            }
            Err(error) => {
                self.put_back(next, memory).await;
                failed(scene, put.spec, next, error, memory).map(|()| Made::AsMeant)
            }
        }
    }

    /// What cannot be in a network in another way is in it as it was.
    async fn put_back(&self, next: &Move, memory: &mut Memory) {
        let Move::Connect(id, wanted) = next else { return };
        let Some(former) = memory.left.take().filter(|former| former.name == wanted.name) else { return };
        if let Err(error) = self.link.engine.connect(id, &former).await {
            tracing::warn!(container = %id, network = %former.name, %error, "it is not in the network that it was in");
        }
    }
}

/// Takes away what an earlier container has said: it counts for that one.
async fn forget_hand_over(spec: &ContainerSpec) {
    for file in spec.update.hand_over.iter().flat_map(|hand_over| &hand_over.files) {
        // What is not there, or is no file, says nothing.
        drop(tokio::fs::remove_file(file.as_str()).await);
    }
}

/// How a move went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    AsMeant,
    /// Something else happened beside it: all is looked at again.
    Otherwise,
}

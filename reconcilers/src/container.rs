//! `Container`: a container of the engine on the device.
//!
//! One list tells of all (`look`); what it does not tell is inspected when something happened to a container, and now and then. What was seen
//! (`sight`, with how it `fare`s) is compared with what is wanted field by field. `probes` ask it again and again. A `step` looks at the `scene`, which decides on the next move, and makes it,
//! until nothing is left to do: so that a replacement that was killed anywhere is taken up by the next step. Images are brought, and removed, by the engine's `images`.

use std::{sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use manifest_types::{
    kinds::{
        container::ContainerSpec,
        engine::{EngineName, TakeOver},
        file::AbsolutePath,
    },
    name::ResourceId,
    status::Capability,
};

use self::{
    births::Births,
    error::ContainerError,
    halts::Halts,
    locks::{Locks, NotTaken, Taken},
    look::{Known, Looks},
    probes::Probes as Asked,
    scene::own_names,
    sight::Sight,
};
use crate::{
    engine::{
        ContainerEngine, held,
        images::Images,
        link::{Link, Names, Whose},
        marks,
        terms::{Activity, Listed, Subject},
    },
    error::{ObserveError, ReconcileError, Unseen},
    host::Host,
    reconciler::{Hint, Lines, Outcome, Printed, Put, Reconciler, Sights, StepContext, Take, Target},
};

mod births;
pub mod error;
mod fare;
#[cfg(any(test, feature = "testing"))]
pub mod fixture;
mod halts;
mod locks;
mod look;
mod output;
pub mod probes;
mod scene;
pub mod sight;
mod step;
mod turn;

/// A replacement without a healthcheck has proved well when it ran for so long.
pub const SETTLE: Duration = Duration::from_secs(2);

/// The reconciler of kind `Container`.
#[derive(Debug)]
pub struct ContainerReconciler<E> {
    link: Arc<Link<E>>,
    names: Arc<Names>,
    looks: Looks,
    probes: Asked,
    images: Arc<Images<E>>,
    halts: Halts,
    births: Births,
    locks: Locks,
    settle: Duration,
}

impl<E: ContainerEngine> ContainerReconciler<E> {
    /// A reconciler that works in the engine at the end of `link`, and shares `images` with others who do.
    pub fn new(host: &Host, link: Arc<Link<E>>, images: Arc<Images<E>>) -> Self {
        images.expects_containers();
        Self {
            link,
            names: Arc::default(),
            looks: Looks::default(),
            probes: Asked::default(),
            images,
            halts: Halts::new(&host.state_dir),
            births: Births::new(&host.state_dir),
            locks: Locks::new(),
            settle: SETTLE,
        }
    }

    /// The same, for which a replacement proves well after `settle`.
    #[must_use]
    pub fn settling(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    /// From now on what happens under these names is a hint on `id`.
    fn watch(&self, id: &ResourceId, names: &[String]) {
        let all = names.iter().flat_map(|name| own_names(name));
        self.names.set(id, all);
    }

    /// Ours that was made for `id`, or is taken over, under a name that is no resource's. What runs goes before what does not.
    fn renamed<'a>(
        &self,
        all: &'a [Listed],
        id: &ResourceId,
        name: &str,
        take_over: Option<&TakeOver>,
    ) -> Option<&'a Listed> {
        let own = own_names(name);
        let is_another =
            |listed: &Listed| !own.contains(&listed.name) && self.names.whose(&listed.name).is_none();
        let is_taken_over = |listed: &&Listed| {
            let is_ours = marks::belongs(&self.link.agent, take_over, &listed.labels);
            is_ours && !marks::is_ours(&self.link.agent, &listed.labels) && is_another(listed)
        };
        let taken_over = || all.iter().filter(is_taken_over).max_by_key(|listed| listed.activity.is_up());
        let renamed = all.iter().find(|listed| {
            marks::is_ours(&self.link.agent, &listed.labels)
                && !marks::are_inherited(&listed.labels, &listed.image_id)
                && listed.labels.get(marks::RESOURCE).is_some_and(|born_for| born_for == id.as_str())
                && is_another(listed)
        });
        renamed.or_else(taken_over)
    }

    /// The images of containers that are not to be any more are not needed.
    fn forget_strangers(&self) {
        self.images.keep_only(|name| self.names.whose(name).is_some());
    }

    fn make_room_beside(&self) {
        self.forget_strangers();
        self.images.make_room_beside();
    }

    /// Takes the locks under which something may be disrupted.
    async fn lock(&self, paths: &[AbsolutePath]) -> Result<Taken, ContainerError> {
        self.locks.take(paths).await.map_err(|error| match error {
            NotTaken::Held(path) => ContainerError::Locked { path },
            NotTaken::Failed(path, source) => ContainerError::CannotLock { path, source },
        })
    }

    /// All of ours that is under `names`, or was made for `id`, or is taken over, and is nobody else's.
    fn ours<'a>(
        &self,
        all: &'a [Listed],
        id: &ResourceId,
        names: &[String],
        take_over: Option<&TakeOver>,
    ) -> Vec<&'a Listed> {
        let own: Vec<_> = names.iter().flat_map(|name| own_names(name)).collect();
        let is_own = |listed: &&Listed| {
            let born_here =
                listed.labels.get(marks::RESOURCE).is_some_and(|born_for| born_for == id.as_str())
                    && !marks::are_inherited(&listed.labels, &listed.image_id);
            let whose = self.names.whose(&listed.name);
            let is_ours = marks::belongs(&self.link.agent, take_over, &listed.labels);
            let is_taken_over = is_ours && !marks::is_ours(&self.link.agent, &listed.labels);
            let is_meant = born_here || is_taken_over;
            is_ours && (own.contains(&listed.name) || (is_meant && whose.is_none_or(|whose| whose == *id)))
        };
        all.iter().filter(is_own).collect()
    }
}

/// The name that a resource has in the engine.
fn name_of(spec: &ContainerSpec, id: &ResourceId) -> String {
    EngineName::of(spec.name.as_ref(), id)
}

impl<E: ContainerEngine> Reconciler for ContainerReconciler<E> {
    type Spec = ContainerSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, ContainerSpec>]) -> Result<Sights<Sight>, Unseen> {
        self.link.open().await?;
        for target in targets {
            let wanted = target.wanted.map(|spec| name_of(spec, target.id));
            let owned = target.owned.as_ref().map(|owned| held(*owned)).unwrap_or_default();
            let names: Vec<_> = wanted.into_iter().chain(owned).collect();
            self.watch(target.id, &names);
        }
        let before = self.link.moment();
        let known = Known { all: self.link.engine.containers().await?, before };
        let is_there = |id: &str| known.all.iter().any(|listed| listed.id == id);
        self.looks.forget_all_but(&known.all);
        self.probes.keep_only(is_there);
        self.halts.keep_only(&self.link, is_there).await;
        let mut sights = Sights::new();
        for target in targets {
            let Some(spec) = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec)) else {
                continue;
            };
            match self.see(target.id, spec, &known).await {
                Ok(sight) => {
                    let (name, image) = (&sight.name, sight.image_id.as_deref());
                    match target.wanted {
                        Some(wanted) => self.images.needs(name, wanted.image.canonical(), image),
                        None => self.images.needs_no_more(name),
                    }
                    sights.insert(target.id.clone(), Ok(sight));
                }
                Err(error) if error.is_away() => return Err(error.into()),
                Err(error) => drop(sights.insert(target.id.clone(), Err(error.into()))),
            }
        }
        self.images.knows_containers();
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, ContainerSpec>) -> Outcome<Sight> {
        let name = name_of(put.spec, put.id);
        let outcome = self.run(cx, put, &name).await;
        if cx.check().is_ok() {
            self.make_room_beside();
        }
        outcome
    }

    async fn delete(&self, cx: &StepContext, take: &Take<'_, ContainerSpec>) -> Result<(), ReconcileError> {
        cx.check()?;
        let all = self.link.engine.containers().await?;
        let grace = Duration::from_secs(take.owned.spec.stop_seconds().into());
        let take_over = take.owned.spec.take_over.as_ref();
        let _locked = match all.iter().any(|listed| listed.activity.is_up()) {
            true => self.lock(&take.owned.spec.update.locks).await?,
            false => Taken::default(),
        };
        for listed in self.ours(&all, take.id, &held(take.owned), take_over) {
            if listed.activity == Activity::Paused {
                self.link.engine.unpause(&listed.id).await?;
            }
            if listed.activity.is_up() {
                if take.owned.spec.may_rest() {
                    self.halts.begins_for_good(&self.link, &listed.id).await;
                }
                self.link.engine.stop(&listed.id, grace).await?;
            }
            self.link.engine.remove(&listed.id).await?;
        }
        self.names.set(take.id, None);
        self.images.forget(&held(take.owned)).await;
        self.births.forget(&self.link, &held(take.owned)).await;
        self.make_room_beside();
        Ok(())
    }

    async fn output(
        &self,
        target: &Target<'_, ContainerSpec>,
        lines: Lines,
    ) -> Result<Option<Printed>, ObserveError> {
        self.link.open().await?;
        let held = target.owned.as_ref().and_then(|owned| held(*owned).into_iter().next());
        let wanted = || target.wanted.map(|spec| name_of(spec, target.id));
        let name = held.or_else(wanted).unwrap_or_else(|| target.id.to_string());
        output::output(Arc::clone(&self.link), name, lines).await.map(Some)
    }

    async fn find_capability(&self) -> Result<Option<(&'static str, Capability)>, Unseen> {
        self.link.open().await?;
        Ok(self.capability())
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Some(("containerEngine", self.link.capability()?))
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        let names = Arc::clone(&self.names);
        let known = self.looks.ids();
        let hints = self.link.hints(move |subject| match subject {
            Subject::Container { id, name } => {
                names.whose(name).or_else(|| known.whose(id)).map(Whose::Resource)
            }
            Subject::Network { container: Some(id), .. } => known.whose(id).map(Whose::Resource),
            Subject::Image => Some(Whose::Kind),
            Subject::Network { container: None, .. } | Subject::Volume(_) => None,
        });
        stream::select(hints, self.locks.hints()).boxed()
    }
}

#[cfg(test)]
mod tests;

//! `NetworkConfig`: a network interface of the host.
//!
//! The kernel is asked through a narrow seam (`kernel`; really, over netlink). What a spec wants of it is a `setup`, how to come there is a list of `moves`. What manages the
//! interfaces of the device beside the kernel is a `backend`. Changes are `plan`ned; all interfaces that change together are one `transaction`: what was there is put down first (`memory`), and whatever
//! is not confirmed in time by its `checks` is put back as it was, also after a kill or a power cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use manifest_types::{kinds::network_config::NetworkConfigSpec, name::ResourceId, status::Capability};
use tokio::time::Instant;

use self::{
    backend::{Backend, Wanted},
    error::NetworkError,
    kernel::Kernel,
    memory::{Memory, Own, Record},
    setup::Setup,
    sight::Sight,
    terms::{Link, Links},
    transaction::Planned,
};
use crate::{
    error::{ReconcileError, Unseen},
    host::{Host, Reachability},
    observation::Before,
    reconciler::{
        Batch, Change, Hint, Outcome, Outcomes, Owned, Put, Reconciler, Sights, StepContext, Take, Target,
    },
};

pub mod backend;
mod checks;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fixture;
pub mod kernel;
mod memory;
pub mod moves;
mod plan;
pub mod setup;
pub mod sight;
pub mod terms;
mod transaction;

/// All of them change together.
const BATCH: &str = "network";
/// What happens within so short a time is one hint.
const HINTS: Duration = Duration::from_millis(100);
/// So long after it was told, everybody who is to know that a change was taken back knows it durably.
const KNOWN: Duration = Duration::from_secs(10);
/// Another number for each boot.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The reconciler of kind `NetworkConfig`.
pub struct NetworkConfigReconciler<K, B> {
    kernel: K,
    backend: B,
    reach: Arc<dyn Reachability>,
    memory: Memory,
    boot: String,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    /// What was told to have been taken back, and when.
    told: Mutex<BTreeMap<ResourceId, Instant>>,
    /// The resources that there are: those that were looked at, or changed, and not taken away since.
    known: Mutex<BTreeSet<ResourceId>>,
    found: Mutex<Option<Capability>>,
}

impl<K, B> fmt::Debug for NetworkConfigReconciler<K, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkConfigReconciler").field("boot", &self.boot).finish_non_exhaustive()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Kernel, B: Backend> NetworkConfigReconciler<K, B> {
    /// A reconciler that asks this kernel, and what manages its interfaces.
    pub fn new(host: &Host, kernel: K, backend: B) -> Self {
        Self {
            kernel,
            backend,
            reach: Arc::clone(&host.reach),
            memory: Memory::new(&host.state_dir),
            boot: fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned(),
            turn: tokio::sync::Mutex::default(),
            told: Mutex::default(),
            known: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// Looks for what manages interfaces. Not while a change is under way: that one goes on with what it has begun with.
    async fn find(&self) -> Result<Option<Capability>, NetworkError> {
        let found = self.backend.find().await?;
        lock(&self.found).clone_from(&found);
        Ok(found)
    }

    fn backend_name(&self) -> String {
        lock(&self.found).as_ref().map(|found| found.name.clone()).unwrap_or_default()
    }

    /// What is seen of one resource.
    async fn see(
        &self,
        target: &Target<'_, NetworkConfigSpec>,
        links: &Links,
        record: &Record,
    ) -> Result<Sight, NetworkError> {
        let spec = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec));
        let Some(spec) = spec else { return Err(NetworkError::Missing(target.id.to_string())) };
        let name = resolve(spec, links);
        let former = target.owned.as_ref().filter(|owned| owned.applied).map(|owned| owned.spec);
        let was_changed = target.owned.as_ref().is_some_and(was_changed);
        let held = record.held_under(target.id, name.as_deref(), links, was_changed);
        let was = name.as_ref().and_then(|name| held.as_ref()?.kernel.get(name));
        let mut sight = Sight {
            meant: meant(spec),
            backend: self.backend_name(),
            is_held: held.is_some(),
            was_there: was.map(Option::is_some),
            awaits_lease: false,
            configured: Vec::new(),
            former: Vec::new(),
            links: Links::new(),
            name: name.clone(),
        };
        let Some(name) = name else { return Ok(sight) };
        let setup = Setup::of(&name, spec);
        if target.wanted.is_some() {
            let former = held.map(|held| held.without(&setup, None)).unwrap_or_default();
            sight.former = former.kernel.into_keys().collect();
        }
        if let Some(former) = former.filter(|_| target.wanted.is_some()) {
            let former = Setup::of(&name, former);
            sight.configured = setup::stale_differences(links, &setup, Some(&former));
        }
        let is_near = |(other, link): &(&String, &Link)| {
            **other == name || link.master.as_deref() == Some(&name) || setup.ports.contains(*other)
        };
        let near = links.iter().filter(is_near).map(|(name, link)| (name.clone(), link.clone()));
        sight.links = near.collect();
        sight.awaits_lease = links.get(&name).is_some_and(|link| setup.awaits_lease(link));
        let wanted = Wanted { spec, setup, former: None };
        sight.configured.extend(self.backend.differences(&wanted).await?);
        Ok(sight)
    }

    /// Whether it is told now for the first time that a change was taken back: whoever asks again wants it tried again.
    fn tells(&self, id: &ResourceId) -> bool {
        let mut told = lock(&self.told);
        let is_new = !told.contains_key(id);
        told.entry(id.clone()).or_insert_with(Instant::now);
        is_new
    }

    /// Forgets what was told long enough ago.
    async fn forget_told(&self, record: &Record) -> Result<(), NetworkError> {
        let is_known = |id: &ResourceId| lock(&self.told).get(id).is_some_and(|told| told.elapsed() >= KNOWN);
        let known: Vec<_> = record.undone.keys().filter(|id| is_known(id)).cloned().collect();
        if known.is_empty() {
            return Ok(());
        }
        self.memory.change(|record| record.undone.retain(|id, _| !known.contains(id))).await?;
        Ok(())
    }

    async fn carry_out(
        &self,
        cx: &StepContext,
        changes: &[Change<'_, NetworkConfigSpec>],
    ) -> Result<Outcomes<Sight>, NetworkError> {
        let _turn = self.turn.lock().await;
        self.find().await?;
        self.recover().await?;
        lock(&self.known).extend(changes.iter().map(|change| change.id().clone()));
        let links = self.kernel.links().await?;
        let record = self.inherit(changes, &links).await?;
        let mut outcomes = Outcomes::new();
        let staying = plan::staying(changes, &links);
        let mut plan = Vec::new();
        for change in changes {
            match self.plan(change, &links, &record, &staying).await {
                Ok(Some(planned)) => plan.push(planned),
                Ok(None) => {
                    match change {
                        Change::Take(Take { id, .. }) => {
                            self.memory.change(|record| record.forget(id)).await?;
                            lock(&self.known).remove(*id);
                        }
                        Change::Put(put) => self.note_own(put, &links, &record).await?,
                    }
                    outcomes.insert(change.id().clone(), Ok(None));
                }
                Err(error) => drop(outcomes.insert(change.id().clone(), Err(error.into()))),
            }
        }
        for (id, error) in plan::shared(&plan, &links) {
            plan.retain(|planned| *planned.id != id);
            outcomes.insert(id, Err(error.into()));
        }
        while let Some((id, error)) = plan::still_taken(&plan, &record, &links) {
            plan.retain(|planned| *planned.id != id);
            outcomes.insert(id, Err(error.into()));
        }
        // What is only brought about again has nothing to do with what must prove well.
        let (trials, repairs): (Vec<_>, Vec<_>) = plan.into_iter().partition(|planned| planned.on_trial);
        for repair in repairs {
            self.together(cx, &[repair], &mut outcomes).await;
        }
        if !trials.is_empty() {
            self.together(cx, &trials, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    /// What a resource is about may be another one, though nothing is to be done for that.
    async fn note_own(
        &self,
        put: &Put<'_, NetworkConfigSpec>,
        links: &Links,
        record: &Record,
    ) -> Result<(), NetworkError> {
        let own = resolve(put.spec, links).map(|name| Own::of(put.spec, &Setup::of(&name, put.spec)));
        if record.held.get(put.id).is_some_and(|held| held.own != own) {
            let note = |record: &mut Record| {
                if let Some(held) = record.held.get_mut(put.id) {
                    held.own = own;
                }
            };
            self.memory.change(note).await?;
        }
        Ok(())
    }

    /// Makes some changes, all of them or none.
    async fn together(&self, cx: &StepContext, plan: &[Planned<'_>], outcomes: &mut Outcomes<Sight>) {
        let done = self.transaction(cx, plan).await;
        for planned in plan {
            let outcome: Outcome<Sight> = match &done {
                Ok(()) => Ok(None),
                Err(error) => Err(error.of(planned, plan.len()).into()),
            };
            if planned.is_removal() && outcome.is_ok() {
                lock(&self.known).remove(planned.id);
            }
            outcomes.insert(planned.id.clone(), outcome);
        }
    }

    /// What is remembered, once those that have got another id have what they held under the former one.
    async fn inherit(
        &self,
        changes: &[Change<'_, NetworkConfigSpec>],
        links: &Links,
    ) -> Result<Record, NetworkError> {
        let record = self.memory.record().await?;
        let mut renamed = Vec::new();
        for change in changes {
            let (id, owned, spec) = match change {
                Change::Put(put) => (put.id, put.owned, put.spec),
                Change::Take(take) => (take.id, take.owned, take.owned.spec),
            };
            let Some(name) = resolve(spec, links) else { continue };
            let former = record.former_holder(&name, links, id).filter(|_| !record.held.contains_key(id));
            // What was adopted as it was is not what another one holds. One that nobody has spoken of is of a ledger that was lost.
            let is_former = |other: &&ResourceId| was_changed(&owned) || !lock(&self.known).contains(*other);
            renamed.extend(former.filter(is_former).map(|other| (other.clone(), id.clone())));
        }
        if renamed.is_empty() {
            return Ok(record);
        }
        self.memory.change(|record| renamed.iter().for_each(|(from, to)| record.rename(from, to))).await?;
        Ok(self.memory.record().await?)
    }
}

/// The interface that a spec means, if there is one; one that is named need not be there.
fn resolve(spec: &NetworkConfigSpec, links: &Links) -> Option<String> {
    match spec.name() {
        Some(name) => Some(name.to_string()),
        None => terms::of_mac(spec.matched.mac?, links).map(str::to_owned),
    }
}

/// Whether a spec was brought about where something else was before us, or nothing.
fn was_changed(owned: &Owned<'_, NetworkConfigSpec>) -> bool {
    owned.applied && owned.held.values().any(|before| *before != Before::Same)
}

fn meant(spec: &NetworkConfigSpec) -> String {
    match (&spec.matched.name, spec.matched.mac) {
        (Some(name), _) => name.to_string(),
        (None, Some(mac)) => mac.to_string(),
        (None, None) => String::new(),
    }
}

fn gateways(link: &Link) -> BTreeSet<IpAddr> {
    link.routes.iter().filter(|route| route.is_default()).filter_map(|route| route.via).collect()
}

impl<K: Kernel, B: Backend> Reconciler for NetworkConfigReconciler<K, B> {
    type Spec = NetworkConfigSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, NetworkConfigSpec>]) -> Result<Sights<Sight>, Unseen> {
        lock(&self.known).extend(targets.iter().map(|target| target.id.clone()));
        // What another run has left is taken back first. A change that is under way is nobody's who is looked at now.
        if let Ok(_turn) = self.turn.try_lock() {
            self.find().await?;
            self.recover().await?;
        }
        let record = self.memory.record().await.map_err(NetworkError::from)?;
        self.forget_told(&record).await?;
        let links = self.kernel.links().await.map_err(NetworkError::from)?;
        let mut sights = Sights::new();
        for target in targets {
            let sight = self.see(target, &links, &record).await;
            sights.insert(target.id.clone(), sight.map_err(Into::into));
        }
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, NetworkConfigSpec>) -> Outcome<Sight> {
        let Put { id, spec, digest, owned, restart } = *put;
        let change = [Change::Put(Put { id, spec, digest, owned, restart })];
        let mut outcomes = self.carry_out(cx, &change).await?;
        outcomes.remove(id).unwrap_or(Ok(None))
    }

    async fn delete(
        &self,
        cx: &StepContext,
        take: &Take<'_, NetworkConfigSpec>,
    ) -> Result<(), ReconcileError> {
        let change = [Change::Take(Take { id: take.id, owned: take.owned })];
        let mut outcomes = self.carry_out(cx, &change).await?;
        outcomes.remove(take.id).unwrap_or(Ok(None)).map(drop)
    }

    fn batch(&self, _: &NetworkConfigSpec) -> Option<Batch> {
        Some(Batch(BATCH.into()))
    }

    async fn transact(&self, cx: &StepContext, changes: &[Change<'_, NetworkConfigSpec>]) -> Outcomes<Sight> {
        match self.carry_out(cx, changes).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                changes.iter().map(|change| (change.id().clone(), Err(error.again().into()))).collect()
            }
        }
    }

    async fn find_capability(&self) -> Result<Option<(&'static str, Capability)>, Unseen> {
        let found = match self.turn.try_lock() {
            Ok(_turn) => self.find().await?,
            Err(_) => lock(&self.found).clone(),
        };
        Ok(found.map(|found| ("network", found)))
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Some(("network", lock(&self.found).clone()?))
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        let events = self.kernel.events();
        let hints = futures_util::stream::unfold(events, |mut events| async move {
            events.next().await?;
            // What comes with it is the same news.
            tokio::time::sleep(HINTS).await;
            while let Some(Some(())) = futures_util::FutureExt::now_or_never(events.next()) {}
            Some((Hint::Kind, events))
        });
        hints.boxed()
    }
}

#[cfg(test)]
mod tests;

//! The table of reconcilers, and the only place where kinds' types are erased.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, SelectAll},
};
use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::{AsSpec, ResourceSpec, Spec, systemd_unit::Scope},
    name::ResourceId,
    status::Capability,
};

use crate::{
    container::ContainerReconciler,
    container_network::ContainerNetworkReconciler,
    engine::{docker::Docker, images::Images, link::Link},
    error::{Failure, ReconcileError, Unseen},
    file::FileReconciler,
    host::Host,
    image::ImageReconciler,
    network_config::{NetworkConfigReconciler, backend::chosen::Chosen, kernel::netlink::Netlink},
    observation::{Before, Observation, Observed},
    reconciler::{Batch, Change, Hint, Lines, Owned, Printed, Put, Reconciler, StepContext, Take, Target},
    systemd_unit::{SystemdUnitReconciler, dbus::Systemd, protect::Footing},
    volume::VolumeReconciler,
};

/// Which container engine is the agent's, in its state directory.
const ENGINE: &str = "engine";

/// One resource to look at, of any kind.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyTarget {
    /// The resource.
    pub id: ResourceId,
    /// What is wanted of it.
    pub wanted: Option<Arc<Spec>>,
    /// What we hold under this id.
    pub owned: Option<AnyOwned>,
}

/// What we hold under an id, of any kind.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyOwned {
    /// The spec last applied whole; the one that is being applied where there is none before it.
    pub spec: Arc<Spec>,
    /// Whether `spec` was applied whole.
    pub applied: bool,
    /// A spec that was begun and is not known to be applied.
    pub attempted: Option<Arc<Spec>>,
    /// What is held, and what was there before.
    pub held: Arc<BTreeMap<Claim, Before>>,
}

/// One change, of any kind.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyChange {
    /// The resource that changes.
    pub id: ResourceId,
    /// What is to be done with it.
    pub work: Work,
    /// What we hold under this id, its intent included.
    pub owned: AnyOwned,
}

/// What is to be done with a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Bring it to this spec.
    Put {
        /// What is wanted of it.
        spec: Arc<Spec>,
        /// The digest of that, as it was written.
        digest: Digest,
        /// Whether it must be restarted or reloaded.
        restart: bool,
    },
    /// Take it away.
    Take,
}

/// What was seen of several resources.
pub type Observations = BTreeMap<ResourceId, Result<Observation, Failure>>;
/// What became of several changes.
pub type StepResults = BTreeMap<ResourceId, Result<(), Failure>>;

/// What became of a step.
#[derive(Debug, Default)]
pub struct Stepped {
    /// Of each change.
    pub results: StepResults,
    /// What the step itself has seen after its changes. The others are to be looked at.
    pub seen: Observations,
}

/// All reconcilers of this build.
pub struct Registry {
    kinds: BTreeMap<&'static str, Box<dyn AnyReconciler>>,
}

impl Registry {
    /// One reconciler for every kind. A new kind is one row here.
    pub fn new(host: &Host) -> Self {
        let mut registry = Self { kinds: BTreeMap::new() };
        let engine = Link::new(
            Docker::new(host.engine_places.clone()).remembering(host.state_dir.join(ENGINE)),
            host.agent_id.clone(),
        );
        registry.add(FileReconciler::new(host));
        let images = Images::new(host, engine.clone());
        registry.add(ContainerReconciler::new(host, engine.clone(), images.clone()));
        registry.add(ImageReconciler::new(engine.clone(), images));
        registry.add(VolumeReconciler::new(engine.clone()));
        registry.add(ContainerNetworkReconciler::new(engine.clone()));
        let services = &host.services;
        let own = services.own_unit.clone();
        let footing =
            move || Footing { own: own.clone(), engine: engine.capability().map(|engine| engine.name) };
        let user = services.user_bus.as_deref().map(|bus| Systemd::new(bus, Scope::User, &services.root));
        let system = Systemd::new(&*services.system_bus, Scope::System, &services.root);
        registry.add(SystemdUnitReconciler::new(host, system, user, footing));
        let backend = Chosen::new(&services.system_bus, &services.root, &host.agent_id);
        registry.add(NetworkConfigReconciler::new(host, Netlink::default(), backend));
        registry
    }

    fn add<R: Reconciler>(&mut self, reconciler: R) {
        self.kinds.insert(R::Spec::KIND, Box::new(reconciler));
    }

    fn of(&self, kind: &str) -> &dyn AnyReconciler {
        let reconciler = self.kinds.get(kind);
        reconciler.expect("every kind of the table of specs has a row in the table of reconcilers").as_ref()
    }

    /// What is there now of several resources of one kind.
    pub async fn observe(&self, kind: &str, targets: &[AnyTarget]) -> Result<Observations, Unseen> {
        self.of(kind).observe(targets).await
    }

    /// Carries out one step: a change alone, or a batch of one kind.
    pub async fn step(&self, kind: &str, cx: &StepContext, changes: &[AnyChange]) -> Stepped {
        self.of(kind).step(cx, changes).await
    }

    /// What must change together with a resource of this spec.
    pub fn batch(&self, spec: &Spec) -> Option<Batch> {
        self.of(spec.kind()).batch(spec)
    }

    /// What of the device the kinds need and have found, by name.
    pub fn capabilities(&self) -> BTreeMap<String, Capability> {
        let found = self.kinds.values().filter_map(|reconciler| reconciler.capability());
        found.map(|(name, capability)| (name.to_owned(), capability)).collect()
    }

    /// Looks for what each kind needs of the device; kinds that need nothing are not told.
    pub async fn find_capabilities(&self) -> Vec<(&'static str, Result<(&'static str, Capability), Unseen>)> {
        let mut found = Vec::new();
        for (kind, reconciler) in &self.kinds {
            if let Some(sought) = reconciler.find_capability().await.transpose() {
                found.push((*kind, sought));
            }
        }
        found
    }

    /// What a resource prints; `None`: its kind prints nothing.
    pub async fn output(
        &self,
        kind: &str,
        target: &AnyTarget,
        lines: Lines,
    ) -> Result<Option<Printed>, Failure> {
        self.of(kind).output(target, lines).await
    }

    /// The hints of all kinds, each with its kind.
    pub fn drift_hints(&self) -> SelectAll<BoxStream<'static, (&'static str, Hint)>> {
        let streams = self.kinds.iter().map(|(kind, reconciler)| {
            let kind = *kind;
            reconciler.drift_hints().map(move |hint| (kind, hint)).boxed()
        });
        streams.collect()
    }
}

/// A reconciler with its types erased.
trait AnyReconciler: Send + Sync {
    fn observe<'a>(&'a self, targets: &'a [AnyTarget]) -> BoxFuture<'a, Result<Observations, Unseen>>;
    fn step<'a>(&'a self, cx: &'a StepContext, changes: &'a [AnyChange]) -> BoxFuture<'a, Stepped>;
    fn batch(&self, spec: &Spec) -> Option<Batch>;
    fn capability(&self) -> Option<(&'static str, Capability)>;
    fn find_capability(&self) -> BoxFuture<'_, Result<Option<(&'static str, Capability)>, Unseen>>;
    fn output<'a>(
        &'a self,
        target: &'a AnyTarget,
        lines: Lines,
    ) -> BoxFuture<'a, Result<Option<Printed>, Failure>>;
    fn drift_hints(&self) -> BoxStream<'static, Hint>;
}

impl<R: Reconciler> AnyReconciler for R {
    fn observe<'a>(&'a self, targets: &'a [AnyTarget]) -> BoxFuture<'a, Result<Observations, Unseen>> {
        async move {
            let typed: Vec<Target<'_, R::Spec>> = targets.iter().map(typed_target).collect();
            let mut sights = Reconciler::observe(self, &typed).await?;
            let told = typed.iter().map(|target| {
                let sight = sights.remove(target.id).map(|sight| match sight {
                    Ok(observed) => Ok(observation(&observed, target.wanted)),
                    Err(error) => Err(error.to_failure()),
                });
                let missing = || Err(Failure::new("NotObserved", "the reconciler said nothing of it", true));
                (target.id.clone(), sight.unwrap_or_else(missing))
            });
            Ok(told.collect())
        }
        .boxed()
    }

    fn step<'a>(&'a self, cx: &'a StepContext, changes: &'a [AnyChange]) -> BoxFuture<'a, Stepped> {
        async move {
            let typed: Vec<Change<'_, R::Spec>> = changes.iter().map(typed_change).collect();
            let outcomes = self.transact(cx, &typed).await;
            let mut stepped = Stepped::default();
            for change in &typed {
                let Some(outcome) = outcomes.get(change.id()) else { continue };
                if let Ok(Some(observed)) = outcome {
                    let sight = observation(observed, change.wanted());
                    stepped.seen.insert(change.id().clone(), Ok(sight));
                }
                let result = outcome.as_ref().map(drop).map_err(ReconcileError::to_failure);
                stepped.results.insert(change.id().clone(), result);
            }
            stepped
        }
        .boxed()
    }

    fn batch(&self, spec: &Spec) -> Option<Batch> {
        Reconciler::batch(self, of_kind(spec))
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Reconciler::capability(self)
    }

    fn find_capability(&self) -> BoxFuture<'_, Result<Option<(&'static str, Capability)>, Unseen>> {
        Reconciler::find_capability(self).boxed()
    }

    fn output<'a>(
        &'a self,
        target: &'a AnyTarget,
        lines: Lines,
    ) -> BoxFuture<'a, Result<Option<Printed>, Failure>> {
        async move {
            let printed = Reconciler::output(self, &typed_target(target), lines).await;
            printed.map_err(|error| error.to_failure())
        }
        .boxed()
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        Reconciler::drift_hints(self)
    }
}

fn of_kind<S: AsSpec>(spec: &Spec) -> &S {
    S::of(spec).expect("the registry sends a spec to the reconciler of its kind")
}

fn typed_owned<S: AsSpec>(owned: &AnyOwned) -> Owned<'_, S> {
    let attempted = owned.attempted.as_deref().map(of_kind);
    Owned { spec: of_kind(&owned.spec), applied: owned.applied, attempted, held: &owned.held }
}

fn typed_target<S: AsSpec>(target: &AnyTarget) -> Target<'_, S> {
    Target {
        id: &target.id,
        wanted: target.wanted.as_deref().map(of_kind),
        owned: target.owned.as_ref().map(typed_owned),
    }
}

fn typed_change<S: AsSpec>(change: &AnyChange) -> Change<'_, S> {
    let (id, owned) = (&change.id, typed_owned(&change.owned));
    match &change.work {
        Work::Put { spec, digest, restart } => {
            Change::Put(Put { id, spec: of_kind(spec), digest: *digest, owned, restart: *restart })
        }
        Work::Take => Change::Take(Take { id, owned }),
    }
}

/// What was seen, as plain data.
pub(crate) fn observation<S, O: Observed<S>>(observed: &O, wanted: Option<&S>) -> Observation {
    let mut hasher = DefaultHasher::new();
    observed.hash(&mut hasher);
    Observation {
        present: observed.is_present(),
        differences: wanted.map(|wanted| observed.drift(wanted)).unwrap_or_default(),
        health: observed.health(),
        details: observed.details().map(Box::new),
        running: observed.is_running(),
        holder: observed.holder(),
        marked_ours: observed.is_marked_ours(),
        keeps_original: observed.keeps_original(),
        fingerprint: hasher.finish(),
    }
}

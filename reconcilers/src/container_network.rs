//! `ContainerNetwork`: a container engine's network. Engines do not change one, so it is made anew, with our containers put back into it.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use manifest_types::{
    claim::Claim,
    kinds::{
        container::Attachment,
        container_network::ContainerNetworkSpec,
        engine::{EngineName, TakeOver, Texts},
    },
    name::ResourceId,
    status::Capability,
};

use self::{former::Formers, sight::Sight};
use crate::{
    engine::{
        ContainerEngine,
        error::{Cause, EngineError},
        held,
        link::{Link, Names, Whose},
        marks,
        shape::Shape,
        terms::{Listed, Network, Subject},
    },
    error::{Fault, ReconcileError, Unseen},
    observation::{Before, Observed},
    reconciler::{Hint, Outcome, Owned, Put, Reconciler, Sights, StepContext, Take, Target},
};

#[cfg(any(test, feature = "testing"))]
pub mod fixture;
mod former;
pub mod sight;

/// The reconciler of kind `ContainerNetwork`.
#[derive(Debug)]
pub struct ContainerNetworkReconciler<E> {
    link: Arc<Link<E>>,
    names: Arc<Names>,
    formers: Arc<Formers>,
}

/// A network that cannot be brought to its spec.
#[derive(Debug, thiserror::Error)]
enum NetworkError {
    /// Somebody else's has the name.
    #[error(
        "a network {name} is there that is not this agent's, and it is not as the spec wants it; it is left alone. Remove it, or give the spec another name"
    )]
    Foreign { name: String },
    /// A container of somebody else's is in it.
    #[error(
        "network {name} must be made anew for its new spec, and {who} in it, which this agent does not move; take it out, or give the spec another name"
    )]
    Occupied { name: String, who: String },
    /// The engine takes the spec and makes something else of it.
    #[error(
        "the engine has made network {name} with another {fields} than was asked for; it is left as it is. Ask for what its driver can do"
    )]
    NotKept { name: String, fields: String },
    /// The engine does not take the new spec, and what was there before is there again.
    #[error("network {name} cannot be made as the spec wants it, and is again as it was: {why}")]
    RolledBack { name: String, why: String },
}

impl Fault for NetworkError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "Conflict",
            Self::Occupied { .. } => "InUse",
            Self::NotKept { .. } => "NotKeptByEngine",
            Self::RolledBack { .. } => "UpdateRolledBack",
        }
    }

    fn was_rolled_back(&self) -> bool {
        matches!(self, Self::RolledBack { .. })
    }

    fn can_retry(&self) -> bool {
        // Somebody may remove what has the name, or is in it.
        matches!(self, Self::Foreign { .. } | Self::Occupied { .. })
    }
}

impl<E: ContainerEngine> ContainerNetworkReconciler<E> {
    /// A reconciler that works in the engine at the end of `link`.
    pub fn new(link: Arc<Link<E>>) -> Self {
        Self { link, names: Arc::default(), formers: Arc::default() }
    }

    fn sight(&self, spec: &ContainerNetworkSpec, name: String, all: &[Network]) -> Sight {
        let found = all.iter().find(|network| network.name == name).cloned();
        let take_over = spec.take_over.as_ref();
        let is_ours = found
            .as_ref()
            .is_some_and(|network| marks::belongs(&self.link.agent, take_over, &network.labels));
        Sight { name, is_ours, found }
    }

    /// The names of those that were made for `id`, which is called `name` now, and that are no other resource's.
    fn left_behind(&self, id: &ResourceId, name: &str, all: &[Network]) -> Vec<String> {
        let is_left = |network: &&Network| {
            marks::is_ours(&self.link.agent, &network.labels)
                && network.labels.get(marks::RESOURCE).is_some_and(|born_for| born_for == id.as_str())
                && network.name != name
                && self.names.whose(&network.name).is_none_or(|whose| whose == *id)
        };
        all.iter().filter(is_left).map(|network| network.name.clone()).collect()
    }

    /// Our containers that are in a network, and how; of one that is taken over, all but other agents'. With others in it, nobody is moved.
    async fn members(
        &self,
        spec: &ContainerNetworkSpec,
        network: &str,
    ) -> Result<Vec<(String, Attachment)>, ReconcileError> {
        let mut members = Vec::new();
        let all = self.link.engine.containers().await?;
        let take_over = spec.take_over.as_ref().map(|_| TakeOver::default());
        let is_ours = |listed: &&Listed| marks::belongs(&self.link.agent, take_over.as_ref(), &listed.labels);
        let is_in = |listed: &&Listed| listed.networks.iter().any(|name| name == network);
        let others: Vec<_> = all.iter().filter(is_in).filter(|listed| !is_ours(listed)).collect();
        if !others.is_empty() {
            let who = others.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>().join(", ");
            let who = if others.len() == 1 {
                format!("container {who} is")
            } else {
                format!("containers {who} are")
            };
            return Err(NetworkError::Occupied { name: network.to_owned(), who }.into());
        }
        for listed in all.iter().filter(is_ours) {
            let container = self.link.engine.container(&listed.id).await?;
            let attachment = container.and_then(|container| marks::attachment(&container, network));
            members.extend(attachment.map(|attachment| (listed.id.clone(), attachment)));
        }
        // Who has an address of its own comes before those who are given any.
        members.sort_by_key(|(_, attachment): &(String, Attachment)| attachment.ip.is_empty());
        Ok(members)
    }

    /// Takes ours out of a network and removes it. With others in it, it stays, and so do ours.
    async fn clear(&self, network: &str, members: &[(String, Attachment)]) -> Result<(), ReconcileError> {
        for (container, _) in members {
            self.link.engine.disconnect(container, network).await?;
        }
        let removed = self.link.engine.remove_network(network).await;
        if removed.is_err() {
            self.put_back(members).await?;
        }
        Ok(removed?)
    }

    /// How the network was before: as it was seen, or, where a kill has come between, as it was applied.
    fn former(
        &self,
        put: &Put<'_, ContainerNetworkSpec>,
        seen: &Sight,
    ) -> Option<(ContainerNetworkSpec, Texts)> {
        let owned = put.owned;
        let has_name = owned.applied && name_of(owned.spec, put.id) == seen.name;
        let is_another = owned.spec != put.spec;
        seen.found.as_ref().map(former::as_seen).or_else(|| {
            let applied = (has_name && is_another).then_some(owned.spec)?;
            Some((applied.clone(), former::marks(&self.link.agent, put.id, applied)))
        })
    }

    /// Connects one as it was; where it cannot have the addresses that it had, with others.
    async fn connect(&self, container: &str, attachment: &Attachment) -> Result<(), EngineError> {
        match self.link.engine.connect(container, attachment).await {
            Err(_) if !attachment.ip.is_empty() => {
                let with_others = Attachment { ip: Vec::new(), ..attachment.clone() };
                self.link.engine.connect(container, &with_others).await
            }
            connected => connected,
        }
    }

    /// Puts all back who are not in it by now. That one of them cannot be keeps no other out.
    async fn put_back(&self, members: &[(String, Attachment)]) -> Result<(), EngineError> {
        let mut result = Ok(());
        for (container, attachment) in members {
            let Err(error) = self.connect(container, attachment).await else { continue };
            let path = format!("networks.{}", attachment.name);
            match self.link.engine.container(container).await {
                Ok(Some(found)) if found.shape.get(&path).is_none() => result = Err(error),
                // It is in it, or it is gone.
                Ok(_) => {}
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Makes it anew, with our containers in it as they were.
    async fn make(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerNetworkSpec>,
        seen: &Sight,
    ) -> Result<(), ReconcileError> {
        let name = &seen.name;
        let members = if seen.is_present() { self.members(put.spec, name).await? } else { Vec::new() };
        cx.check()?;
        let _rebuilding = self.link.rebuild(name, &members);
        if seen.is_present() {
            self.clear(name, &members).await?;
        }
        let wanted = Shape::wanted_network(put.spec);
        let marks = marks::marks(&self.link.agent, put.id, put.digest, &wanted);
        let made = self.link.engine.create_network(name, put.spec, &marks).await;
        if let (Err(error), Some((spec, marks))) = (&made, self.former(put, seen)) {
            self.link.engine.create_network(name, &spec, &marks).await?;
            self.put_back(&members).await?;
            if blames_the_spec(error) {
                return Err(NetworkError::RolledBack { name: name.clone(), why: error.to_string() }.into());
            }
        }
        made?;
        self.put_back(&members).await?;
        let made = self.sight(put.spec, name.clone(), &self.link.engine.networks().await?);
        let differences = if made.is_present() { made.drift(put.spec) } else { Vec::new() };
        match differences.as_slice() {
            [] => Ok(()),
            differences => {
                let fields: Vec<_> = differences.iter().map(|own| own.path.as_str()).collect();
                Err(NetworkError::NotKept { name: name.clone(), fields: fields.join(", ") }.into())
            }
        }
    }

    /// The names of those that are ours to remove: held, or left behind, and not `name`.
    fn to_go(
        &self,
        id: &ResourceId,
        name: &str,
        owned: Owned<'_, ContainerNetworkSpec>,
        all: &[Network],
    ) -> BTreeSet<String> {
        let was_absent =
            |held: &str| owned.held.get(&Claim::Network(held.to_owned())) == Some(&Before::Absent);
        let is_ours = |held: &str| self.sight(owned.spec, held.to_owned(), all).is_ours;
        let held = held(owned).into_iter();
        let held = held.filter(|held| held != name && was_absent(held) && is_ours(held));
        held.chain(self.left_behind(id, name, all)).collect()
    }
}

/// Whether that a network cannot be made says something of its spec, and not only of what the engine and its other networks are like at this moment.
fn blames_the_spec(error: &EngineError) -> bool {
    let passes = [Cause::NoAddresses, Cause::InsufficientStorage, Cause::InConflict, Cause::Leaving];
    matches!(error, EngineError::Unsupported { .. })
        || error.cause().is_some_and(|cause| !passes.contains(&cause))
}

/// What is wanted of a target, or was wanted last.
fn meant<'a>(target: &Target<'a, ContainerNetworkSpec>) -> Option<&'a ContainerNetworkSpec> {
    target.wanted.or(target.owned.as_ref().map(|owned| owned.spec))
}

/// The name that a resource has in the engine.
fn name_of(spec: &ContainerNetworkSpec, id: &ResourceId) -> String {
    EngineName::of(spec.name.as_ref(), id)
}

impl<E: ContainerEngine> Reconciler for ContainerNetworkReconciler<E> {
    type Spec = ContainerNetworkSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, ContainerNetworkSpec>]) -> Result<Sights<Sight>, Unseen> {
        self.link.open().await?;
        let all = self.link.engine.networks().await?;
        let is_watched = |target: &Target<'_, _>| target.wanted.is_some() && target.owned.is_some();

        let name = |target: &Target<'_, _>| meant(target).map(|spec| name_of(spec, target.id));
        for target in targets {
            self.names.set(target.id, name(target).filter(|_| target.owned.is_some()));
        }
        let mut sights = Sights::new();
        for target in targets {
            let Some(spec) = meant(target) else { continue };
            let name = name_of(spec, target.id);
            let seen = self.sight(spec, name.clone(), &all);
            if is_watched(target) {
                let left = self.left_behind(target.id, &name, &all);
                self.names.set(target.id, left.iter().cloned().chain([name]));
                self.formers.set(target.id, left);
            }
            sights.insert(target.id.clone(), Ok(seen));
        }
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, ContainerNetworkSpec>) -> Outcome<Sight> {
        cx.check()?;
        let name = name_of(put.spec, put.id);
        let all = self.link.engine.networks().await?;
        let seen = self.sight(put.spec, name.clone(), &all);
        match seen.drift(put.spec).as_slice() {
            [] => {}
            [..] if seen.is_present() && !seen.is_ours => return Err(NetworkError::Foreign { name }.into()),
            [..] => self.make(cx, put, &seen).await?,
        }
        // Those that are in a former one move over by steps of their own; it goes when nobody is in it any more.
        let former: Vec<_> = self.to_go(put.id, &name, put.owned, &all).into_iter().collect();
        let left = former::remove_unused(&self.link, former).await?;
        self.formers.set(put.id, left);
        Ok(None)
    }

    async fn delete(
        &self,
        cx: &StepContext,
        take: &Take<'_, ContainerNetworkSpec>,
    ) -> Result<(), ReconcileError> {
        cx.check()?;
        for name in self.to_go(take.id, "", take.owned, &self.link.engine.networks().await?) {
            self.link.engine.remove_network(&name).await?;
        }
        self.names.set(take.id, None);
        self.formers.set(take.id, Vec::new());
        Ok(())
    }

    async fn find_capability(&self) -> Result<Option<(&'static str, Capability)>, Unseen> {
        self.link.open().await?;
        Ok(self.capability())
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Some(("containerEngine", self.link.capability()?))
    }

    /// Beside the hints, former networks go when nobody is in them any more: that is a part of a step that was made, and nothing that is told.
    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        let (names, formers) = (Arc::clone(&self.names), Arc::clone(&self.formers));
        let hints = self.link.hints(move |subject| match subject {
            Subject::Network { name, .. } => {
                formers.hear(name);
                names.whose(name).map(Whose::Resource)
            }
            Subject::Container { .. } | Subject::Image | Subject::Volume(_) => None,
        });
        let tidying = former::tidy(Arc::clone(&self.link), Arc::clone(&self.formers));
        stream::select(hints, tidying).boxed()
    }
}

#[cfg(test)]
mod tests;

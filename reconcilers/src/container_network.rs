//! `ContainerNetwork`: a container engine's network. Engines do not change one, so it is made anew, with our containers put back into it.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use manifest_types::{
    claim::Claim,
    kinds::{
        container::Attachment,
        container_network::{ContainerNetworkSpec, Ipam, Pool},
        engine::{EngineName, LABEL_PREFIX, Texts},
    },
    name::ResourceId,
    status::Capability,
};
use serde_json::Value;

use self::sight::Sight;
use crate::{
    engine::{
        ContainerEngine,
        error::{Cause, EngineError},
        held,
        link::{Link, Names, Whose},
        marks,
        shape::Shape,
        terms::{Network, Subject},
    },
    error::{Fault, ReconcileError, Unseen},
    observation::{Before, Observed},
    reconciler::{Hint, Outcome, Owned, Put, Reconciler, Sights, StepContext, Take, Target},
};

#[cfg(any(test, feature = "testing"))]
pub mod fixture;
pub mod sight;

/// The reconciler of kind `ContainerNetwork`.
#[derive(Debug)]
pub struct ContainerNetworkReconciler<E> {
    link: Arc<Link<E>>,
    names: Arc<Names>,
}

/// A network that cannot be brought to its spec.
#[derive(Debug, thiserror::Error)]
enum NetworkError {
    /// Somebody else's has the name.
    #[error(
        "a network {name} is there that is not this agent's, and it is not as the spec wants it; it is left alone"
    )]
    Foreign { name: String },
    /// The engine takes the spec and makes something else of it.
    #[error(
        "the engine has made network {name} with another {fields} than was asked for; it is left as it is"
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
            Self::NotKept { .. } => "NotKeptByEngine",
            Self::RolledBack { .. } => "UpdateRolledBack",
        }
    }

    fn was_rolled_back(&self) -> bool {
        matches!(self, Self::RolledBack { .. })
    }

    fn can_retry(&self) -> bool {
        // Somebody may remove what has the name.
        matches!(self, Self::Foreign { .. })
    }
}

impl<E: ContainerEngine> ContainerNetworkReconciler<E> {
    /// A reconciler that works in the engine at the end of `link`.
    pub fn new(link: Arc<Link<E>>) -> Self {
        Self { link, names: Arc::default() }
    }

    fn sight(&self, name: String, all: &[Network]) -> Sight {
        let found = all.iter().find(|network| network.name == name).cloned();
        let is_ours = found.as_ref().is_some_and(|network| marks::is_ours(&self.link.agent, &network.labels));
        Sight { name, is_ours, found }
    }

    /// Our containers that are in a network, and how.
    async fn members(&self, network: &str) -> Result<Vec<(String, Attachment)>, EngineError> {
        let mut members = Vec::new();
        let all = self.link.engine.containers().await?;
        for listed in all.iter().filter(|listed| marks::is_ours(&self.link.agent, &listed.labels)) {
            let container = self.link.engine.container(&listed.id).await?;
            let attachment = container.and_then(|container| attachment(&container.shape, network));
            members.extend(attachment.map(|attachment| (listed.id.clone(), attachment)));
        }
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

    async fn put_back(&self, members: &[(String, Attachment)]) -> Result<(), EngineError> {
        for (container, attachment) in members {
            self.link.engine.connect(container, attachment).await?;
        }
        Ok(())
    }

    /// Makes it anew, with our containers in it as they were.
    async fn make(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerNetworkSpec>,
        seen: &Sight,
    ) -> Result<(), ReconcileError> {
        let name = &seen.name;
        let members = if seen.is_present() { self.members(name).await? } else { Vec::new() };
        cx.check()?;
        if seen.is_present() {
            self.clear(name, &members).await?;
        }
        let wanted = Shape::wanted_network(put.spec);
        let marks = marks::marks(&self.link.agent, put.id, put.digest, &wanted);
        let made = self.link.engine.create_network(name, put.spec, &marks).await;
        if let (Err(error), Some(former)) = (&made, &seen.found) {
            let (spec, marks) = former_spec(former);
            self.link.engine.create_network(name, &spec, &marks).await?;
            self.put_back(&members).await?;
            if !error.is_away() {
                return Err(NetworkError::RolledBack { name: name.clone(), why: error.to_string() }.into());
            }
        }
        made?;
        self.put_back(&members).await?;
        let made = self.sight(name.clone(), &self.link.engine.networks().await?);
        let differences = if made.is_present() { made.drift(put.spec) } else { Vec::new() };
        match differences.as_slice() {
            [] => Ok(()),
            differences => {
                let fields: Vec<_> = differences.iter().map(|own| own.path.as_str()).collect();
                Err(NetworkError::NotKept { name: name.clone(), fields: fields.join(", ") }.into())
            }
        }
    }

    /// Whether a network that is held is ours to remove.
    async fn is_to_go(
        &self,
        name: &str,
        owned: Owned<'_, ContainerNetworkSpec>,
    ) -> Result<bool, EngineError> {
        let was_absent = owned.held.get(&Claim::Network(name.to_owned())) == Some(&Before::Absent);
        let all = self.link.engine.networks().await?;
        Ok(was_absent && self.sight(name.to_owned(), &all).is_ours)
    }
}

/// The name that a resource has in the engine.
fn name_of(spec: &ContainerNetworkSpec, id: &ResourceId) -> String {
    EngineName::of(spec.name.as_ref(), id)
}

/// What makes a network again as it was: its spec, and its marks.
fn former_spec(network: &Network) -> (ContainerNetworkSpec, Texts) {
    let (marks, labels) =
        network.labels.clone().into_iter().partition(|(name, _)| name.starts_with(LABEL_PREFIX));
    let pool = |(subnet, gateway, range): &(String, Option<String>, Option<String>)| Pool {
        subnet: subnet.clone(),
        gateway: gateway.as_ref().and_then(|gateway| gateway.parse().ok()),
        ip_range: range.clone(),
    };
    let spec = ContainerNetworkSpec {
        name: None,
        driver: Some(network.driver.clone()),
        options: network.options.clone(),
        internal: network.internal,
        ipv6: network.ipv6,
        ipam: Some(Ipam {
            driver: Some(network.ipam_driver.clone()).filter(|driver| !driver.is_empty()),
            pools: network.pools.iter().map(pool).collect(),
        }),
        labels,
    };
    (spec, marks)
}

/// How a container is in a network, if it is. The engine gives addresses anew, and names that it has given itself mean nothing in another network.
fn attachment(shape: &Shape, network: &str) -> Option<Attachment> {
    shape.get(&format!("networks.{network}"))?;
    let aliases = shape.get(&format!("networks.{network}.aliases")).and_then(Value::as_array);
    let aliases = aliases.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Some(Attachment { name: network.parse().ok()?, aliases: aliases.collect(), ip: Vec::new() })
}

impl<E: ContainerEngine> Reconciler for ContainerNetworkReconciler<E> {
    type Spec = ContainerNetworkSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, ContainerNetworkSpec>]) -> Result<Sights<Sight>, Unseen> {
        self.link.open().await?;
        let all = self.link.engine.networks().await?;
        let mut sights = Sights::new();
        for target in targets {
            let Some(spec) = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec)) else {
                continue;
            };
            let name = name_of(spec, target.id);
            let is_watched = target.wanted.is_some() && target.owned.is_some();
            self.names.set(target.id, is_watched.then(|| name.clone()));
            sights.insert(target.id.clone(), Ok(self.sight(name, &all)));
        }
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, ContainerNetworkSpec>) -> Outcome<Sight> {
        cx.check()?;
        let name = name_of(put.spec, put.id);
        let seen = self.sight(name.clone(), &self.link.engine.networks().await?);
        match seen.drift(put.spec).as_slice() {
            [] => {}
            [..] if seen.is_present() && !seen.is_ours => return Err(NetworkError::Foreign { name }.into()),
            [..] => self.make(cx, put, &seen).await?,
        }
        for former in held(put.owned).iter().filter(|former| **former != name) {
            if !self.is_to_go(former, put.owned).await? {
                continue;
            }
            match self.link.engine.remove_network(former).await {
                // Whoever is in it waits for the new one, perhaps.
                Err(error) if error.cause() == Some(Cause::InConflict) => {
                    tracing::warn!(resource = %put.id, network = former, "the former network is in use; it is left as it is");
                }
                outcome => outcome?,
            }
        }
        Ok(None)
    }

    async fn delete(
        &self,
        cx: &StepContext,
        take: &Take<'_, ContainerNetworkSpec>,
    ) -> Result<(), ReconcileError> {
        cx.check()?;
        for name in held(take.owned) {
            if self.is_to_go(&name, take.owned).await? {
                self.link.engine.remove_network(&name).await?;
            }
        }
        self.names.set(take.id, None);
        Ok(())
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
        self.link.hints(move |subject| match subject {
            Subject::Network { name, .. } => names.whose(name).map(Whose::Resource),
            Subject::Container { .. } | Subject::Image | Subject::Volume(_) => None,
        })
    }
}

#[cfg(test)]
mod tests;

//! What a network was before: how it is made again when it could not be replaced, how its containers were in it, and what becomes of the one under its former name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use manifest_types::{
    kinds::{
        container_network::{ContainerNetworkSpec, Ipam},
        engine::{LABEL_PREFIX, Texts},
    },
    name::{AgentId, ResourceId},
};
use tokio::sync::Notify;

use crate::{
    engine::{
        Answer, ContainerEngine,
        error::Cause,
        link::Link,
        marks::{AGENT, FIELDS, RESOURCE},
        shape::{Birth, Shape},
        terms::Network,
    },
    reconciler::Hint,
};

/// The marks of one that is made again from a spec that was applied. What digest that had, nobody remembers.
pub(super) fn marks(agent: &AgentId, id: &ResourceId, spec: &ContainerNetworkSpec) -> Texts {
    Texts::from([
        (AGENT.to_owned(), agent.to_string()),
        (RESOURCE.to_owned(), id.to_string()),
        (FIELDS.to_owned(), Birth::of(&Shape::wanted_network(spec)).to_string()),
    ])
}

/// What makes a network again as it was seen: its spec, and its marks.
pub(super) fn as_seen(network: &Network) -> (ContainerNetworkSpec, Texts) {
    let (marks, labels) =
        network.labels.clone().into_iter().partition(|(name, _)| name.starts_with(LABEL_PREFIX));
    let spec = ContainerNetworkSpec {
        name: None,
        driver: Some(network.driver.clone()),
        options: network.options.clone(),
        internal: network.internal,
        ipv6: network.ipv6,
        ipam: Some(Ipam {
            driver: Some(network.ipam_driver.clone()).filter(|driver| !driver.is_empty()),
            pools: network.pools.clone(),
            options: network.ipam_options.clone(),
        }),
        labels,
        take_over: None,
    };
    (spec, marks)
}

/// After something has happened, it is tried so long apart whether anybody is still in a former network.
const WAITS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];

/// The networks that resources had under other names before, and that are to go once nobody is in them.
#[derive(Debug, Default)]
pub(super) struct Formers {
    names: Mutex<BTreeMap<ResourceId, Vec<String>>>,
    /// Something may be to do.
    stirred: Notify,
}

impl Formers {
    /// From now on these are the former ones of `id`, and no others.
    pub(super) fn set(&self, id: &ResourceId, names: Vec<String>) {
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.is_empty() {
            all.remove(id);
        } else {
            all.insert(id.clone(), names);
            self.stirred.notify_one();
        }
    }

    /// Something has happened to the network of this name.
    pub(super) fn hear(&self, name: &str) {
        if self.all().contains(name) {
            self.stirred.notify_one();
        }
    }

    /// Those that are not among these have gone.
    fn keep_only(&self, left: &[String]) {
        let mut all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        all.values_mut().for_each(|names| names.retain(|name| left.contains(name)));
        all.retain(|_, names| !names.is_empty());
    }

    fn all(&self) -> BTreeSet<String> {
        let all = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().flatten().cloned().collect()
    }
}

/// Removes those of some networks that nobody is in; those that are left.
pub(super) async fn remove_unused<E: ContainerEngine>(
    link: &Link<E>,
    names: Vec<String>,
) -> Answer<Vec<String>> {
    if names.is_empty() {
        return Ok(names);
    }
    let containers = link.engine.containers().await?;
    let is_used = |name: &String| containers.iter().any(|container| container.networks.contains(name));
    let (mut left, unused): (Vec<_>, Vec<_>) = names.into_iter().partition(is_used);
    for name in unused {
        match link.engine.remove_network(&name).await {
            // Whoever has come to be in it waits for the new one, perhaps.
            Err(error) if error.cause() == Some(Cause::InConflict) => left.push(name),
            outcome => outcome?,
        }
    }
    Ok(left)
}

/// Removes former networks whenever that may be possible. It hints at nothing, and ends with whoever polls it.
pub(super) fn tidy<E: ContainerEngine>(
    link: Arc<Link<E>>,
    formers: Arc<Formers>,
) -> BoxStream<'static, Hint> {
    let rounds = stream::unfold((link, formers), |(link, formers)| async move {
        formers.stirred.notified().await;
        // An engine tells that somebody has left before its list does.
        for wait in WAITS {
            tokio::time::sleep(wait).await;
            match remove_unused(&link, formers.all().into_iter().collect()).await {
                Ok(left) => formers.keep_only(&left),
                Err(error) => tracing::debug!(%error, "former networks are left for now"),
            }
            if formers.all().is_empty() {
                break;
            }
        }
        Some(((), (link, formers)))
    });
    rounds.filter_map(|()| std::future::ready(None)).boxed()
}

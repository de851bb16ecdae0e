//! How a network is made again that could not be replaced, and how its containers were in it. Pure.

use manifest_types::{
    kinds::{
        container::Attachment,
        container_network::{ContainerNetworkSpec, Ipam, Pool},
        engine::{LABEL_PREFIX, Texts},
    },
    name::{AgentId, ResourceId},
};
use serde_json::Value;

use crate::engine::{
    marks::{AGENT, FIELDS, RESOURCE},
    shape::{Birth, Shape},
    terms::Network,
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
pub(super) fn attachment(shape: &Shape, network: &str) -> Option<Attachment> {
    shape.get(&format!("networks.{network}"))?;
    let aliases = shape.get(&format!("networks.{network}.aliases")).and_then(Value::as_array);
    let aliases = aliases.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    Some(Attachment { name: network.parse().ok()?, aliases: aliases.collect(), ip: Vec::new() })
}

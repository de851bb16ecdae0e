//! A network of a release.

use manifest_types::kinds::{
    container_network::{Ipam, Pool},
    engine::Texts,
};

use super::volume::external;
use crate::source::balena::{
    compose::texts::{filled, flag, scalar, texts},
    document::{Fields, Node, Read, all, all_named},
};

/// What a release says of a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// What makes it.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: Texts,
    /// Whether it leads nowhere but to its own containers.
    pub is_internal: bool,
    /// Whether it has IPv6 addresses, too.
    pub has_ipv6: bool,
    /// How addresses are given.
    pub ipam: Option<Ipam>,
    /// Labels.
    pub labels: Texts,
    /// Whether it is there for other networks to be made from only, and no service can be in it.
    pub is_config_only: bool,
}

/// Reads one.
pub fn network(node: &Node<'_>) -> Read<Network> {
    if node.value().is_null() {
        return Ok(Network::default());
    }
    let mut fields = Fields::of(node)?;
    let network = Network {
        driver: fields.take("driver", filled),
        options: fields.take("driver_opts", texts).unwrap_or_default(),
        is_internal: fields.take("internal", flag).unwrap_or(false),
        has_ipv6: fields.take("enable_ipv6", flag).unwrap_or(false),
        ipam: fields.take("ipam", ipam).flatten(),
        labels: fields.take("labels", texts).unwrap_or_default(),
        is_config_only: fields.take("config_only", flag).unwrap_or(false),
    };
    fields.ignore(&["attachable"], "is ignored: it is a word of clusters");
    external(&mut fields);
    fields.end(Some(network))
}

fn ipam(node: &Node<'_>) -> Read<Option<Ipam>> {
    let mut fields = Fields::of(node)?;
    let driver = fields.take("driver", filled);
    let pools = fields.take("config", |node| all(node.items()?.iter().map(pool)));
    let options = fields.take("options", texts).unwrap_or_default();
    let pools: Vec<_> = pools.into_iter().flatten().flatten().collect();
    // What says nothing, or what is usual, is left to the engine.
    let driver = driver.filter(|driver| driver != "default");
    let says_nothing = driver.is_none() && pools.is_empty() && options.is_empty();
    let ipam = Ipam { driver, pools, options };
    fields.end(Some(Some(ipam).filter(|_| !says_nothing)))
}

fn pool(node: &Node<'_>) -> Read<Option<Pool>> {
    let mut fields = Fields::of(node)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let address = |node: &Node<'_>| node.parse("an address");
    let subnet = fields.need("subnet", scalar);
    let gateway = fields.take("gateway", address);
    let ip_range = fields.take("ip_range", scalar);
    let aux_addresses = fields
        .take("aux_addresses", |node| {
            all_named(node.members()?.iter().map(|(name, node)| ((*name).to_owned(), address(node))))
        })
        .unwrap_or_default();
    fields.end(subnet.map(|subnet| Some(Pool { subnet, gateway, ip_range, aux_addresses })))
}

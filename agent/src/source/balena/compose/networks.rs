//! The networks that a service is in.

use core::net::IpAddr;
use std::collections::BTreeMap;

use manifest_types::kinds::container::{Attachment, NetworkMode};

use crate::source::balena::{
    compose::{
        quantities::whole,
        texts::{list, scalar, texts},
    },
    document::{Fields, Node, Read, all, all_named},
};

/// What a service says of its network.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    /// The manifest has a word for it.
    Own(NetworkMode),
    /// That of another service.
    OfService(String),
    /// That of a container by its name.
    OfContainer(String),
    /// A network by its name in the release.
    Named(String),
}

/// Reads `network_mode`.
pub(super) fn mode(node: &Node<'_>) -> Read<Mode> {
    let word = node.text()?;
    Ok(match word {
        "host" => Mode::Own(NetworkMode::Host),
        "none" => Mode::Own(NetworkMode::None),
        "bridge" => Mode::Own(NetworkMode::Bridge),
        "" => return node.wrong("is empty"),
        _ => match word.split_once(':') {
            Some(("service", name)) if !name.is_empty() => Mode::OfService(name.to_owned()),
            Some(("container", name)) if !name.is_empty() => Mode::OfContainer(name.to_owned()),
            Some(_) => {
                return node.wrong("must be host, bridge, none, a network, service:NAME or container:NAME");
            }
            None => Mode::Named(word.to_owned()),
        },
    })
}

/// Reads `networks`: those with a higher priority first, and by their names where they have the same. Names are the release's.
pub(super) fn networks(node: &Node<'_>) -> Read<Vec<Attachment>> {
    let attachments: Vec<(i64, Attachment)> = if node.value().is_array() {
        let by_name = |node: &Node<'_>| Ok((0, Attachment::to(node.parse("a network's name")?)));
        all(node.items()?.iter().map(by_name))?
    } else {
        all_named(node.members()?.iter().map(|(name, node)| (*name, attachment(name, node))))?
            .into_values()
            .collect()
    };
    // The first one of a name counts, and the order in which they are written does not.
    let mut sorted = BTreeMap::new();
    for (priority, attachment) in attachments {
        sorted.insert((-priority, attachment.name.clone()), attachment);
    }
    Ok(sorted.into_values().collect())
}

fn attachment(name: &str, node: &Node<'_>) -> Read<(i64, Attachment)> {
    let Ok(name) = name.parse() else { return node.wrong("is no network's name") };
    let mut own = Attachment::to(name);
    if node.value().is_null() {
        return Ok((0, own));
    }
    let mut fields = Fields::of(node)?;
    own.aliases = fields.take("aliases", list).unwrap_or_default();
    let four = fields.take("ipv4_address", |node| address(node, IpAddr::is_ipv4, "an IPv4 address"));
    let six = fields.take("ipv6_address", |node| address(node, IpAddr::is_ipv6, "an IPv6 address"));
    own.ip = four.into_iter().chain(six).collect();
    let any = |node: &Node<'_>| address(node, |_| true, "an address");
    own.link_local_ips =
        fields.take("link_local_ips", |node| all(node.items()?.iter().map(any))).unwrap_or_default();
    own.mac = fields.take("mac_address", |node| node.parse("an address such as \"52:54:00:12:34:56\""));
    own.driver_options = fields.take("driver_opts", texts).unwrap_or_default();
    let priority = fields.take("priority", |node| whole(node, -1_000_000..=1_000_000)).unwrap_or(0);
    own.gateway_priority =
        fields.take("gw_priority", |node| whole(node, i64::from(i32::MIN)..=i64::from(i32::MAX)));
    fields.take("interface_name", |node| {
        scalar(node)?;
        node.note("is ignored: the engine names interfaces");
        Ok(())
    });
    fields.end(Some((priority, own)))
}

fn address(node: &Node<'_>, is_right: fn(&IpAddr) -> bool, expected: &str) -> Read<IpAddr> {
    let address: IpAddr = node.parse(expected)?;
    if is_right(&address) { Ok(address) } else { node.wrong(format!("must be {expected}")) }
}

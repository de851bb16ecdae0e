//! Devices, limits and hosts that a service knows.

use core::net::IpAddr;
use std::collections::BTreeMap;

use manifest_types::kinds::{
    container::{Device, Ulimit},
    engine::Texts,
};

use crate::source::balena::{
    compose::{quantities::whole, texts::scalar},
    document::{Fields, Node, Read, all, all_named},
};

/// Reads `devices`: `HOST[:CONTAINER[:RIGHTS]]`, or objects.
pub(super) fn devices(node: &Node<'_>) -> Read<Vec<Device>> {
    all(node.items()?.iter().map(device))
}

fn device(node: &Node<'_>) -> Read<Device> {
    if node.value().is_object() {
        let mut fields = Fields::of(node)?;
        let host = fields.need("source", scalar);
        let container = fields.take("target", scalar);
        let permissions = fields.take("permissions", scalar);
        return fields.end(host.map(|host| Device { host, container, permissions }));
    }
    let text = node.text()?;
    let mut parts = text.splitn(3, ':');
    let host = parts.next().unwrap_or_default().to_owned();
    if !host.starts_with('/') {
        return node.wrong("must be HOST[:CONTAINER[:RIGHTS]] with the path of a device; names of CDI devices are not known here");
    }
    let (container, permissions) = (parts.next().map(str::to_owned), parts.next().map(str::to_owned));
    // What has no path in between is a device and its rights.
    match (container, permissions) {
        (Some(rights), None) if !rights.starts_with('/') => {
            Ok(Device { host, container: None, permissions: Some(rights) })
        }
        (container, permissions) => Ok(Device { host, container, permissions }),
    }
}

/// Reads `ulimits`: a number, or an object with `soft` and `hard`.
pub(super) fn ulimits(node: &Node<'_>) -> Read<BTreeMap<String, Ulimit>> {
    all_named(node.members()?.iter().map(|(name, node)| ((*name).to_owned(), ulimit(node))))
}

fn ulimit(node: &Node<'_>) -> Read<Ulimit> {
    let limit = |node: &Node<'_>| whole(node, -1..=i64::MAX);
    if !node.value().is_object() {
        let both = limit(node)?;
        return Ok(Ulimit { soft: both, hard: both });
    }
    let mut fields = Fields::of(node)?;
    let (soft, hard) = (fields.need("soft", limit), fields.need("hard", limit));
    fields.end(soft.zip(hard).map(|(soft, hard)| Ulimit { soft, hard }))
}

/// Reads `extra_hosts`: a list of `NAME=ADDRESS` or `NAME:ADDRESS`, or an object.
pub(super) fn hosts(node: &Node<'_>) -> Read<Texts> {
    let mut hosts = Texts::new();
    if node.value().is_array() {
        for node in node.items()? {
            let line = node.text()?;
            let Some((name, address)) = line.split_once('=').or_else(|| line.split_once(':')) else {
                return node.wrong("must be NAME=ADDRESS");
            };
            add(&mut hosts, &node, name, address)?;
        }
        return Ok(hosts);
    }
    for (name, node) in node.members()? {
        match node.value().as_array() {
            Some(_) => {
                for node in node.items()? {
                    add(&mut hosts, &node, name, node.text()?)?;
                }
            }
            None => add(&mut hosts, &node, name, node.text()?)?,
        }
    }
    Ok(hosts)
}

fn add(hosts: &mut Texts, node: &Node<'_>, name: &str, address: &str) -> Read<()> {
    let inside = address.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = inside.unwrap_or(address.trim());
    if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
        return node.wrong("must be an address or host-gateway");
    }
    let former = hosts.insert(name.trim().to_owned(), address.to_owned());
    if former.is_some_and(|former| former != address) {
        return node.wrong("is another address of a host that has one already");
    }
    Ok(())
}

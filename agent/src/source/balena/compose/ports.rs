//! Published ports: `[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`, a number, or an object.

use core::net::IpAddr;

use manifest_types::kinds::container::{Port, PortRange, Protocol};

use crate::source::balena::{
    compose::texts::{one_or_many, scalar},
    document::{Fields, Node, Read, all},
};

const EXPECTED: &str =
    "must be [IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL], such as \"127.0.0.1:8080:80/tcp\"";

/// The ports of a service.
pub(super) fn ports(node: &Node<'_>) -> Read<Vec<Port>> {
    all(node.items()?.iter().map(port))
}

fn port(node: &Node<'_>) -> Read<Port> {
    let port = if node.value().is_object() {
        long(node)?
    } else {
        let text = scalar(node)?;
        match short(&text) {
            Some(port) => port,
            None => return node.wrong(EXPECTED),
        }
    };
    let fits = port.host.is_none_or(|host| port.container.len() == 1 || host.len() == port.container.len());
    if fits { Ok(port) } else { node.wrong("has another number of ports on the host than in the container") }
}

fn short(text: &str) -> Option<Port> {
    let (rest, protocol) = match text.rsplit_once('/') {
        Some((rest, protocol)) => (rest, known(protocol)?),
        None => (text, Protocol::Tcp),
    };
    let (host, container) = match rest.rsplit_once(':') {
        Some((host, container)) => (host, container),
        None => ("", rest),
    };
    let (ip, host) = match host.rsplit_once(':') {
        Some((ip, host)) => (Some(address(ip)?), host),
        None => (None, host),
    };
    let host = if host.is_empty() { None } else { Some(range(host)?) };
    Some(Port { container: range(container)?, host, ip, protocol })
}

fn long(node: &Node<'_>) -> Read<Port> {
    let mut fields = Fields::of(node)?;
    let container = fields.need("target", a_range);
    let host = fields.take("published", |node| match node.value().as_str() {
        Some("" | "0") => Ok(None),
        _ => a_range(node).map(Some),
    });
    let ip = fields.take("host_ip", |node| match address(node.text()?) {
        Some(ip) => Ok(ip),
        None => node.wrong("must be an address"),
    });
    let protocol = fields.take("protocol", |node| match known(node.text()?) {
        Some(protocol) => Ok(protocol),
        None => node.wrong("must be tcp, udp or sctp"),
    });
    fields.skip(&["mode", "name", "app_protocol"]);
    let port = container.map(|container| Port {
        container,
        host: host.flatten(),
        ip,
        protocol: protocol.unwrap_or_default(),
    });
    fields.end(port)
}

fn a_range(node: &Node<'_>) -> Read<PortRange> {
    match range(&scalar(node)?) {
        Some(range) => Ok(range),
        None => node.wrong("must be a port (1 to 65535) or a range such as \"8000-8010\""),
    }
}

fn range(text: &str) -> Option<PortRange> {
    text.parse().ok()
}

fn known(protocol: &str) -> Option<Protocol> {
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        "sctp" => Some(Protocol::Sctp),
        _ => None,
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inside.unwrap_or(text).parse().ok()
}

/// The ports that a service tells others of. Nothing follows from them: within a network all ports can be reached.
pub(super) fn exposed(node: &Node<'_>) -> Read<()> {
    one_or_many(node).map(drop)
}

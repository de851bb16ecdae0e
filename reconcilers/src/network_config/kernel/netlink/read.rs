//! What the kernel tells of interfaces, addresses and routes. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use manifest_types::kinds::network_config::Mac;
use nix::libc;

use super::packet::Packet;
use crate::network_config::terms::{Addr, Link, Links, Made, Route};

/// The sizes of headers: `ifinfomsg`, `ifaddrmsg`, `rtmsg`, `ndmsg`.
pub(super) const LINK: usize = 16;
pub(super) const ADDRESS: usize = 8;
pub(super) const ROUTE: usize = 12;
pub(super) const NEIGHBOUR: usize = 12;

/// The states of an interface, by the kernel's numbers (RFC 2863).
const STATES: [&str; 7] = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
const IFLA_VLAN_ID: u16 = 1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_UP: u32 = 0x1;
const IFA_F_PERMANENT: u32 = 0x80;
pub(super) const IFA_F_NOPREFIXROUTE: u32 = 0x200;
/// Of a route: its router is at the other end.
pub(super) const RTNH_F_ONLINK: u32 = 0x4;
/// Where the numbers of interfaces are in each way of a route that has several (`rtnexthop`).
const WAY: usize = 8;
const RTM_F_CLONED: u32 = 0x200;
const LOCAL_TABLE: u32 = 255;
/// A route whose way is an object of its own (`RTA_NH_ID`).
const RTA_NH_ID: u16 = 30;

/// All of it together.
pub(super) fn links(told: &[Packet]) -> Links {
    let names: BTreeMap<u32, String> = told
        .iter()
        .filter(|packet| packet.kind == libc::RTM_NEWLINK)
        .filter_map(|packet| Some((packet.word(4), packet.attributes(LINK).text(libc::IFLA_IFNAME)?)))
        .collect();
    let mut links = Links::new();
    for packet in told.iter().filter(|packet| packet.kind == libc::RTM_NEWLINK) {
        if let Some((name, link)) = link(packet, &names) {
            links.insert(name, link);
        }
    }
    let routes = told.iter().filter(|packet| packet.kind == libc::RTM_NEWROUTE);
    for (ways, what) in routes.filter_map(beyond) {
        for name in ways.iter().filter_map(|way| names.get(way)) {
            if let Some(link) = links.get_mut(name) {
                link.beyond.insert(what.clone());
            }
        }
    }
    for packet in told {
        let (index, found) = match packet.kind {
            libc::RTM_NEWADDR => (packet.word(4), address(packet).map(Found::Address)),
            libc::RTM_NEWROUTE => {
                (packet.attributes(ROUTE).number(libc::RTA_OIF).unwrap_or(0), route(packet).map(Found::Route))
            }
            _ => continue,
        };
        let link = names.get(&index).and_then(|name| links.get_mut(name));
        match (link, found) {
            (Some(link), Some(Found::Address(addr))) => _ = link.addresses.insert(addr),
            (Some(link), Some(Found::Route(route))) => _ = link.routes.insert(route),
            _ => {}
        }
    }
    links.values_mut().for_each(Link::know_leases);
    links
}

enum Found {
    Address(Addr),
    Route(Route),
}

fn link(packet: &Packet, names: &BTreeMap<u32, String>) -> Option<(String, Link)> {
    let (flags, all) = (packet.word(8), packet.attributes(LINK));
    if flags & IFF_LOOPBACK != 0 {
        return None;
    }
    let name_of = |kind| all.number(kind).and_then(|index| names.get(&index)).cloned();
    let info = all.nested(libc::IFLA_LINKINFO);
    let made = info.text(libc::IFLA_INFO_KIND).map(|kind| match kind.as_str() {
        "bridge" => Made::Bridge,
        "vlan" => {
            let id = info.nested(libc::IFLA_INFO_DATA).get(IFLA_VLAN_ID);
            let id = id.and_then(|id| id.try_into().ok()).map_or(0, u16::from_ne_bytes);
            Made::Vlan { id, parent: name_of(libc::IFLA_LINK).unwrap_or_default() }
        }
        // With its other end in another namespace, the number is one of there.
        "veth" => {
            let is_elsewhere = all.get(libc::IFLA_LINK_NETNSID).is_some();
            let peer = name_of(libc::IFLA_LINK).filter(|_| !is_elsewhere);
            Made::Veth { peer: peer.unwrap_or_default() }
        }
        other => Made::Other(other.to_owned()),
    });
    let state = all.get(libc::IFLA_OPERSTATE).and_then(|state| state.first()).copied().unwrap_or(0);
    let link = Link {
        index: packet.word(4),
        mac: all.get(libc::IFLA_ADDRESS).and_then(|mac| mac.try_into().ok()).map(Mac),
        made,
        is_up: flags & IFF_UP != 0,
        oper_state: STATES.get(usize::from(state)).copied().unwrap_or("unknown").to_owned(),
        mtu: all.number(libc::IFLA_MTU).unwrap_or(0),
        master: name_of(libc::IFLA_MASTER),
        ..Link::default()
    };
    Some((all.text(libc::IFLA_IFNAME)?, link))
}

fn address(packet: &Packet) -> Option<Addr> {
    let all = packet.attributes(ADDRESS);
    let ip = all.ip(libc::IFA_LOCAL).or_else(|| all.ip(libc::IFA_ADDRESS))?;
    let flags = all.number(libc::IFA_FLAGS).unwrap_or_else(|| u32::from(packet.byte(2)));
    Some(Addr {
        net: IpNet::new(ip, packet.byte(1)).ok()?,
        is_leased: flags & IFA_F_PERMANENT == 0,
        peer: all.ip(libc::IFA_ADDRESS).filter(|other| *other != ip),
        is_bare: flags & IFA_F_NOPREFIXROUTE != 0,
    })
}

fn route(packet: &Packet) -> Option<Route> {
    let all = packet.attributes(ROUTE);
    let is_v6 = i32::from(packet.byte(0)) == libc::AF_INET6;
    let nowhere = if is_v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let to = IpNet::new(all.ip(libc::RTA_DST).unwrap_or(nowhere), packet.byte(1)).ok()?;
    let table = all.number(libc::RTA_TABLE).unwrap_or_else(|| u32::from(packet.byte(4)));
    let is_unicast = packet.byte(7) == libc::RTN_UNICAST;
    let is_cached = packet.word(8) & RTM_F_CLONED != 0;
    let is_plain = is_unicast && !is_cached && table != LOCAL_TABLE && !(is_v6 && to.addr().is_multicast());
    let route = Route {
        to,
        via: all.ip(libc::RTA_GATEWAY),
        metric: all.number(libc::RTA_PRIORITY).unwrap_or(0),
        table,
        protocol: packet.byte(5),
        onlink: packet.word(8) & RTNH_F_ONLINK != 0,
        source: all.ip(libc::RTA_PREFSRC),
    };
    is_plain.then_some(route)
}

/// The interfaces of a route that has several ways, or one that is told by a number, and what it is for people.
fn beyond(packet: &Packet) -> Option<(Vec<u32>, String)> {
    let all = packet.attributes(ROUTE);
    let route = route(packet)?;
    // What the network says it says again.
    if route.follows() {
        return None;
    }
    let to = route.to;
    if let Some(mut rest) = all.get(libc::RTA_MULTIPATH) {
        let mut ways = Vec::new();
        while let Some(way) = rest.get(..WAY) {
            let length = usize::from(u16::from_ne_bytes([way[0], way[1]]));
            ways.push(u32::from_ne_bytes([way[4], way[5], way[6], way[7]]));
            rest = rest.get(length.max(WAY).next_multiple_of(4)..).unwrap_or_default();
        }
        return Some((ways, format!("a route to {to} by several ways")));
    }
    let way = all.number(libc::RTA_OIF)?;
    let is_numbered = all.get(RTA_NH_ID).is_some();
    let is_wrapped = all.get(libc::RTA_ENCAP).is_some();
    (is_numbered || is_wrapped)
        .then(|| (vec![way], format!("a route to {to} by a way that has another's number or wrapping")))
}

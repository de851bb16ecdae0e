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
const RTM_F_CLONED: u32 = 0x200;
const LOCAL_TABLE: u32 = 255;

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
    Some(Addr { net: IpNet::new(ip, packet.byte(1)).ok()?, is_leased: flags & IFA_F_PERMANENT == 0 })
}

fn route(packet: &Packet) -> Option<Route> {
    let all = packet.attributes(ROUTE);
    let is_v6 = i32::from(packet.byte(0)) == libc::AF_INET6;
    let nowhere = if is_v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let to = IpNet::new(all.ip(libc::RTA_DST).unwrap_or(nowhere), packet.byte(1)).ok()?;
    let table = all.number(libc::RTA_TABLE).unwrap_or_else(|| u32::from(packet.byte(4)));
    let is_unicast = packet.byte(7) == libc::RTN_UNICAST;
    let is_cached = packet.word(8) & RTM_F_CLONED != 0;
    let is_plain = is_unicast && !is_cached && table != LOCAL_TABLE && !to.addr().is_multicast();
    let route = Route {
        to,
        via: all.ip(libc::RTA_GATEWAY),
        metric: all.number(libc::RTA_PRIORITY).unwrap_or(0),
        table,
        protocol: packet.byte(5),
    };
    is_plain.then_some(route)
}

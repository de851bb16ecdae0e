//! What is asked of the kernel, as messages. Pure.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use nix::libc;

use super::{
    packet::{Packet, nested, octets, text_of},
    read::{IFA_F_NOPREFIXROUTE, RTNH_F_ONLINK},
};
use crate::network_config::{
    moves::Change,
    terms::{Addr, Made, Route},
};

const IFLA_VLAN_ID: u16 = 1;
const VETH_INFO_PEER: u16 = 1;
const IFF_UP: u32 = 0x1;
/// Asks the kernel to find a neighbour.
const NTF_USE: u8 = 0x01;

/// Numbers of interfaces, by name.
pub(super) type Index<'i> = &'i dyn Fn(&str) -> Option<u32>;

/// A message, and what is added to its flags beside that it is a request to be confirmed.
pub(super) type Asked = (Packet, u16);

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(index.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(change.to_ne_bytes());
    header
}

fn family(ip: IpAddr) -> u8 {
    u8::try_from(if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }).unwrap_or(0)
}

/// A change of one interface; `None`: an interface that it needs is not there.
pub(super) fn change(link: &str, change: &Change, index: Index<'_>) -> Option<Asked> {
    let own = || index(link);
    let set = |index: u32| Packet::new(libc::RTM_NEWLINK, &link_header(index, 0, 0));
    let asked = match change {
        Change::Make(made) => (make(link, made, index)?, CREATE),
        Change::Remove => (Packet::new(libc::RTM_DELLINK, &link_header(own()?, 0, 0)), 0),
        Change::Up(is_up) => {
            let flags = if *is_up { IFF_UP } else { 0 };
            (Packet::new(libc::RTM_NEWLINK, &link_header(own()?, flags, IFF_UP)), 0)
        }
        Change::Mtu(mtu) => (set(own()?).with_u32(libc::IFLA_MTU, *mtu), 0),
        Change::Master(master) => {
            let master = master.as_deref().map_or(Some(0), index)?;
            (set(own()?).with_u32(libc::IFLA_MASTER, master), 0)
        }
        Change::AddAddress(addr) => (address(libc::RTM_NEWADDR, own()?, *addr), CREATE),
        Change::RemoveAddress(addr) => (address(libc::RTM_DELADDR, own()?, *addr), 0),
        Change::AddRoute(added) => (route(libc::RTM_NEWROUTE, own()?, *added), CREATE),
        Change::RemoveRoute(removed) => (route(libc::RTM_DELROUTE, own()?, *removed), 0),
    };
    Some(asked)
}

fn make(link: &str, made: &Made, index: Index<'_>) -> Option<Packet> {
    let packet = Packet::new(libc::RTM_NEWLINK, &link_header(0, 0, 0)).with_text(libc::IFLA_IFNAME, link);
    let kind = |kind: &str| (libc::IFLA_INFO_KIND, text_of(kind));
    let info = match made {
        Made::Bridge => vec![kind("bridge")],
        Made::Vlan { id, parent } => {
            let data = nested(&[(IFLA_VLAN_ID, id.to_ne_bytes().to_vec())]);
            let packet = packet.with_u32(libc::IFLA_LINK, index(parent)?);
            return Some(
                packet.with_nested(libc::IFLA_LINKINFO, &[kind("vlan"), (libc::IFLA_INFO_DATA, data)]),
            );
        }
        Made::Veth { peer } => {
            let mut other = link_header(0, 0, 0);
            other.extend(nested(&[(libc::IFLA_IFNAME, text_of(peer))]));
            vec![kind("veth"), (libc::IFLA_INFO_DATA, nested(&[(VETH_INFO_PEER, other)]))]
        }
        Made::Other(word) => vec![kind(word)],
    };
    Some(packet.with_nested(libc::IFLA_LINKINFO, &info))
}

fn address(kind: u16, index: u32, addr: Addr) -> Packet {
    let ip = addr.net.addr();
    let mut header = vec![family(ip), addr.net.prefix_len(), 0, 0];
    header.extend(index.to_ne_bytes());
    let other = addr.peer.unwrap_or(ip);
    let mut packet =
        Packet::new(kind, &header).with_ip(libc::IFA_LOCAL, ip).with_ip(libc::IFA_ADDRESS, other);
    if addr.is_bare {
        packet = packet.with_u32(libc::IFA_FLAGS, IFA_F_NOPREFIXROUTE);
    }
    match addr.net {
        _ if addr.peer.is_some() => packet,
        IpNet::V4(net) if net.prefix_len() < 31 => {
            packet.with_ip(libc::IFA_BROADCAST, IpAddr::V4(net.broadcast()))
        }
        _ => packet,
    }
}

fn route(kind: u16, index: u32, route: Route) -> Packet {
    let to = route.to.addr();
    let scope =
        if route.via.is_some() || route.is_v6() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
    // Only the first 256 have room in the header.
    let table = u8::try_from(route.table).unwrap_or(0);
    let mut header =
        vec![family(to), route.to.prefix_len(), 0, 0, table, route.protocol, scope, libc::RTN_UNICAST];
    header.extend(if route.onlink { RTNH_F_ONLINK } else { 0 }.to_ne_bytes());
    let mut packet =
        Packet::new(kind, &header).with_u32(libc::RTA_OIF, index).with_u32(libc::RTA_TABLE, route.table);
    if route.to.prefix_len() > 0 {
        packet = packet.with_ip(libc::RTA_DST, to);
    }
    if let Some(via) = route.via {
        packet = packet.with_ip(libc::RTA_GATEWAY, via);
    }
    if let Some(source) = route.source {
        packet = packet.with_ip(libc::RTA_PREFSRC, source);
    }
    if route.metric > 0 { packet.with_u32(libc::RTA_PRIORITY, route.metric) } else { packet }
}

/// Everything of one sort: interfaces, addresses, routes or neighbours.
pub(super) fn all(kind: u16, header: usize) -> Packet {
    Packet::new(kind, &vec![0; header])
}

/// What is known of a neighbour goes.
pub(super) fn forget(index: u32, neighbour: IpAddr) -> Asked {
    (self::neighbour(libc::RTM_DELNEIGH, index, neighbour, 0), 0)
}

/// A neighbour is looked for.
pub(super) fn seek(index: u32, neighbour: IpAddr) -> Asked {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
    (self::neighbour(libc::RTM_NEWNEIGH, index, neighbour, NTF_USE), flags as u16)
}

fn neighbour(kind: u16, index: u32, neighbour: IpAddr, flags: u8) -> Packet {
    let mut header = vec![family(neighbour), 0, 0, 0];
    header.extend(index.to_ne_bytes());
    header.extend([0, 0, flags, 0]);
    Packet::new(kind, &header).with(libc::NDA_DST, &octets(neighbour))
}

/// Told in an error.
pub(super) fn told(link: &str, change: &Change) -> String {
    match change {
        Change::Make(_) => format!("make {link}"),
        Change::Remove => format!("remove {link}"),
        Change::Up(true) => format!("put {link} up"),
        Change::Up(false) => format!("put {link} down"),
        Change::Mtu(mtu) => format!("give {link} the MTU {mtu}"),
        Change::Master(Some(bridge)) => format!("make {link} a port of {bridge}"),
        Change::Master(None) => format!("take {link} out of its bridge"),
        Change::AddAddress(addr) => format!("give {link} the address {}", addr.net),
        Change::RemoveAddress(addr) => format!("take the address {} from {link}", addr.net),
        Change::AddRoute(route) => format!("add {} over {link}", route_told(route)),
        Change::RemoveRoute(route) => format!("remove {} over {link}", route_told(route)),
    }
}

fn route_told(route: &Route) -> String {
    let via = route.via.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if route.via.is_some() {
        format!("the route to {} by {via}", route.to)
    } else {
        format!("the route to {}", route.to)
    }
}

//! What the kernel knows of interfaces, in our own terms. The same terms say what is wanted, what was there before, and what was seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use manifest_types::kinds::network_config::Mac;
use serde::{Deserialize, Serialize};

/// The table in which routes are that everybody uses.
pub const MAIN_TABLE: u32 = 254;
/// Who made a route: the kernel, a router's advertisement, DHCP (`RTPROT_…`).
pub const KERNEL: u8 = 2;
const STATIC: u8 = 4;
const ADVERTISED: u8 = 9;
const DHCP: u8 = 16;

/// All interfaces of the device, by name.
pub type Links = BTreeMap<String, Link>;

/// The interface that is meant by the address of its hardware.
pub fn of_mac(mac: Mac, links: &Links) -> Option<&str> {
    // What is made upon an interface, such as a VLAN, often has its address, too.
    let is_it =
        |link: &Link| link.mac == Some(mac) && !matches!(link.made, Some(Made::Bridge | Made::Vlan { .. }));
    let all = || links.iter().filter(|(_, link)| is_it(link));
    // Hardware goes before what is made of it.
    let hardware = all().find(|(_, link)| link.made.is_none());
    hardware.or_else(|| all().next()).map(|(name, _)| name.as_str())
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// The address of its hardware.
    pub mac: Option<Mac>,
    /// What it is made of: `None` for hardware.
    pub made: Option<Made>,
    /// Whether it is to be up.
    pub is_up: bool,
    /// Whether it is, in the kernel's word: `up`, `down`, `lowerlayerdown`, …
    pub oper_state: String,
    /// The largest packet that it carries, in bytes.
    pub mtu: u32,
    /// The bridge that it is a port of.
    pub master: Option<String>,
    /// Its addresses.
    pub addresses: BTreeSet<Addr>,
    /// The routes over it.
    pub routes: BTreeSet<Route>,
    /// What goes over it that has no place in these terms, for people: it could not be put back.
    #[serde(default)]
    pub beyond: BTreeSet<String>,
}

impl Link {
    /// Whether somebody else plugs it into a bridge: its other end is in another network namespace, as a container's is, or in a program.
    pub fn is_others(&self) -> bool {
        match &self.made {
            Some(Made::Veth { peer }) => peer.is_empty(),
            Some(Made::Other(word)) => word == "tun",
            _ => false,
        }
    }

    /// Takes for leased what a route of DHCP's is sent from: to the kernel, a lease without an end is an address that stays.
    pub fn know_leases(&mut self) {
        let of_dhcp = self.routes.iter().filter(|route| route.protocol == DHCP);
        let given: BTreeSet<IpAddr> = of_dhcp.filter_map(|route| route.source).collect();
        let known =
            |addr: Addr| Addr { is_leased: addr.is_leased || given.contains(&addr.net.addr()), ..addr };
        self.addresses = std::mem::take(&mut self.addresses).into_iter().map(known).collect();
    }
}

/// What an interface is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Made {
    /// A bridge.
    Bridge,
    /// A VLAN of this number on this interface.
    Vlan {
        /// Its number.
        id: u16,
        /// The interface that it is on; empty if that is not to be seen from here.
        parent: String,
    },
    /// One end of a pair.
    Veth {
        /// The other end; empty if that is not to be seen from here.
        peer: String,
    },
    /// Something that others make: the kernel's word for it.
    Other(String),
}

impl Made {
    /// Whether only somebody else can make it.
    pub fn is_others_to_make(&self) -> bool {
        matches!(self, Self::Other(_))
    }

    /// Whether it may be what is wanted: what is in another namespace cannot be seen from here.
    pub fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Veth { peer }, Self::Veth { .. }) if peer.is_empty() => true,
            (Self::Vlan { id, parent }, Self::Vlan { id: wanted, .. }) if parent.is_empty() => id == wanted,
            (found, wanted) => found == wanted,
        }
    }
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Addr {
    /// The address, with the length of its prefix.
    pub net: IpNet,
    /// Whether the network has given it, for a time or for good.
    pub is_leased: bool,
    /// The address at the other end, where there is just one.
    #[serde(default)]
    pub peer: Option<IpAddr>,
    /// Whether there is no route that follows from it.
    #[serde(default)]
    pub is_bare: bool,
}

/// A route over an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The network that it leads to.
    pub to: IpNet,
    /// The router that takes packets there.
    pub via: Option<IpAddr>,
    /// How far it is.
    pub metric: u32,
    /// The routing table.
    pub table: u32,
    /// Who made it.
    pub protocol: u8,
    /// Whether its router is taken to be at the other end of the interface, whatever the addresses say.
    #[serde(default)]
    pub onlink: bool,
    /// The address that packets are sent from.
    #[serde(default)]
    pub source: Option<IpAddr>,
}

impl Addr {
    /// One that stays.
    pub fn of(net: IpNet) -> Self {
        Self { net, is_leased: false, peer: None, is_bare: false }
    }

    /// Whether it is this address, whoever has given it, and in whichever way.
    pub fn is_as(&self, other: &Self) -> bool {
        (self.net, self.peer) == (other.net, other.peer)
    }

    /// Whether the kernel gives it to every interface by itself.
    pub fn is_kernels(&self) -> bool {
        matches!(self.net, IpNet::V6(net) if net.addr().is_unicast_link_local())
    }
}

impl Route {
    /// One that we make.
    pub fn of(to: IpNet, via: Option<IpAddr>, metric: u32, table: u32) -> Self {
        Self { to, via, metric, table, protocol: STATIC, onlink: false, source: None }
    }

    /// Whether it follows from an address or from what the network says, so that nobody has to make it.
    pub fn follows(&self) -> bool {
        [KERNEL, ADVERTISED, DHCP].contains(&self.protocol)
    }

    /// Whether packets go the same way by it, whoever made it: the kernel has only one of the two.
    pub fn leads_as(&self, other: &Self) -> bool {
        Self { protocol: other.protocol, ..*self } == *other
    }

    /// Whether everything goes there that goes nowhere else.
    pub fn is_default(&self) -> bool {
        self.to.prefix_len() == 0 && self.table == MAIN_TABLE
    }

    /// Whether it is of IPv6.
    pub fn is_v6(&self) -> bool {
        matches!(self.to, IpNet::V6(_))
    }

    /// Whether it is this route, whoever made it. The kernel gives a metric of its own where none is asked for, and only one to IPv6.
    pub fn is_as(&self, wanted: &WantedRoute) -> bool {
        let same_metric = wanted.metric.is_none_or(|metric| metric == self.metric);
        self.to == wanted.to && self.via == wanted.via && self.table == wanted.table && same_metric
    }
}

/// A route that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedRoute {
    /// The network that it leads to.
    pub to: IpNet,
    /// The router that takes packets there.
    pub via: Option<IpAddr>,
    /// How far it is; `None`: as the backend has it.
    pub metric: Option<u32>,
    /// The routing table.
    pub table: u32,
}

impl WantedRoute {
    /// The route that is made for it where the kernel is asked itself.
    pub fn route(&self) -> Route {
        // What the kernel itself takes for routes of IPv6.
        let usual = if matches!(self.to, IpNet::V6(_)) { 1024 } else { 0 };
        Route::of(self.to, self.via, self.metric.unwrap_or(usual), self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_without_an_end_is_a_lease() {
        let addr = |net: &str| Addr::of(net.parse().unwrap());
        let route = |protocol, source: &str| Route {
            to: "0.0.0.0/0".parse().unwrap(),
            via: "192.0.2.1".parse().ok(),
            metric: 100,
            table: MAIN_TABLE,
            protocol,
            onlink: false,
            source: source.parse().ok(),
        };
        let mut link = Link {
            addresses: [addr("192.0.2.7/24"), addr("192.0.2.8/24"), addr("198.51.100.9/24")].into(),
            routes: [route(DHCP, "192.0.2.7"), route(KERNEL, "192.0.2.8")].into(),
            ..Link::default()
        };
        link.know_leases();
        let leased: Vec<_> =
            link.addresses.iter().filter(|addr| addr.is_leased).map(|addr| addr.net).collect();
        assert_eq!(leased, [addr("192.0.2.7/24").net]);
    }
}

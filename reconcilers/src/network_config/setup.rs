//! What a spec wants of the kernel, and where an interface is not so. Pure.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use manifest_types::kinds::network_config::{Ip, LinkState, LinkType, NetworkConfigSpec};
use serde_json::{Value, json};

use super::terms::{Addr, Link, Links, MAIN_TABLE, Made, Route, WantedRoute};
use crate::observation::Difference;

/// What is wanted of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its name.
    pub name: String,
    /// What it is made of; `None`: it is there.
    pub made: Option<Made>,
    /// Whether it is up.
    pub is_up: bool,
    /// The largest packet; `None`: as it is.
    pub mtu: Option<u32>,
    /// The ports of a bridge.
    pub ports: BTreeSet<String>,
    /// IPv4 and IPv6.
    pub families: [Family; 2],
}

/// What is wanted of one family of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family {
    /// Whether the network gives addresses and routes.
    pub dhcp: bool,
    /// The addresses that stay.
    pub addresses: BTreeSet<IpNet>,
    /// The routes.
    pub routes: BTreeSet<WantedRoute>,
}

/// The names of the families in a spec.
const NAMES: [&str; 2] = ["ipv4", "ipv6"];

/// Where everything is that goes nowhere else.
fn everywhere(is_v6: bool) -> IpNet {
    match is_v6 {
        false => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0)),
        true => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 0)),
    }
}

impl Family {
    fn of(ip: Option<&Ip>, is_v6: bool) -> Self {
        let Some(ip) = ip else { return Self::default() };
        let gateway = ip.gateway.map(|via| WantedRoute {
            to: everywhere(is_v6),
            via: Some(via),
            metric: ip.metric,
            table: MAIN_TABLE,
        });
        let routes = ip.routes.iter().map(|route| WantedRoute {
            to: route.to.0,
            via: route.via,
            metric: route.metric,
            table: route.wanted_table(),
        });
        Self {
            dhcp: ip.dhcp,
            addresses: ip.addresses.iter().map(|address| address.0).collect(),
            routes: gateway.into_iter().chain(routes).collect(),
        }
    }

    /// The gateways that are wanted.
    pub fn gateways(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let routes =
            self.routes.iter().filter(|route| route.to.prefix_len() == 0 && route.table == MAIN_TABLE);
        routes.filter_map(|route| route.via)
    }
}

impl Setup {
    /// What a spec wants of the interface of this name.
    pub fn of(name: &str, spec: &NetworkConfigSpec) -> Self {
        let made = match spec.link_type {
            LinkType::Ethernet => None,
            LinkType::Bridge => Some(Made::Bridge),
            LinkType::Vlan => {
                spec.vlan.as_ref().map(|vlan| Made::Vlan { id: vlan.id, parent: vlan.parent.to_string() })
            }
            LinkType::Veth => spec.veth.as_ref().map(|veth| Made::Veth { peer: veth.peer.to_string() }),
        };
        Self {
            name: name.to_owned(),
            made,
            is_up: spec.state == LinkState::Up,
            mtu: spec.mtu,
            ports: spec.ports.iter().map(ToString::to_string).collect(),
            families: [Family::of(spec.ipv4.as_ref(), false), Family::of(spec.ipv6.as_ref(), true)],
        }
    }

    /// The interfaces that it changes.
    pub fn touches(&self) -> impl Iterator<Item = &str> {
        let peer = match &self.made {
            Some(Made::Veth { peer }) => Some(peer.as_str()),
            _ => None,
        };
        std::iter::once(self.name.as_str()).chain(self.ports.iter().map(String::as_str)).chain(peer)
    }

    /// The ports of the bridge that it does not name. What others plug in, such as a container's end, is left there.
    pub fn leaving<'l>(&'l self, links: &'l Links) -> impl Iterator<Item = &'l str> {
        let is_bridge = self.made == Some(Made::Bridge);
        let ports = ports_of(links, &self.name).filter(move |_| is_bridge);
        ports.filter(|port| !self.ports.contains(*port) && !links[*port].is_others())
    }

    /// Whether an interface is what is wanted.
    pub fn fits(&self, link: &Link) -> bool {
        let fits = |wanted: &Made| link.made.as_ref().is_some_and(|found| found.fits(wanted));
        self.made.as_ref().is_none_or(fits)
    }

    /// Where the device is not so. An interface that is not there is one difference, whatever else is wanted of it.
    pub fn differences(&self, links: &Links) -> Vec<Difference> {
        let Some(link) = links.get(&self.name) else {
            return vec![Difference::in_place("interface", self.name.as_str(), Value::Null)];
        };
        let mut differences = Vec::new();
        if !self.fits(link) {
            let (want, got) = (made_told(self.made.as_ref()), made_told(link.made.as_ref()));
            differences.push(Difference { in_place: false, ..Difference::in_place("type", want, got) });
        }
        if self.is_up != link.is_up {
            let word = |is_up: bool| if is_up { "Up" } else { "Down" };
            differences.push(Difference::in_place("state", word(self.is_up), word(link.is_up)));
        }
        if let Some(master) = link.master.as_ref().filter(|_| self.is_up) {
            differences.push(Difference::in_place("bridge", Value::Null, master.as_str()));
        }
        if let Some(mtu) = self.mtu.filter(|mtu| *mtu != link.mtu) {
            differences.push(Difference::in_place("mtu", mtu, link.mtu));
        }
        let ports: BTreeSet<_> = ports_of(links, &self.name).collect();
        let lacks_port = self.ports.iter().any(|port| !ports.contains(port.as_str()));
        if self.made == Some(Made::Bridge) && (lacks_port || self.leaving(links).next().is_some()) {
            differences.push(Difference::in_place("ports", json!(self.ports), json!(ports)));
        }
        for (name, (is_v6, family)) in NAMES.into_iter().zip([false, true].into_iter().zip(&self.families)) {
            differences.extend(family.differences(name, is_v6, link));
        }
        differences
    }

    /// Whether addresses that the network is to give have not come yet.
    pub fn awaits_lease(&self, link: &Link) -> bool {
        let leased = |is_v6: bool| {
            link.addresses.iter().any(|addr| addr.is_leased && matches!(addr.net, IpNet::V6(_)) == is_v6)
        };
        self.is_up
            && [false, true]
                .into_iter()
                .zip(&self.families)
                .any(|(is_v6, family)| family.dhcp && !leased(is_v6))
    }
}

/// The routes of a link that a former setup wanted, and this one does not. Gateways are looked at for themselves.
pub fn stale<'l>(
    link: &'l Link,
    setup: &'l Setup,
    former: Option<&'l Setup>,
) -> impl Iterator<Item = &'l Route> {
    let before = former.into_iter().flat_map(|former| &former.families).flat_map(|family| &family.routes);
    let is_wanted = |route: &Route| {
        setup.families.iter().flat_map(|family| &family.routes).any(|wanted| route.is_as(wanted))
    };
    let there = before.filter_map(|dropped| link.routes.iter().find(|route| route.is_as(dropped)));
    there.filter(move |route| !route.is_default() && !is_wanted(route))
}

/// The same, as differences.
pub fn stale_differences(links: &Links, setup: &Setup, former: Option<&Setup>) -> Vec<Difference> {
    let Some(link) = links.get(&setup.name) else { return Vec::new() };
    let told = |route: &Route| {
        let family = if route.is_v6() { "ipv6" } else { "ipv4" };
        let got =
            WantedRoute { to: route.to, via: route.via, metric: Some(route.metric), table: route.table };
        Difference::in_place(format!("{family}.routes.{}", route.to), Value::Null, told_route(&got))
    };
    stale(link, setup, former).map(told).collect()
}

/// The ports of a bridge.
pub fn ports_of<'l>(links: &'l Links, bridge: &'l str) -> impl Iterator<Item = &'l str> {
    links
        .iter()
        .filter(move |(_, link)| link.master.as_deref() == Some(bridge))
        .map(|(name, _)| name.as_str())
}

/// What an interface is, for people.
pub(super) fn made_told(made: Option<&Made>) -> String {
    match made {
        None => "Ethernet".to_owned(),
        Some(Made::Bridge) => "Bridge".to_owned(),
        Some(Made::Vlan { id, parent }) => format!("Vlan {id} on {parent}"),
        Some(Made::Veth { peer }) => format!("Veth with {peer}"),
        Some(Made::Other(word)) => word.clone(),
    }
}

impl Family {
    fn differences(&self, name: &str, is_v6: bool, link: &Link) -> Vec<Difference> {
        let of_family = |net: &IpNet| matches!(net, IpNet::V6(_)) == is_v6;
        let mut differences = Vec::new();
        let seen: BTreeSet<IpNet> = link
            .addresses
            .iter()
            .filter(|addr| of_family(&addr.net) && self.counts(addr))
            .map(|addr| addr.net)
            .collect();
        if seen != self.addresses {
            differences.push(Difference::in_place(
                format!("{name}.addresses"),
                json!(self.addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
                json!(seen.iter().map(ToString::to_string).collect::<Vec<_>>()),
            ));
        }
        let gateways: BTreeSet<_> = self.gateways().map(|gateway| gateway.to_string()).collect();
        let own: BTreeSet<_> = link
            .routes
            .iter()
            .filter(|route| route.is_v6() == is_v6 && self.counts_as_gateway(route))
            .map(|route| route.via.map_or_else(|| "this link".to_owned(), |via| via.to_string()))
            .collect();
        let missing = |route: &&WantedRoute| !link.routes.iter().any(|seen| seen.is_as(route));
        let is_gateway = |route: &&WantedRoute| route.to.prefix_len() == 0 && route.table == MAIN_TABLE;
        let lacks_gateway = self.routes.iter().filter(is_gateway).any(|route| missing(&route));
        if own != gateways || lacks_gateway {
            differences.push(Difference::in_place(format!("{name}.gateway"), json!(gateways), json!(own)));
        }
        let routes = self.routes.iter().filter(|route| !is_gateway(route)).filter(missing);
        differences.extend(routes.map(|route| {
            Difference::in_place(format!("{name}.routes.{}", route.to), told_route(route), Value::Null)
        }));
        differences
    }

    /// Whether an address is one that somebody gave the interface to stay, or one that nobody is to give.
    fn counts(&self, addr: &Addr) -> bool {
        let is_wanted = self.addresses.contains(&addr.net);
        // The kernel itself takes what routers of IPv6 advertise.
        let may_be_leased = self.dhcp || matches!(addr.net, IpNet::V6(_));
        is_wanted || !(addr.is_kernels() || (addr.is_leased && may_be_leased))
    }

    /// Whether a route is a gateway that somebody has set, or one that nobody is to set.
    fn counts_as_gateway(&self, route: &Route) -> bool {
        let is_wanted = self.routes.iter().any(|wanted| route.is_as(wanted));
        route.is_default() && (is_wanted || !(route.follows() && (self.dhcp || route.is_v6())))
    }

    /// The addresses of a link that are in the way.
    pub(super) fn needless<'l>(&'l self, is_v6: bool, link: &'l Link) -> impl Iterator<Item = Addr> + 'l {
        let of_family = move |addr: &&Addr| matches!(addr.net, IpNet::V6(_)) == is_v6;
        let addresses = link.addresses.iter().filter(of_family);
        addresses.filter(|addr| self.counts(addr) && !self.addresses.contains(&addr.net)).copied()
    }

    /// The routes of a link that are in the way.
    pub(super) fn misleading<'l>(&'l self, is_v6: bool, link: &'l Link) -> impl Iterator<Item = Route> + 'l {
        let gateways = link.routes.iter().filter(move |route| route.is_v6() == is_v6);
        gateways
            .filter(|route| {
                self.counts_as_gateway(route) && !self.routes.iter().any(|wanted| route.is_as(wanted))
            })
            .copied()
    }
}

fn told_route(route: &WantedRoute) -> String {
    let via = route.via.map_or_else(|| "this link".to_owned(), |via| via.to_string());
    let metric = route.metric.map(|metric| format!(" metric {metric}")).unwrap_or_default();
    let table = if route.table == MAIN_TABLE { String::new() } else { format!(" table {}", route.table) };
    format!("via {via}{metric}{table}")
}

//! One family of addresses of an interface.

use core::net::IpAddr;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, Subnet};
use crate::{
    kinds::is_default,
    problem::{JsonPath, Problem},
};

/// The table in which routes are that everybody uses.
const MAIN_TABLE: u32 = 254;

/// IPv4 or IPv6 of an interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ip {
    /// Whether the network says what its addresses, gateway and name servers are: DHCP, for IPv6 router advertisements, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dhcp: bool,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Where packets go that go nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// How far the gateway is: of several in the device, the one with the least is taken. Default: the backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// Where packets for certain networks go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// Where packets for a network go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The network.
    pub to: Subnet,
    /// The router that takes them there. Default: they are at this interface themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// How far it is: of several, the one with the least is taken. Default: the backend's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The routing table, 1 to 4294967295. Default: 254, the main one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
}

impl Route {
    /// The table that it is in.
    pub fn wanted_table(&self) -> u32 {
        self.table.unwrap_or(MAIN_TABLE)
    }
}

/// The kernel keeps its own routes there.
const LOCAL_TABLE: u32 = 255;
const ZERO_METRIC: &str = "must be 1 at least: for IPv6 the kernel makes 1024 of 0";

impl Ip {
    pub(super) fn problems(&self, at: &JsonPath, is_v6: bool) -> Vec<Problem> {
        let mut problems = self.family_problems(at, is_v6);
        if !problems.is_empty() {
            return problems;
        }
        if !self.dhcp && self.addresses.is_empty() && !is_v6 {
            problems.push(Problem::new(at.clone(), "needs `dhcp: true` or addresses; leave it out for none"));
        }
        let mut known = BTreeSet::new();
        for (index, address) in self.addresses.iter().enumerate() {
            let at = at.key("addresses").index(index);
            let same = self.addresses[..index].iter().any(|other| other.subnet() == address.subnet());
            if !known.insert(address.ip()) {
                problems.push(Problem::new(at, "is there before"));
            } else if self.addresses[..index].iter().any(|other| overlap(*other, *address)) && !same {
                problems.push(Problem::new(
                    at,
                    "is in a network that overlaps with that of one before, and is another",
                ));
            }
        }
        if let Some(gateway) = self.gateway {
            problems.extend(self.nowhere(gateway).map(|message| Problem::new(at.key("gateway"), message)));
        }
        if self.metric.is_some() && self.gateway.is_none() && !self.dhcp {
            problems.push(Problem::new(at.key("metric"), "goes with a gateway or with `dhcp: true`"));
        }
        if is_v6 && self.metric == Some(0) {
            problems.push(Problem::new(at.key("metric"), ZERO_METRIC));
        }
        let mut known = BTreeSet::new();
        for (index, route) in self.routes.iter().enumerate() {
            let at = at.key("routes").index(index);
            if !known.insert((route.to, route.wanted_table(), route.metric)) {
                problems.push(Problem::new(
                    at.clone(),
                    "is there before: another one needs another metric or table",
                ));
            }
            if matches!(route.table, Some(0 | LOCAL_TABLE)) {
                problems.push(Problem::new(
                    at.key("table"),
                    "must be 1 at least, and not 255, which is the kernel's own",
                ));
            }
            if is_v6 && route.metric == Some(0) {
                problems.push(Problem::new(at.key("metric"), ZERO_METRIC));
            }
            if route.to.is_default() && route.wanted_table() == MAIN_TABLE && self.gateway.is_some() {
                problems.push(Problem::new(at.key("to"), "is what the gateway is for"));
            }
            let nowhere = route.via.and_then(|via| self.nowhere(via));
            problems.extend(nowhere.map(|message| Problem::new(at.key("via"), message)));
        }
        problems
    }

    fn family_problems(&self, at: &JsonPath, is_v6: bool) -> Vec<Problem> {
        let addresses = self.addresses.iter().enumerate();
        let addresses = addresses.map(|(index, address)| (at.key("addresses").index(index), address.ip()));
        let gateway = self.gateway.iter().map(|gateway| (at.key("gateway"), *gateway));
        let routes = self.routes.iter().enumerate().flat_map(|(index, route)| {
            let at = at.key("routes").index(index);
            let via = route.via.map(|via| (at.key("via"), via));
            [(at.key("to"), route.to.0.addr())].into_iter().chain(via)
        });
        let other = addresses.chain(gateway).chain(routes).filter(|(_, address)| address.is_ipv6() != is_v6);
        let family = if is_v6 { "IPv6" } else { "IPv4" };
        other.map(|(at, _)| Problem::new(at, format!("must be of {family}"))).collect()
    }

    /// Why a router cannot be reached from here, if that is plain.
    fn nowhere(&self, router: IpAddr) -> Option<&'static str> {
        let is_link_local = matches!(router, IpAddr::V6(router) if router.is_unicast_link_local());
        let is_near = self.addresses.iter().any(|address| address.0.contains(&router));
        if self.addresses.iter().any(|address| address.ip() == router) {
            Some("is an address of this interface itself")
        } else if router.is_unspecified() || router.is_multicast() || router.is_loopback() {
            Some("must be the address of a router")
        } else if is_near || is_link_local || self.dhcp {
            None
        } else {
            Some("leads nowhere: it is in the network of none of the addresses")
        }
    }
}

fn overlap(one: Address, other: Address) -> bool {
    one.0.contains(&other.0.network()) || other.0.contains(&one.0.network())
}

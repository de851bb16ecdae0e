//! `NetworkConfig`: a network interface of the host.

use core::net::IpAddr;
use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResourceSpec, is_default};
use crate::{
    claim::Claim,
    name::ResourceId,
    problem::{JsonPath, Problem},
};

mod address;
mod confirm;
mod details;
mod interface;
mod ip;

pub use address::{Address, AddressError, Subnet, SubnetError};
pub use confirm::{Check, Confirm, host_and_port, http_parts};
pub use details::NetworkConfigDetails;
pub use interface::{InterfaceName, InterfaceNameError, Mac, MacError};
pub use ip::{Ip, Route};

/// What a manifest wants of a network interface: all of it, so that what is not said is not there. A change that is not confirmed in time is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({
    "match": { "name": "eth0" },
    "ipv4": { "addresses": ["192.0.2.10/24"], "gateway": "192.0.2.1" },
    "dns": { "servers": ["192.0.2.53"] }
}))]
pub struct NetworkConfigSpec {
    /// Which interface.
    #[serde(rename = "match")]
    pub matched: Match,
    /// What it is. All but `Ethernet` is made if it is not there.
    #[serde(rename = "type", default, skip_serializing_if = "is_default")]
    pub link_type: LinkType,
    /// The largest packet that it carries, in bytes. Default: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Whether it is up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub state: LinkState,
    /// IPv4. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ip>,
    /// IPv6. Default: none but the address that every interface has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ip>,
    /// Who knows names, on the network at this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// The interfaces of a bridge. They are its own: they have no resources and no addresses of theirs. What containers plug into it is not among them, and left there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<InterfaceName>,
    /// What a VLAN is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// The other end of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veth: Option<Veth>,
    /// How a change is confirmed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub confirm: Confirm,
}

/// Which interface is meant: one of the two is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// The interface of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<InterfaceName>,
    /// The interface whose hardware has this address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

/// What an interface is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LinkType {
    /// What is there: hardware, or made by others.
    #[default]
    Ethernet,
    /// A switch within the device.
    Bridge,
    /// A virtual network on a parent.
    Vlan,
    /// One end of a pair that is connected with each other.
    Veth,
}

/// Whether an interface is up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LinkState {
    /// It is up.
    #[default]
    Up,
    /// It is down.
    Down,
}

/// Who knows names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// The addresses of the servers, the first asked first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// The domains in which a short name is looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

/// What a VLAN is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vlan {
    /// Its number: 1 to 4094.
    pub id: u16,
    /// The interface that it is on.
    pub parent: InterfaceName,
}

/// The other end of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Veth {
    /// Its name. It may have a resource of its own, of type `Ethernet`.
    pub peer: InterfaceName,
}

/// The interface that every host has with itself.
const LOOPBACK: &str = "lo";
/// The bounds of what the kernel takes for packets; IPv6 needs a larger one.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;
const MTU_IPV6: u32 = 1280;

impl NetworkConfigSpec {
    /// The name under which it is known beforehand.
    pub fn name(&self) -> Option<&InterfaceName> {
        self.matched.name.as_ref()
    }

    /// Its addresses, of both families.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.families().flat_map(|(_, ip)| ip.addresses.iter().copied())
    }

    /// What is said of each family, with its name.
    pub fn families(&self) -> impl Iterator<Item = (&'static str, &Ip)> {
        self.ipv4.iter().map(|ip| ("ipv4", ip)).chain(self.ipv6.iter().map(|ip| ("ipv6", ip)))
    }

    fn link_problems(&self) -> Vec<Problem> {
        let root = JsonPath::root();
        let mut problems = Vec::new();
        let at_match = root.key("match");
        match (&self.matched.name, &self.matched.mac) {
            (Some(_), Some(_)) => problems.push(Problem::new(at_match, "takes name or mac, not both")),
            (None, None) => problems.push(Problem::new(at_match, "needs a name or a mac")),
            (None, Some(_)) if self.link_type != LinkType::Ethernet => {
                problems.push(Problem::new(at_match, "needs a name: what is made has no hardware yet"));
            }
            _ => {}
        }
        let named = self.matched.name.iter().map(|name| (root.key("match").key("name"), name));
        let ports = self.ports.iter().enumerate().map(|(index, name)| (root.key("ports").index(index), name));
        let parent = self.vlan.iter().map(|vlan| (root.key("vlan").key("parent"), &vlan.parent));
        let peer = self.veth.iter().map(|veth| (root.key("veth").key("peer"), &veth.peer));
        let mut seen = BTreeSet::new();
        for (at, name) in named.chain(ports).chain(parent).chain(peer) {
            if name.as_str() == LOOPBACK {
                problems.push(Problem::new(at, "is the loopback interface, which is the kernel's own"));
            } else if !seen.insert(name) {
                problems.push(Problem::new(at, "is named before: an interface has one part in this"));
            }
        }
        for (key, goes_with, is_given, is_needed) in [
            ("ports", LinkType::Bridge, !self.ports.is_empty(), false),
            ("vlan", LinkType::Vlan, self.vlan.is_some(), true),
            ("veth", LinkType::Veth, self.veth.is_some(), true),
        ] {
            match (self.link_type == goes_with, is_given) {
                (false, true) => {
                    problems
                        .push(Problem::new(root.key(key), format!("goes with `type: {goes_with:?}` only")));
                }
                (true, false) if is_needed => {
                    problems.push(Problem::new(root.key(key), format!("is needed by `type: {goes_with:?}`")));
                }
                _ => {}
            }
        }
        if self.vlan.as_ref().is_some_and(|vlan| !(1..=4094).contains(&vlan.id)) {
            problems.push(Problem::new(root.key("vlan").key("id"), "must be 1 at least and 4094 at most"));
        }
        problems
    }

    fn size_problems(&self) -> Vec<Problem> {
        let at = JsonPath::root().key("mtu");
        match self.mtu {
            Some(mtu) if !MTU.contains(&mtu) => {
                vec![Problem::new(at, format!("must be {} at least and {} at most", MTU.start(), MTU.end()))]
            }
            Some(mtu) if mtu < MTU_IPV6 && self.ipv6.is_some() => {
                vec![Problem::new(at, format!("must be {MTU_IPV6} at least where there is IPv6"))]
            }
            _ => Vec::new(),
        }
    }

    fn down_problems(&self) -> Vec<Problem> {
        if self.state == LinkState::Up {
            return Vec::new();
        }
        let given =
            [("ipv4", self.ipv4.is_some()), ("ipv6", self.ipv6.is_some()), ("dns", self.dns.is_some())];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given
            .map(|(key, _)| Problem::new(JsonPath::root().key(key), "does not go with `state: Down`"))
            .collect()
    }

    fn dns_problems(&self) -> Vec<Problem> {
        let Some(dns) = &self.dns else { return Vec::new() };
        let at = JsonPath::root().key("dns");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_domain = |text: &str| {
            (1..=253).contains(&text.len()) && text.bytes().all(is_plain) && !text.contains("..")
        };
        let bad = dns.search.iter().enumerate().filter(|(_, domain)| !is_domain(domain));
        let bad = bad.map(|(index, _)| {
            Problem::new(at.key("search").index(index), "must be a domain such as \"plant.example\"")
        });
        let nobody = dns
            .servers
            .iter()
            .enumerate()
            .filter(|(_, server)| server.is_unspecified() || server.is_multicast());
        let nobody = nobody
            .map(|(index, _)| Problem::new(at.key("servers").index(index), "must be one host's address"));
        let needless = dns.servers.is_empty() && dns.search.is_empty();
        let needless = needless.then(|| Problem::new(at.clone(), "needs servers or search"));
        bad.chain(nobody).chain(needless).collect()
    }
}

impl ResourceSpec for NetworkConfigSpec {
    const KIND: &'static str = "NetworkConfig";

    fn problems(&self) -> Vec<Problem> {
        let families = [("ipv4", false, &self.ipv4), ("ipv6", true, &self.ipv6)];
        let ip = families.into_iter().filter_map(|(key, is_v6, ip)| Some((key, is_v6, ip.as_ref()?)));
        let ip = ip.flat_map(|(key, is_v6, ip)| ip.problems(&JsonPath::root().key(key), is_v6));
        let mut problems = self.link_problems();
        problems.extend(self.size_problems());
        problems.extend(self.down_problems());
        problems.extend(ip);
        problems.extend(self.dns_problems());
        problems.extend(self.confirm.problems());
        problems
    }

    fn claims(&self, _: &ResourceId) -> Vec<Claim> {
        let mac = self.matched.mac.map(|mac| mac.to_string());
        let names = self.matched.name.iter().chain(&self.ports).map(InterfaceName::to_string);
        names.chain(mac).map(Claim::Interface).collect()
    }
}

#[cfg(test)]
mod tests;

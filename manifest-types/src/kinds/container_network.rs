//! `ContainerNetwork`: a container engine's network, not the host's.

use core::net::IpAddr;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ResourceSpec,
    engine::{EngineName, TakeOver, Texts, foreign_marks},
    is_default,
};
use crate::{
    claim::Claim,
    name::ResourceId,
    problem::{JsonPath, Problem},
};

/// What a manifest wants of a container engine's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "internal": true, "ipam": { "pools": [{ "subnet": "10.89.7.0/24" }] } }))]
pub struct ContainerNetworkSpec {
    /// Its name in the engine. Default: the resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<EngineName>,
    /// What makes it. Default: `bridge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub options: Texts,
    /// Whether it leads nowhere but to its own containers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub internal: bool,
    /// Whether it has IPv6 addresses, too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ipv6: bool,
    /// How addresses are given. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipam: Option<Ipam>,
    /// Labels; names that begin with `holdfast.` are the agent's.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub labels: Texts,
    /// A network of this name that is there already and is taken over. Made anew, it has all its containers put back into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<TakeOver>,
}

/// How a network gives addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ipam {
    /// What gives them. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The addresses there are; one pool for each family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Pool>,
    /// The options of what gives them.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub options: Texts,
}

/// Some addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pool {
    /// All of them, such as 10.89.7.0/24.
    pub subnet: String,
    /// The network's own address. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Those that are given to containers, such as 10.89.7.128/25. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    /// Addresses that are others' and given to no container, by what has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// A range of addresses: the first one, with all host bits zero, and the length of what they share.
fn cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    let host_bits_are_zero = match address {
        IpAddr::V4(address) if length <= 32 => {
            address.to_bits().checked_shl(u32::from(length)).unwrap_or(0) == 0
        }
        IpAddr::V6(address) if length <= 128 => {
            address.to_bits().checked_shl(u32::from(length)).unwrap_or(0) == 0
        }
        _ => false,
    };
    host_bits_are_zero.then_some((address, length))
}

fn contains(subnet: (IpAddr, u8), address: IpAddr) -> bool {
    match (subnet.0, address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => {
            let differing = first.to_bits() ^ address.to_bits();
            differing.checked_shr(32 - u32::from(subnet.1)).unwrap_or(0) == 0
        }
        (IpAddr::V6(first), IpAddr::V6(address)) => {
            let differing = first.to_bits() ^ address.to_bits();
            differing.checked_shr(128 - u32::from(subnet.1)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

impl Pool {
    fn problems(&self, at: &JsonPath) -> Vec<Problem> {
        let Some(subnet) = cidr(&self.subnet) else {
            let message =
                format!("{:?} is not a subnet such as \"10.89.7.0/24\", its host bits zero", self.subnet);
            return vec![Problem::new(at.key("subnet"), message)];
        };
        let mut problems = Vec::new();
        if let Some(gateway) = self.gateway.filter(|gateway| !contains(subnet, *gateway)) {
            problems.push(Problem::new(at.key("gateway"), format!("{gateway} is not in {}", self.subnet)));
        }
        for (name, address) in self.aux_addresses.iter().filter(|(_, address)| !contains(subnet, **address)) {
            let at = at.key("auxAddresses").key(name);
            problems.push(Problem::new(at, format!("{address} is not in {}", self.subnet)));
        }
        if let Some(range) = &self.ip_range {
            let inside =
                cidr(range).is_some_and(|(first, length)| length >= subnet.1 && contains(subnet, first));
            if !inside {
                problems.push(Problem::new(
                    at.key("ipRange"),
                    format!("{range:?} is not a part of {}", self.subnet),
                ));
            }
        }
        problems
    }
}

impl ContainerNetworkSpec {
    /// The driver that is wanted.
    pub fn wanted_driver(&self) -> &str {
        self.driver.as_deref().unwrap_or("bridge")
    }
}

impl ResourceSpec for ContainerNetworkSpec {
    const KIND: &'static str = "ContainerNetwork";

    fn problems(&self) -> Vec<Problem> {
        let mut problems = foreign_marks("labels", &self.labels);
        let pools = self.ipam.iter().flat_map(|ipam| &ipam.pools).enumerate();
        for (index, pool) in pools {
            problems.extend(pool.problems(&JsonPath::root().key("ipam").key("pools").index(index)));
        }
        if let Some(name @ ("host" | "none" | "bridge" | "default")) =
            self.name.as_ref().map(EngineName::as_str)
        {
            problems.push(Problem::new(
                JsonPath::root().key("name"),
                format!("{name} is the engine's own network"),
            ));
        }
        problems
    }

    fn claims(&self, id: &ResourceId) -> Vec<Claim> {
        vec![Claim::Network(EngineName::of(self.name.as_ref(), id))]
    }
}

/// What a status shows of a container engine's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerNetworkDetails {
    /// Its name in the engine.
    pub name: String,
    /// Its id in the engine.
    pub network_id: String,
    /// What makes it.
    pub driver: String,
    /// Its subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        assert!(
            cidr("10.89.7.0/24").is_some() && cidr("fd00:7::/64").is_some() && cidr("0.0.0.0/0").is_some()
        );
        for bad in ["10.89.7.1/24", "10.89.7.0", "10.89.7.0/33", "::/129", "a/8"] {
            assert!(cidr(bad).is_none(), "{bad}");
        }
        let pool = Pool {
            subnet: "10.89.7.0/24".into(),
            gateway: Some("10.89.8.1".parse().unwrap()),
            ip_range: Some("10.89.0.0/16".into()),
            aux_addresses: [("printer".to_owned(), "10.89.8.9".parse().unwrap())].into(),
        };
        let problems: Vec<_> = pool.problems(&JsonPath::root()).iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        let pool = Pool {
            gateway: Some("10.89.7.1".parse().unwrap()),
            ip_range: Some("10.89.7.128/25".into()),
            aux_addresses: BTreeMap::new(),
            ..pool
        };
        assert_eq!(pool.problems(&JsonPath::root()), []);
    }
}

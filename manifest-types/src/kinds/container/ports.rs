//! How a container is reached: ports on the host, and networks.

use core::net::IpAddr;
use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    kinds::{
        engine::{EngineName, Texts},
        is_default,
        network_config::Mac,
    },
    problem::{JsonPath, Problem},
    text::{read_as_text, schema_as},
};

/// A port of the container that can be reached through the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// The port in the container, or a range of them.
    pub container: PortRange,
    /// The port on the host, or as many as in the container; for one port of the container also a range, of which the engine chooses one. Default: the engine
    /// chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<PortRange>,
    /// The host's address. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// What is spoken there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
}

impl Port {
    /// The ports on the host of which the engine chooses one.
    pub fn chooses_of(&self) -> Option<PortRange> {
        self.host.filter(|host| self.container.len() == 1 && host.len() > 1)
    }
}

/// What is spoken at a port.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// One port, or some in a row: 80, or "8000-8010".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl PortRange {
    /// How many ports it has.
    pub fn len(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// A range always has a port.
    pub fn is_empty(self) -> bool {
        false
    }

    /// Each of them.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && !text.starts_with('+'));
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err("must be a port (1 to 65535) or a range such as \"8000-8010\"".into()),
        }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Serialize for PortRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.first == self.last {
            true => serializer.serialize_u16(self.first),
            false => serializer.collect_str(self),
        }
    }
}

read_as_text!(PortRange or number, "a port, or a range such as \"8000-8010\"");
schema_as!(PortRange, {
    "description": "One port, or some in a row.",
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$",
    "examples": [80, "8000-8010"]
});

/// A network of the engine that the container is in.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// The network's name in the engine.
    pub name: EngineName,
    /// More names by which others in that network find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Its address there. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<IpAddr>,
    /// Addresses of its own on that link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub link_local_ips: Vec<IpAddr>,
    /// The address of its hardware there. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// How much its gateway goes before those of the container's other networks. Needs Docker 28. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_priority: Option<i32>,
    /// Options of the network's driver for this container.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub driver_options: Texts,
}

impl fmt::Debug for Attachment {
    // The options may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("name", &self.name).field("ip", &self.ip).finish_non_exhaustive()
    }
}

impl Attachment {
    /// To the network of this name, in the way that the engine chooses.
    pub fn to(name: EngineName) -> Self {
        Self {
            name,
            aliases: Vec::new(),
            ip: Vec::new(),
            link_local_ips: Vec::new(),
            mac: None,
            gateway_priority: None,
            driver_options: Texts::new(),
        }
    }
}

/// Where a container's network is, if it is in no network of the engine by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkMode {
    /// The engine's default network.
    Bridge,
    /// The host's own network.
    Host,
    /// None at all.
    None,
}

/// What is wrong with ports.
pub(super) fn problems(ports: &[Port]) -> Vec<Problem> {
    let at = |index: usize| JsonPath::root().key("ports").index(index);
    let mut problems = Vec::new();
    let mut taken: Vec<(usize, &Port, PortRange)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(host) = port.host else { continue };
        if port.chooses_of().is_some() {
            continue;
        }
        if host.len() != port.container.len() {
            let message = format!("has {} ports, and the container has {}", host.len(), port.container.len());
            problems.push(Problem::new(at(index).key("host"), message));
        }
        let clashes = |(_, other, range): &&(usize, &Port, PortRange)| {
            let same_address = other.ip.is_none() || port.ip.is_none() || other.ip == port.ip;
            other.protocol == port.protocol
                && same_address
                && range.first <= host.last
                && host.first <= range.last
        };
        if let Some((before, ..)) = taken.iter().find(clashes) {
            problems
                .push(Problem::new(at(index).key("host"), format!("is taken by ports[{before}] already")));
        }
        taken.push((index, port, host));
    }
    problems
}

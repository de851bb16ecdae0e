//! What a status shows of an interface.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a status shows of a network interface: the kernel's words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfigDetails {
    /// Its name.
    pub interface: String,
    /// Its hardware address, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Whether it is up, and whether anybody is at the other end: `up`, `down`, `lowerlayerdown`, …
    pub oper_state: String,
    /// The largest packet that it carries, in bytes.
    pub mtu: u32,
    /// Its addresses, with the lengths of their prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Where packets go that go nowhere else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
    /// What manages it: `NetworkManager`, `systemd-networkd` or `netlink`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
}

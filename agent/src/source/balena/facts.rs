//! What is known of this device, as far as a translation depends on it.

use std::collections::BTreeSet;

use manifest_types::kinds::file::AbsolutePath;
use serde::Deserialize;

use crate::secret::Secret;

/// What is known of this device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// Its uuid.
    pub uuid: String,
    /// Where its API is.
    pub api_endpoint: String,
    /// Its key for that API, if it has one by now.
    #[serde(default)]
    pub device_key: Option<Secret>,
    /// Its type's slug, such as `raspberrypi4-64`.
    #[serde(default)]
    pub device_type: Option<String>,
    /// Its architecture in balena's words, such as `aarch64`.
    #[serde(default)]
    pub arch: Option<String>,
    /// Its operating system, as a person reads it: `balenaOS 6.5.39+rev1`.
    #[serde(default)]
    pub os_version: Option<String>,
    /// The same in contracts: its slug, such as `balena-os`, and its version.
    #[serde(default)]
    pub os: Option<(String, String)>,
    /// The revision of the operating system's board support, and its build.
    #[serde(default)]
    pub board_rev: Option<String>,
    /// The version of its kernel.
    #[serde(default)]
    pub kernel: Option<String>,
    /// The version of its Linux for Tegra, if it is one.
    #[serde(default)]
    pub l4t: Option<String>,
    /// The container engine's socket, if it has one.
    #[serde(default)]
    pub engine_socket: Option<AbsolutePath>,
    /// Which of the paths that features share with a service are there.
    #[serde(default)]
    pub present: BTreeSet<String>,
    /// Whether locks of services are ignored.
    #[serde(default)]
    pub ignores_locks: bool,
    /// The file that has the credentials for registries.
    #[serde(default)]
    pub registry_credentials: Option<AbsolutePath>,
}

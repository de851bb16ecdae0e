//! A container as an engine writes it. Everything may be missing: an engine that leaves a field out, or writes null, has not said anything.

use std::collections::BTreeMap;

use manifest_types::kinds::engine::Texts;
use serde::Deserialize;

/// One line of the list of containers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireListed {
    pub(super) id: String,
    pub(super) names: Option<Vec<String>>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: String,
    pub(super) state: String,
    pub(super) status: String,
    pub(super) labels: Option<Texts>,
}

/// A container as it is inspected.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireContainer {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) image: String,
    pub(super) restart_count: u64,
    pub(super) state: WireState,
    pub(super) config: WireConfig,
    pub(super) host_config: WireHost,
    pub(super) network_settings: WireNetworks,
    pub(super) mounts: Option<Vec<WireMount>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireState {
    pub(super) status: String,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: bool,
    pub(super) exit_code: i64,
    pub(super) error: String,
    pub(super) started_at: String,
    pub(super) finished_at: String,
    pub(super) health: Option<WireHealth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireHealth {
    pub(super) status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireConfig {
    pub(super) image: String,
    pub(super) labels: Option<Texts>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) entrypoint: Option<OneOrMany>,
    pub(super) env: Option<Vec<String>>,
    pub(super) working_dir: String,
    pub(super) user: String,
    pub(super) hostname: String,
    pub(super) tty: bool,
    pub(super) stop_signal: Option<SignalName>,
    pub(super) stop_timeout: Option<u32>,
    pub(super) healthcheck: Option<WireHealthcheck>,
}

/// Podman writes a list of one as a text, and a signal as a number.
#[derive(Debug)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

#[derive(Debug)]
pub(super) struct SignalName(pub(super) String);

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireHealthcheck {
    pub(super) test: Option<Vec<String>>,
    pub(super) interval: u64,
    pub(super) timeout: u64,
    pub(super) start_period: u64,
    pub(super) retries: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireHost {
    pub(super) network_mode: String,
    pub(super) port_bindings: Option<BTreeMap<String, Option<Vec<WireBinding>>>>,
    pub(super) restart_policy: WireRestart,
    pub(super) mounts: Option<Vec<WireWantedMount>>,
    pub(super) tmpfs: Option<Texts>,
    pub(super) group_add: Option<Vec<String>>,
    pub(super) dns: Option<Vec<String>>,
    pub(super) dns_search: Option<Vec<String>>,
    pub(super) dns_options: Option<Vec<String>>,
    pub(super) extra_hosts: Option<Vec<String>>,
    pub(super) init: Option<bool>,
    pub(super) privileged: bool,
    pub(super) readonly_rootfs: bool,
    pub(super) cap_add: Option<Vec<String>>,
    pub(super) cap_drop: Option<Vec<String>>,
    pub(super) devices: Option<Vec<WireDevice>>,
    pub(super) device_cgroup_rules: Option<Vec<String>>,
    pub(super) sysctls: Option<Texts>,
    pub(super) ulimits: Option<Vec<WireUlimit>>,
    pub(super) security_opt: Option<Vec<String>>,
    pub(super) shm_size: u64,
    pub(super) ipc_mode: String,
    pub(super) pid_mode: String,
    pub(super) log_config: WireLogging,
    pub(super) annotations: Option<Texts>,
    pub(super) memory: i64,
    pub(super) memory_reservation: i64,
    pub(super) nano_cpus: i64,
    pub(super) cpu_quota: i64,
    pub(super) cpu_period: i64,
    pub(super) cpu_shares: i64,
    pub(super) pids_limit: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireBinding {
    pub(super) host_ip: String,
    pub(super) host_port: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireRestart {
    pub(super) name: String,
    pub(super) maximum_retry_count: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireWantedMount {
    pub(super) r#type: String,
    pub(super) target: String,
    pub(super) read_only: bool,
    pub(super) tmpfs_options: Option<WireTmpfs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireTmpfs {
    pub(super) size_bytes: Option<u64>,
    pub(super) mode: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireDevice {
    pub(super) path_on_host: String,
    pub(super) path_in_container: String,
    pub(super) cgroup_permissions: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireUlimit {
    pub(super) name: String,
    pub(super) soft: i64,
    pub(super) hard: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireLogging {
    pub(super) r#type: String,
    pub(super) config: Option<Texts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireNetworks {
    pub(super) networks: Option<BTreeMap<String, Option<WireEndpoint>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireEndpoint {
    #[serde(rename = "Aliases")]
    pub(super) aliases: Option<Vec<String>>,
    #[serde(rename = "IPAMConfig")]
    pub(super) ipam: Option<WireIpam>,
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) ip6_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireIpam {
    #[serde(rename = "IPv4Address")]
    pub(super) four: String,
    #[serde(rename = "IPv6Address")]
    pub(super) six: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireMount {
    pub(super) r#type: String,
    pub(super) name: String,
    pub(super) source: String,
    pub(super) destination: String,
    #[serde(rename = "RW")]
    pub(super) writable: bool,
    pub(super) propagation: String,
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(match value {
            serde_json::Value::String(one) if !one.is_empty() => vec![one],
            serde_json::Value::Array(many) => {
                many.into_iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
            }
            _ => Vec::new(),
        }))
    }
}

impl<'de> Deserialize<'de> for SignalName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(match value {
            serde_json::Value::String(name) => name,
            serde_json::Value::Number(number) => number.to_string(),
            _ => String::new(),
        }))
    }
}

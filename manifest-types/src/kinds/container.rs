//! `Container`: a container of the engine on the device.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ResourceSpec,
    engine::{EngineName, ImageRef, TakeOver, Texts, foreign_marks},
    file::{AbsolutePath, DirectoryPath},
    is_default,
};
use crate::{
    claim::Claim,
    name::ResourceId,
    problem::{JsonPath, Problem},
    quantity::{Size, Span},
};

mod details;
mod health;
mod mounts;
mod ports;
mod running;

pub use details::{ContainerDetails, ContainerHealth};
pub use health::{ExecProbe, Healthcheck, HttpProbe, Probe, Probes, TcpProbe};
pub use mounts::{Mount, MountType, Propagation};
pub use ports::{Attachment, NetworkMode, Port, PortRange, Protocol};
pub use running::{
    Capabilities, CgroupNamespace, CpuSet, Desired, Device, DeviceRequest, HandOver, Limits, Logging,
    PullOrder, PullPolicy, RestartPolicy, Strategy, Ulimit, Update,
};

/// What a manifest wants of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({
    "image": "registry.example/web:1.2", "ports": [{ "container": 80, "host": 8080 }], "env": { "MODE": "kiosk" }
}))]
pub struct ContainerSpec {
    /// Its name in the engine. Default: the resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<EngineName>,
    /// What it is made from.
    pub image: ImageRef,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull_policy: PullPolicy,
    /// A file on the device with the registries' credentials, in the form of Docker's `config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_credentials: Option<AbsolutePath>,
    /// The arguments, or the command where there is no entrypoint. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The program. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Variables of its environment, beside the image's. Their values are never told.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub env: Texts,
    /// Variables that it is given when it is made, beside `env`, and keeps: a change of them is no reason to make it anew.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub initial_env: Texts,
    /// Where it starts. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<DirectoryPath>,
    /// The user, and the group after a colon, by names or numbers. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// More groups of its user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The host name that it sees. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The domain that it thinks it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    /// Its ports that can be reached through the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// What of the device it sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// The engine's networks that it is in. Default: the engine's default network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Attachment>,
    /// Where its network is, if not in `networks`. Default: `Bridge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<NetworkMode>,
    /// The container whose network it has, by its name in the engine, instead of one of its own. When that one is made anew, so is this. Needs Docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_of: Option<EngineName>,
    /// The name servers that it asks. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<core::net::IpAddr>,
    /// The domains that it searches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// More options of its resolver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// More hosts that it knows: addresses by name. The address `host-gateway` is the host's.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub extra_hosts: Texts,
    /// What it may use of the device.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Limits,
    /// When the engine starts it again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub restart_policy: RestartPolicy,
    /// How often at most, with `OnFailure`. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// The engine's own healthcheck. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Probes that the agent runs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub probes: Probes,
    /// The signal that asks it to end. Default: the image's, else SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// The time it has to end after that, before it is killed. Default: 10s; 20m at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_grace_period: Option<Span>,
    /// Whether a small init of the engine is its first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Whether it has a terminal.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tty: bool,
    /// Whether it may do all that the engine may.
    #[serde(default, skip_serializing_if = "is_default")]
    pub privileged: bool,
    /// What it may do beyond, or not even do of, what is usual.
    #[serde(default, skip_serializing_if = "is_default")]
    pub capabilities: Capabilities,
    /// Devices of the host that it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Rules on devices in the kernel's form, such as `c 188:* rwm`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// Devices that a driver of the engine finds for it, such as processors for graphics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device_requests: Vec<DeviceRequest>,
    /// Settings of the kernel in its namespaces.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub sysctls: Texts,
    /// Limits of the kernel on its processes, by name, such as `nofile`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Options for security modules, such as `no-new-privileges`, `seccomp=unconfined`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Whether it may only read its own file system.
    #[serde(default, skip_serializing_if = "is_default")]
    pub read_only_root_filesystem: bool,
    /// The size of /dev/shm. Default: 64Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Size>,
    /// Whose System V memory it shares: `private`, `shareable`, `host`, `none`, `container:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// Whose processes it sees: `host`, `container:NAME`. Default: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// Whose names of the host it has: `host`. Default: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    /// Whose users it has, such as `host`. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userns: Option<String>,
    /// Whose control groups it sees. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<CgroupNamespace>,
    /// The control group that its own is below. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// What runs it, of those that the engine knows. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// How soon the kernel kills it when the device runs out of memory: from -1000 (never) to 1000 (first). Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i16>,
    /// Whether the kernel leaves it alone when it reaches its limit of memory. Needs cgroup v1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oom_kill_disable: bool,
    /// Options of the engine's storage for its file system, such as `size`.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub storage_opt: Texts,
    /// Where its output goes. Default: the engine chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// Labels; names that begin with `holdfast.` are the agent's.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub labels: Texts,
    /// Notes for runtimes (OCI).
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub annotations: Texts,
    /// A container that is there already and is taken over: as it is, where it is as wanted. It needs labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<TakeOver>,
    /// How it is replaced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub update: Update,
    /// Whether it is to run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub desired: Desired,
}

/// A container may be waited for as long as this, whether it is to become healthy or to end.
const MOST_PATIENCE: Span = Span(std::time::Duration::from_secs(20 * 60));

/// What engines call their own ways of networking, and their usual network.
const NOT_NETWORKS: [&str; 5] = ["bridge", "default", "host", "none", "podman"];

impl ContainerSpec {
    /// A container of an image, with everything else as usual.
    pub fn from_image(image: ImageRef) -> Self {
        let spec = serde_json::json!({ "image": image });
        serde_json::from_value(spec).expect("an image is all that is required")
    }

    /// The time that a new one has to become healthy.
    pub fn healthy_within(&self) -> std::time::Duration {
        self.update.healthy_within.map_or(std::time::Duration::from_secs(60), |span| span.0)
    }

    /// When the engine is to start it again, and how often at most. One that is held stopped is not started by an engine that comes up itself.
    pub fn wanted_restarts(&self) -> (RestartPolicy, Option<u32>) {
        match self.desired {
            Desired::Running => (self.restart_policy, self.max_restarts),
            Desired::Stopped => (RestartPolicy::No, None),
        }
    }

    /// Whether one that has ended may be left to rest by its policy.
    pub fn may_rest(&self) -> bool {
        matches!(self.restart_policy, RestartPolicy::OnFailure | RestartPolicy::No)
    }

    /// The time it has to end before it is killed, in whole seconds.
    pub fn stop_seconds(&self) -> u32 {
        let seconds = self.stop_grace_period.map_or(10, |span| span.0.as_millis().div_ceil(1000));
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    fn network_problems(&self) -> Vec<Problem> {
        let at = JsonPath::root();
        let mut problems = ports::problems(&self.ports);
        if let Some(mode @ (NetworkMode::Host | NetworkMode::None)) = self.network_mode {
            for (key, given) in [("networks", !self.networks.is_empty()), ("ports", !self.ports.is_empty())] {
                if given {
                    problems
                        .push(Problem::new(at.key(key), format!("does not go with networkMode {mode:?}")));
                }
            }
        }
        if self.network_of.is_some() {
            for (key, given) in [
                ("networks", !self.networks.is_empty()),
                ("ports", !self.ports.is_empty()),
                ("networkMode", self.network_mode.is_some()),
                ("hostname", self.hostname.is_some()),
            ] {
                if given {
                    problems.push(Problem::new(at.key(key), "does not go with networkOf"));
                }
            }
        }
        if self.network_mode == Some(NetworkMode::Bridge) && !self.networks.is_empty() {
            problems.push(Problem::new(at.key("networkMode"), "Bridge does not go with networks"));
        }
        for (index, network) in self.networks.iter().enumerate() {
            if NOT_NETWORKS.contains(&network.name.as_str()) {
                let message = "is not a network that can be joined by its name: say networkMode instead";
                problems.push(Problem::new(at.key("networks").index(index).key("name"), message));
            }
            if self.networks[..index].iter().any(|other| other.name == network.name) {
                problems.push(Problem::new(at.key("networks").index(index).key("name"), "is there twice"));
            }
            for family in [core::net::IpAddr::is_ipv4, core::net::IpAddr::is_ipv6] {
                if network.ip.iter().filter(|ip| family(ip)).count() > 1 {
                    let message = "has two addresses of one family";
                    problems.push(Problem::new(at.key("networks").index(index).key("ip"), message));
                }
            }
        }
        for (name, address) in &self.extra_hosts {
            if address != "host-gateway" && address.parse::<core::net::IpAddr>().is_err() {
                let message = format!("{address:?} is neither an address nor host-gateway");
                problems.push(Problem::new(at.key("extraHosts").key(name), message));
            }
        }
        problems
    }

    fn text_problems(&self) -> Vec<Problem> {
        let at = JsonPath::root();
        let mut problems = Vec::new();
        for (key, texts) in
            [("env", &self.env), ("initialEnv", &self.initial_env), ("sysctls", &self.sysctls)]
        {
            for (name, value) in texts {
                if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                    problems.push(Problem::new(
                        at.key(key).key(name),
                        "has no name, or `=` or NUL where it cannot be",
                    ));
                }
            }
        }
        for name in self.initial_env.keys().filter(|name| self.env.contains_key(*name)) {
            problems.push(Problem::new(at.key("initialEnv").key(name), "is in env, too"));
        }
        for (key, lists) in [("command", &self.command), ("entrypoint", &self.entrypoint)] {
            if lists.iter().flatten().any(|text| text.contains('\0')) {
                problems.push(Problem::new(at.key(key), "has a NUL"));
            }
        }
        let of_another = |mode: &str| {
            mode.strip_prefix("container:").is_some_and(|name| name.parse::<EngineName>().is_ok())
        };
        if let Some(ipc) = self.ipc.as_deref()
            && !(["private", "shareable", "host", "none"].contains(&ipc) || of_another(ipc))
        {
            problems.push(Problem::new(
                at.key("ipc"),
                "must be private, shareable, host, none or container:NAME",
            ));
        }
        if self.uts.as_deref().is_some_and(|uts| uts != "host") {
            problems.push(Problem::new(at.key("uts"), "must be host"));
        }
        if self.oom_score_adj.is_some_and(|score| !(-1000..=1000).contains(&score)) {
            problems.push(Problem::new(at.key("oomScoreAdj"), "must be -1000 at least and 1000 at most"));
        }
        if let Some(pid) = self.pid.as_deref()
            && !(pid == "host" || of_another(pid))
        {
            problems.push(Problem::new(at.key("pid"), "must be host or container:NAME"));
        }
        problems
    }
}

impl ResourceSpec for ContainerSpec {
    const KIND: &'static str = "Container";

    fn problems(&self) -> Vec<Problem> {
        let at = JsonPath::root();
        let mut problems = [
            foreign_marks("labels", &self.labels),
            self.network_problems(),
            self.text_problems(),
            mounts::problems(&self.mounts),
            self.resources.problems(),
            self.healthcheck.iter().flat_map(Healthcheck::problems).collect(),
            self.probes.problems(),
            running::problems(self),
        ]
        .concat();
        if self.max_restarts.is_some() && self.restart_policy != RestartPolicy::OnFailure {
            problems.push(Problem::new(at.key("maxRestarts"), "goes with restartPolicy OnFailure only"));
        }
        if self.take_over.as_ref().is_some_and(|own| own.labels.is_empty()) {
            problems.push(Problem::new(
                at.key("takeOver").key("labels"),
                "is empty: any container would be meant",
            ));
        }
        if self.pull_policy == PullPolicy::Never && self.registry_credentials.is_some() {
            problems.push(Problem::new(at.key("registryCredentials"), "does not go with pullPolicy Never"));
        }
        let patience = [
            (at.key("update").key("healthyWithin"), self.update.healthy_within),
            (at.key("stopGracePeriod"), self.stop_grace_period),
            (
                at.key("update").key("handOver").key("within"),
                self.update.hand_over.as_ref().and_then(|hand_over| hand_over.within),
            ),
        ];
        for (path, _) in
            patience.into_iter().filter(|(_, span)| span.is_some_and(|span| span > MOST_PATIENCE))
        {
            problems.push(Problem::new(path, format!("is longer than {MOST_PATIENCE}: a step that goes on for so long without progress is given up")));
        }
        let starts_first = self.update.strategy == Strategy::StartFirst;
        for (key, is_wrong, other) in [
            (
                "handOver",
                self.update.hand_over.is_some() && !starts_first,
                "goes with strategy StartFirst only",
            ),
            (
                "pull",
                self.update.pull != PullOrder::BeforeStop && starts_first,
                "does not go with strategy StartFirst",
            ),
        ] {
            if is_wrong {
                problems.push(Problem::new(at.key("update").key(key), other));
            }
        }
        if self.update.hand_over.as_ref().is_some_and(|hand_over| hand_over.files.is_empty()) {
            problems.push(Problem::new(at.key("update").key("handOver").key("files"), "is empty"));
        }
        if self.update.strategy == Strategy::StartFirst {
            let fixed = self.ports.iter().any(|port| port.host.is_some())
                || (self.network_mode == Some(NetworkMode::Host) && self.update.hand_over.is_none());
            let addressed = self.networks.iter().any(|network| !network.ip.is_empty());
            if fixed || addressed {
                let message = "StartFirst needs ports and addresses that two can have at once: no host ports, no fixed ip, no host network";
                problems.push(Problem::new(at.key("update").key("strategy"), message));
            }
        }
        problems
    }

    fn claims(&self, id: &ResourceId) -> Vec<Claim> {
        vec![Claim::Container(EngineName::of(self.name.as_ref(), id))]
    }
}

#[cfg(test)]
mod tests;

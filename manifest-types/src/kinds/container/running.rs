//! How a container runs: what it may use, when it is started again, how it is replaced.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ContainerSpec;
use crate::{
    kinds::{engine::Texts, file::AbsolutePath, is_default},
    problem::{JsonPath, Problem},
    quantity::{Size, Span},
    text::{read_as_text, schema_as, write_as_text},
};

/// What a container may use of the device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The most memory. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// The memory it is left when the device runs short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<Size>,
    /// The most processors, such as 0.5. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Its weight against others when processors run short. Default: 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u32>,
    /// The most processes and threads. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// The processors that it may run on, such as `0-2,5`. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<CpuSet>,
    /// The period of its time before all others on a processor. Needs a kernel that shares such time out among groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_realtime_period: Option<Span>,
    /// The time before all others that it has in each such period. Needs the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_realtime_runtime: Option<Span>,
}

/// Some processors, by their numbers: `0-2,5`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CpuSet(String);

/// The most processors that a kernel is built for.
const MOST_PROCESSORS: u32 = 8192;

impl CpuSet {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CpuSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|number| digits && *number < MOST_PROCESSORS)
        };
        let is_range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last)
        };
        match text.split(',').all(is_range) {
            true => Ok(Self(text.to_owned())),
            false => Err("must be numbers of processors and ranges of them, such as \"0-2,5\"".into()),
        }
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

write_as_text!(CpuSet);
read_as_text!(CpuSet, "numbers of processors, such as \"0-2,5\"");
schema_as!(CpuSet, {
    "description": "Some processors, by their numbers.",
    "type": "string",
    "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$",
    "examples": ["0-2,5"]
});

/// When the engine starts a container again that has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Whenever it has ended.
    #[default]
    Always,
    /// When it has ended with a failure; `maxRestarts` says how often.
    OnFailure,
    /// Whenever it has ended, as `Always`; after the engine itself was restarted, only if it was not stopped by hand. The agent starts it then: what is to
    /// stay stopped has `desired: Stopped`.
    UnlessStopped,
    /// Never: when it has ended with success, it is done.
    No,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// When the engine has no image of that name.
    #[default]
    IfNotPresent,
    /// Before every start that the agent makes: a tag that has moved in the registry is noticed then.
    Always,
    /// Never: it must be there.
    Never,
}

/// How a container is replaced.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// What comes first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// The time that the new one has to become healthy; otherwise the old one comes back. Default: 1m; 20m at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_within: Option<Span>,
    /// When the image is pulled that the new one needs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pull: PullOrder,
    /// With `StartFirst`: the new one says itself when the old one is to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hand_over: Option<HandOver>,
    /// Files or directories that forbid, while they are there, to stop, restart, replace or remove it, or any other of its group. Those of the user 65534 are the
    /// agent's own: it makes them while it does such a thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<AbsolutePath>,
}

/// When the image is pulled that a new container needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullOrder {
    /// While the old one runs.
    #[default]
    BeforeStop,
    /// When the old one has stopped, which starts again if the image cannot be had: for what needs all of the network, or of the memory.
    AfterStop,
    /// When the old one and its image are removed: for disks that have no room for both. There is no way back then.
    AfterRemoval,
}

/// How a new container says that the old one is to go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HandOver {
    /// Files of the device of which it makes one. They are removed before it is started.
    pub files: Vec<AbsolutePath>,
    /// After so long the old one goes nevertheless. Default: 1m; 20m at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

impl HandOver {
    /// After so long the old one goes nevertheless.
    pub fn wanted_within(&self) -> std::time::Duration {
        self.within.map_or(std::time::Duration::from_secs(60), |span| span.0)
    }
}

/// What comes first when a container is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// The old one is stopped, and kept until the new one is healthy.
    #[default]
    StopFirst,
    /// The new one is started beside the old one, which is stopped once the new one is healthy. They must not need the same port.
    StartFirst,
}

/// Whether a container is to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Desired {
    /// It runs.
    #[default]
    Running,
    /// It is there, and stopped.
    Stopped,
}

/// Whose control groups a container sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CgroupNamespace {
    /// Its own only.
    Private,
    /// The host's.
    Host,
}

impl CgroupNamespace {
    /// As engines write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Host => "host",
        }
    }
}

/// What a container may do beyond, or not even do of, what the engine lets containers do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Capabilities {
    /// More, such as NET_ADMIN, or ALL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Fewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// A device of the host that the container may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Where it is on the host.
    pub host: String,
    /// Where it is in the container. Default: as on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// `r`, `w` and `m` (make nodes). Default: rwm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
}

/// Devices that a driver of the engine finds for a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceRequest {
    /// The driver, such as `nvidia`. Default: the one that has what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How many; without `count` and `ids`, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Which ones, in the driver's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// What they must be able to do, such as `gpu`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
}

impl DeviceRequest {
    /// How many, as engines write it: -1 are all, and 0 is said by their names.
    pub fn wanted_count(&self) -> i64 {
        match self.count {
            Some(count) => i64::from(count),
            None if self.ids.is_empty() => -1,
            None => 0,
        }
    }
}

/// A limit of the kernel on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ulimit {
    /// What is in force; -1 is no limit.
    pub soft: i64,
    /// How far the process may raise it; -1 is no limit.
    pub hard: i64,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// What takes it, such as `json-file`, `local`, `journald`, `none`.
    pub driver: String,
    /// The driver's options.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub options: Texts,
}

/// The kernel's names of limits.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The least memory that engines take.
const LEAST_MEMORY: Size = Size(6 * 1024 * 1024);

impl Limits {
    pub(super) fn problems(&self) -> Vec<Problem> {
        let at = |key: &str| JsonPath::root().key("resources").key(key);
        let mut problems = Vec::new();
        if self.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
            problems.push(Problem::new(at("memory"), format!("must be {LEAST_MEMORY} at least")));
        }
        if let (Some(memory), Some(kept)) = (self.memory, self.memory_reservation)
            && kept > memory
        {
            problems
                .push(Problem::new(at("memoryReservation"), format!("is more than the limit of {memory}")));
        }
        if self.cpus.is_some_and(|cpus| !(0.01..=4096.0).contains(&cpus)) {
            problems.push(Problem::new(at("cpus"), "must be from 0.01 to 4096"));
        }
        if self.cpu_shares.is_some_and(|shares| shares < 2) {
            problems.push(Problem::new(at("cpuShares"), "must be 2 at least"));
        }
        if let (Some(period), Some(runtime)) = (self.cpu_realtime_period, self.cpu_realtime_runtime)
            && runtime > period
        {
            problems.push(Problem::new(
                at("cpuRealtimeRuntime"),
                format!("is longer than its period of {period}"),
            ));
        }
        if self.pids == Some(0) {
            problems.push(Problem::new(at("pids"), "must be 1 at least"));
        }
        problems
    }
}

/// What is wrong with devices and limits.
pub(super) fn problems(spec: &ContainerSpec) -> Vec<Problem> {
    let ContainerSpec { devices, device_requests, ulimits, .. } = spec;
    let mut problems = Vec::new();
    for (index, request) in device_requests.iter().enumerate() {
        let at = JsonPath::root().key("deviceRequests").index(index);
        if request.count.is_some() && !request.ids.is_empty() {
            problems.push(Problem::new(at.clone(), "takes count or ids, not both"));
        }
        if request.count == Some(0) {
            problems.push(Problem::new(at.key("count"), "must be 1 at least"));
        }
        if request.driver.is_none() && request.capabilities.is_empty() {
            problems.push(Problem::new(at, "needs a driver or capabilities"));
        }
    }
    for (index, device) in devices.iter().enumerate() {
        let at = JsonPath::root().key("devices").index(index);
        let rights = device.permissions.as_deref().unwrap_or("rwm");
        let doubled = |right: char| rights.matches(right).count() > 1;
        if rights.is_empty() || !rights.chars().all(|right| "rwm".contains(right) && !doubled(right)) {
            problems
                .push(Problem::new(at.key("permissions"), format!("{rights:?} is not made of r, w and m")));
        }
        if !device.host.starts_with('/') {
            problems.push(Problem::new(at.key("host"), "must be an absolute path"));
        }
    }
    for (name, limit) in ulimits {
        let at = JsonPath::root().key("ulimits").key(name);
        if !ULIMITS.contains(&name.as_str()) {
            problems
                .push(Problem::new(at, format!("there is no such limit; there are {}", ULIMITS.join(", "))));
        } else if limit.soft < -1
            || limit.hard < -1
            || (limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0))
        {
            problems.push(Problem::new(at, "soft must be hard at most, and neither below -1"));
        }
    }
    problems
}

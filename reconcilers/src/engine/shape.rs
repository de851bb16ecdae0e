//! The settings of a container, by their paths in the spec: one form for what is wanted and for what an engine says. Pure.
//!
//! Values that may be secret stand here as digests. A path that is not there is not set, or not told.

use std::collections::BTreeMap;

use manifest_types::{
    digest::Digest,
    kinds::{
        container::{
            Attachment, ContainerSpec, DeviceRequest, Healthcheck, Limits, NetworkMode, Port, RestartPolicy,
        },
        engine::Texts,
    },
};
use serde_json::{Value, json};

use crate::observation::Difference;

mod birth;
mod others;
mod words;

pub use birth::Birth;
pub use words::{
    bind_text, capability, device_request_text, nano_cpus, signal_name, tmpfs_text, volume_options,
    volume_text,
};
use words::{is_own_volume, mount_text};

/// What the engine's usual network is called here, whatever the engine calls it.
pub const USUAL_NETWORK: &str = "bridge";
/// What stands for the network mode of a container that is in networks by their names.
pub const NAMED_NETWORKS: &str = "networks";

/// Settings by path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Shape(BTreeMap<String, Value>);

/// What nobody but the spec sets: a network, but for the aliases and addresses that the engine gives of its own, and a limit, whether a spec can name it or not.
fn is_never_left(path: &str, got: &Value) -> bool {
    (path.starts_with("networks.") && got.is_boolean()) || path.starts_with("resources.")
}

/// What stands below the path of a network.
const OF_NETWORK: [&str; 6] =
    [".aliases", ".ip", ".mac", ".linkLocalIps", ".gatewayPriority", ".driverOptions"];

/// The network that a path below `networks.` is about.
pub fn network_of(rest: &str) -> &str {
    OF_NETWORK.iter().find_map(|part| rest.strip_suffix(part)).unwrap_or(rest)
}

/// An engine may tell an address only of what runs; that of hardware comes with the network itself.
fn is_address_to_come(path: &str, seen: &Shape) -> bool {
    let is_there = |network: &str| seen.0.contains_key(network);
    path.starts_with("networks.")
        && (path.ends_with(".mac") || path.strip_suffix(".ip").is_some_and(is_there))
}

impl Shape {
    /// The settings that a spec wants. What it leaves to the image or to the engine is not among them.
    pub fn wanted(spec: &ContainerSpec) -> Self {
        let mut shape = Self::default();
        shape.process(spec);
        shape.networking(spec);
        shape.rights(spec);
        shape.limits(&spec.resources);
        shape.restarts(spec.restart_policy, spec.max_restarts);
        for mount in &spec.mounts {
            shape.set(format!("mounts.{}", mount.target), mount_text(mount));
            let options = volume_options(!mount.no_copy, mount.sub_path.as_deref());
            shape.set_some(&format!("volumeOptions.{}", mount.target), options);
        }
        shape.texts("labels", &spec.labels);
        shape.texts("annotations", &spec.annotations);
        if let Some(check) = &spec.healthcheck {
            shape.healthcheck(check);
        }
        if let Some(logging) = &spec.logging {
            shape.set("logging.driver", logging.driver.clone());
            shape.digests("logging.options", &logging.options);
        }
        shape
    }

    /// Sets one value.
    pub fn set(&mut self, path: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(path.into(), value.into());
    }

    /// Sets one value, if there is one.
    pub fn set_some(&mut self, path: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// Sets a list, if there is anything in it; `sorted` where its order means nothing.
    pub fn set_list(&mut self, path: &str, list: &[String], sorted: bool) {
        let mut list = list.to_vec();
        if sorted {
            list.sort();
            list.dedup();
        }
        if !list.is_empty() {
            self.set(path, list);
        }
    }

    /// Sets each of some texts below a path.
    pub fn texts(&mut self, path: &str, texts: &Texts) {
        for (name, text) in texts {
            self.set(format!("{path}.{name}"), text.clone());
        }
    }

    /// Sets a variable of the environment: its value may be a secret.
    pub fn variable(&mut self, name: &str, value: &str) {
        self.set(format!("env.{name}"), Digest::of(value.as_bytes()).to_string());
    }

    /// Sets what may be used of the device. 0 is no limit.
    pub fn limits(&mut self, limits: &Limits) {
        let bytes = |size: Option<manifest_types::quantity::Size>| size.map_or(0, |size| size.0);
        self.set("resources.memory", bytes(limits.memory));
        self.set("resources.memoryReservation", bytes(limits.memory_reservation));
        self.set("resources.cpus", nano_cpus(limits.cpus));
        self.set("resources.cpuShares", limits.cpu_shares.unwrap_or(0));
        self.set("resources.pids", limits.pids.unwrap_or(0));
        // Without one, what others have set is told apart (`beyond_the_spec` of the engine's client).
        self.set_some("resources.cpuRealtimePeriod", limits.cpu_realtime_period.map(microseconds));
        self.set_some("resources.cpuRealtimeRuntime", limits.cpu_realtime_runtime.map(microseconds));
        self.set_some("resources.cpuset", limits.cpuset.as_ref().map(|cpuset| cpuset.as_str()));
    }

    /// Sets when the engine starts it again.
    pub fn restarts(&mut self, policy: RestartPolicy, most: Option<u32>) {
        self.set("restartPolicy", format!("{policy:?}"));
        self.set("maxRestarts", most.unwrap_or(0));
    }

    /// Sets where it is published: `at` is an address and a port of the host, each empty where the engine chooses.
    pub fn port(&mut self, port: u16, protocol: &str, at: &str) {
        let path = format!("ports.{port}/{protocol}");
        let mut all: Vec<String> = match self.0.remove(&path) {
            Some(Value::String(known)) => known.split(", ").map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        all.push(at.to_owned());
        all.sort();
        all.dedup();
        self.set(path, all.join(", "));
    }

    /// Sets that it is in a network.
    pub fn network(&mut self, attachment: &Attachment) {
        let Attachment { name, aliases, ip, link_local_ips, mac, gateway_priority, driver_options } =
            attachment;
        self.set(format!("networks.{name}"), true);
        self.set_list(&format!("networks.{name}.aliases"), aliases, true);
        for (part, ips) in [("ip", ip), ("linkLocalIps", link_local_ips)] {
            let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
            self.set_list(&format!("networks.{name}.{part}"), &ips, true);
        }
        self.set_some(&format!("networks.{name}.mac"), mac.map(|mac| mac.to_string()));
        self.set_some(&format!("networks.{name}.gatewayPriority"), *gateway_priority);
        self.driver_options(name.as_str(), driver_options);
    }

    /// Sets a network's driver's options for this container, which may hold passwords.
    pub fn driver_options(&mut self, network: &str, options: &Texts) {
        if !options.is_empty() {
            let digest = Digest::of(json!(options).to_string().as_bytes());
            self.set(format!("networks.{network}.driverOptions"), digest.to_string());
        }
    }

    /// Takes away a path and all below it.
    pub fn unset_below(&mut self, path: &str) {
        let below =
            |own: &str| own.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.0.retain(|own, _| !below(own));
    }

    /// The value at a path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.0.get(path)
    }

    /// The paths, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The names directly below a path.
    pub fn names_below<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.paths().filter_map(move |own| own.strip_prefix(path)?.strip_prefix('.'));
        names.filter(move |name| !is_part_of_network(path, name))
    }

    /// Where `seen` is not as wanted. What was set at birth and is not wanted any more differs, too, if it is still there.
    pub fn differences(&self, seen: &Self, birth: &Birth) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (path, want) in &self.0 {
            let is_right = match seen.0.get(path) {
                Some(got) => satisfies(path, want, got),
                None => birth.had(path, want) || is_address_to_come(path, seen),
            };
            if !is_right {
                let got = seen.0.get(path).cloned().unwrap_or(Value::Null);
                differences.push(difference(path, want.clone(), got));
            }
        }
        let former =
            birth.fields().filter(|(path, _)| !path.starts_with("networks.") && !self.0.contains_key(*path));
        for (path, untold) in former {
            let got = seen.0.get(path).cloned();
            if got.is_some() || untold.is_some() {
                differences.push(difference(path, Value::Null, got.unwrap_or(Value::Null)));
            }
        }
        let unwanted =
            seen.0.iter().filter(|(path, got)| is_never_left(path, got) && !self.0.contains_key(*path));
        differences.extend(unwanted.map(|(path, got)| difference(path, Value::Null, got.clone())));
        differences
    }

    fn process(&mut self, spec: &ContainerSpec) {
        // An empty command is no command: engines take the image's then.
        self.set_some("command", spec.command.clone().filter(|command| !command.is_empty()));
        self.set_some("entrypoint", spec.entrypoint.clone());
        for (name, value) in &spec.env {
            self.variable(name, value);
        }
        self.set_some("workingDir", spec.working_dir.as_ref().map(|path| path.as_str()));
        self.set_some("user", spec.user.clone());
        self.set_list("groups", &spec.groups, true);
        self.set_some("hostname", spec.hostname.clone());
        self.set_some("domainname", spec.domainname.clone());
        self.set_some("runtime", spec.runtime.clone());
        self.set_some("stopSignal", spec.stop_signal.as_deref().map(signal_name));
        self.set_some("stopGracePeriod", spec.stop_grace_period.map(|_| spec.stop_seconds()));
        self.set_some("init", spec.init);
        // One that was taken over may have a terminal that nobody asked for.
        self.set_some("tty", spec.tty.then_some(true));
        self.set_some("shmSize", spec.shm_size.map(|size| size.0));
        self.namespaces(spec);
        self.set_some("oomScoreAdj", spec.oom_score_adj);
        self.set_some("oomKillDisable", spec.oom_kill_disable.then_some(true));
        self.texts("storageOpt", &spec.storage_opt);
    }

    fn namespaces(&mut self, spec: &ContainerSpec) {
        self.set_some("ipc", spec.ipc.clone());
        self.set_some("pid", spec.pid.clone());
        self.set_some("uts", spec.uts.clone());
        self.set_some("userns", spec.userns.clone());
        self.set_some("cgroup", spec.cgroup.map(|own| own.word()));
        self.set_some("cgroupParent", spec.cgroup_parent.clone());
    }

    fn networking(&mut self, spec: &ContainerSpec) {
        for port in &spec.ports {
            self.published(port);
        }
        for attachment in &spec.networks {
            self.network(attachment);
        }
        match spec.network_mode.filter(|_| spec.networks.is_empty()) {
            _ if let Some(other) = &spec.network_of => self.set("networkMode", format!("container:{other}")),
            _ if !spec.networks.is_empty() => self.set("networkMode", NAMED_NETWORKS),
            Some(NetworkMode::Host) => self.set("networkMode", "host"),
            Some(NetworkMode::None) => self.set("networkMode", "none"),
            Some(NetworkMode::Bridge) | None => {
                self.set("networkMode", USUAL_NETWORK);
                self.set(format!("networks.{USUAL_NETWORK}"), true);
            }
        }
        let dns: Vec<_> = spec.dns.iter().map(ToString::to_string).collect();
        self.set_list("dns", &dns, false);
        self.set_list("dnsSearch", &spec.dns_search, false);
        self.set_list("dnsOptions", &spec.dns_options, false);
        self.texts("extraHosts", &spec.extra_hosts);
    }

    fn published(&mut self, port: &Port) {
        let ip = port.ip.map(|ip| ip.to_string()).unwrap_or_default();
        let hosts: Vec<String> = match port.host {
            Some(range) if port.chooses_of().is_some() => vec![range.to_string()],
            Some(range) => range.ports().map(|host| host.to_string()).collect(),
            None => vec![String::new(); port.container.len()],
        };
        for (container, host) in port.container.ports().zip(hosts) {
            self.port(container, &port.protocol.to_string(), &format!("{ip}:{host}"));
        }
    }

    fn rights(&mut self, spec: &ContainerSpec) {
        self.set("privileged", spec.privileged);
        self.set("readOnlyRootFilesystem", spec.read_only_root_filesystem);
        let capabilities = |names: &[String]| names.iter().map(|name| capability(name)).collect::<Vec<_>>();
        self.set_list("capabilities.add", &capabilities(&spec.capabilities.add), true);
        self.set_list("capabilities.drop", &capabilities(&spec.capabilities.drop), true);
        for device in &spec.devices {
            let inside = device.container.as_ref().unwrap_or(&device.host);
            let rights = device.permissions.as_deref().unwrap_or("rwm");
            self.set(format!("devices.{inside}"), format!("{} {rights}", device.host));
        }
        self.set_list("deviceCgroupRules", &spec.device_cgroup_rules, true);
        let requests = spec.device_requests.iter().map(|request| {
            let DeviceRequest { driver, ids, capabilities, .. } = request;
            device_request_text(
                driver.as_deref().unwrap_or_default(),
                request.wanted_count(),
                ids,
                capabilities,
            )
        });
        self.set_list("deviceRequests", &requests.collect::<Vec<_>>(), true);
        self.texts("sysctls", &spec.sysctls);
        for (name, limit) in &spec.ulimits {
            self.set(format!("ulimits.{name}"), format!("{}:{}", limit.soft, limit.hard));
        }
        self.set_list("securityOpt", &spec.security_opt, true);
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        self.set_some("healthcheck.test", check.test());
        let nanoseconds = |span: Option<manifest_types::quantity::Span>| {
            span.map(|span| u64::try_from(span.0.as_nanos()).unwrap_or(u64::MAX))
        };
        self.set_some("healthcheck.interval", nanoseconds(check.interval));
        self.set_some("healthcheck.timeout", nanoseconds(check.timeout));
        self.set_some("healthcheck.startPeriod", nanoseconds(check.start_period));
        self.set_some("healthcheck.startInterval", nanoseconds(check.start_interval));
        self.set_some("healthcheck.retries", check.retries);
    }
}

fn microseconds(span: manifest_types::quantity::Span) -> u64 {
    u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX)
}

fn is_part_of_network(path: &str, name: &str) -> bool {
    path == "networks" && network_of(name) != name
}

/// Whether what was seen is what is wanted, with what an engine adds of its own.
fn satisfies(path: &str, want: &Value, got: &Value) -> bool {
    if want == got {
        return true;
    }
    if let (true, Some(want), Some(got)) = (path.starts_with("ports."), want.as_str(), got.as_str()) {
        let (want, got): (Vec<_>, Vec<_>) = (want.split(", ").collect(), got.split(", ").collect());
        return want.len() == got.len() && want.iter().zip(got).all(|(want, got)| is_same_port(want, got));
    }
    if let (true, Some(want), Some(got)) = (path.starts_with("mounts."), want.as_str(), got.as_str()) {
        return is_own_volume(want, got);
    }
    if let ("securityOpt", Value::Array(want), Value::Array(got)) = (path, want, got) {
        // Engines add it to whatever shares a namespace with the host.
        return want.iter().all(|one| got.contains(one))
            && got.iter().all(|one| want.contains(one) || one == "label=disable");
    }
    if let ("resources.cpus", Some(want), Some(got)) = (path, want.as_u64(), got.as_u64()) {
        // Some engines keep a part of a tenth of a second in whole microseconds.
        return want.abs_diff(got) < 20_000;
    }
    let is_own = path.starts_with("networks.") && (path.ends_with(".aliases") || path.ends_with(".ip"));
    match (want, got) {
        (Value::Array(want), Value::Array(got)) if is_own => want.iter().all(|one| got.contains(one)),
        _ => false,
    }
}

/// A port that the engine may choose is any one; no address and the unspecified one are the same place.
fn is_same_port(want: &str, got: &str) -> bool {
    let parts = |at: &str| {
        let (ip, port) = at.rsplit_once(':').unwrap_or(("", at));
        (if ip == "0.0.0.0" { String::new() } else { ip.to_owned() }, port.to_owned())
    };
    let ((want_ip, want_port), (got_ip, got_port)) = (parts(want), parts(got));
    want_ip == got_ip && (want_port.is_empty() || want_port == got_port)
}

fn difference(path: &str, want: Value, got: Value) -> Difference {
    let in_place = ["resources.", "networks.", "restartPolicy", "maxRestarts"];
    // Some engines give an address of hardware at birth only.
    let in_place = in_place.iter().any(|prefix| path.starts_with(prefix)) && !path.ends_with(".mac");
    // Engines take no limit for no change, but for that of processes, and that of swap follows from the memory's.
    let lifts = path.starts_with("resources.")
        && !["resources.pids", "resources.memorySwap"].contains(&path)
        && (want == json!(0) || want.is_null());
    let in_place = in_place && !lifts;
    Difference { path: path.to_owned(), want, got, in_place }
}

#[cfg(test)]
mod tests;

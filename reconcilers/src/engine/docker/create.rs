//! A spec as the body of the engine's create call. Pure text: what goes out is what stands here.

use manifest_types::kinds::{
    container::{
        Attachment, ContainerSpec, DeviceRequest, Healthcheck, Mount, MountType, NetworkMode, RestartPolicy,
    },
    engine::Texts,
};
use serde_json::{Map, Value, json};

use crate::engine::{
    NewContainer,
    shape::{USUAL_NETWORK, capability, nano_cpus},
    terms::Adjustment,
};

/// From here on each network of a container has an address of hardware of its own.
const ENDPOINT_MACS: (u32, u32) = (1, 44);

/// What of a spec an engine that speaks this version of the API does not know, and what does.
pub(super) fn unsupported(
    spec: &ContainerSpec,
    api: (u32, u32),
    is_podman: bool,
) -> Option<(&'static str, &'static str)> {
    // It takes them, and does nothing with them.
    let unknown_to_podman = [
        (spec.domainname.is_some(), "domainname"),
        (spec.runtime.is_some(), "runtime"),
        // It does not remove a container whose network others have, so that one could not be replaced.
        (spec.network_of.is_some(), "networkOf"),
        (
            spec.ports.iter().any(|port| port.chooses_of().is_some()),
            "a range of ports for one port of the container",
        ),
        (
            spec.networks.iter().any(|network| !network.driver_options.is_empty()),
            "driverOptions of a network",
        ),
        (spec.networks.iter().any(|network| !network.link_local_ips.is_empty()), "linkLocalIps in a network"),
    ];
    if let Some((_, what)) = unknown_to_podman.into_iter().find(|(is_given, _)| is_podman && *is_given) {
        return Some((what, "Docker"));
    }
    let starts_often = spec.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some());
    let has_sub_path = spec.mounts.iter().any(|mount| mount.sub_path.is_some());
    // Before, there is one address of hardware, that of the first network.
    let has_macs = !is_podman && spec.networks.iter().skip(1).any(|network| network.mac.is_some());
    let has_gateway = spec.networks.iter().any(|network| network.gateway_priority.is_some());
    let needs = [
        (!spec.annotations.is_empty(), (1, 43), "annotations", "API 1.43 (Docker 24)"),
        (starts_often, (1, 44), "healthcheck.startInterval", "API 1.44 (Docker 25)"),
        (has_macs, ENDPOINT_MACS, "mac in a second network", "API 1.44 (Docker 25)"),
        (has_gateway, (1, 48), "gatewayPriority in a network", "API 1.48 (Docker 28)"),
        (has_sub_path, (1, 45), "subPath of a mount", "API 1.45 (Docker 26)"),
    ];
    let missing = needs.into_iter().find(|(is_given, from, ..)| *is_given && api < *from);
    missing.map(|(_, _, what, needs)| (what, needs))
}

/// The body that makes a container. What is not set is not in it.
pub(super) fn body(new: &NewContainer<'_>, api: (u32, u32)) -> Value {
    let spec = new.spec;
    let mut labels = spec.labels.clone();
    labels.extend(new.marks.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut body = Fields::default();
    body.set("Image", spec.image.canonical());
    body.set("Labels", labels);
    body.set_some("Cmd", spec.command.clone());
    body.set_some("Entrypoint", spec.entrypoint.clone());
    body.set_list("Env", [pairs(&spec.initial_env, "="), pairs(&spec.env, "=")].concat());
    body.set_some("WorkingDir", spec.working_dir.as_ref().map(|path| path.as_str()));
    body.set_some("User", spec.user.as_deref());
    body.set_some("Hostname", spec.hostname.as_deref());
    body.set_some("Domainname", spec.domainname.as_deref());
    body.set("Tty", spec.tty);
    body.set_some("StopSignal", spec.stop_signal.as_deref());
    body.set_some("StopTimeout", spec.stop_grace_period.map(|_| spec.stop_seconds()));
    body.set_some("Healthcheck", spec.healthcheck.as_ref().map(healthcheck));
    let exposed: Map<String, Value> = published(spec).keys().map(|port| (port.clone(), json!({}))).collect();
    body.set("ExposedPorts", exposed);
    body.set("HostConfig", host_config(spec));
    if let Some(first) = spec.networks.first() {
        if api < ENDPOINT_MACS {
            body.set_some("MacAddress", first.mac.map(|mac| mac.to_string()));
        }
        body.set("NetworkingConfig", json!({ "EndpointsConfig": { first.name.as_str(): endpoint(first) } }));
    }
    body.0.into()
}

/// The body that puts a container into a network.
pub(super) fn connection(container: &str, to: &Attachment) -> Value {
    json!({ "Container": container, "EndpointConfig": endpoint(to) })
}

/// The body that changes what can be changed in place. The swap is what engines choose for that memory: one cannot grow past it.
pub(super) fn adjustment(to: &Adjustment) -> Value {
    let mut body = resources(&to.limits);
    body.set("RestartPolicy", restart_policy(to.restart_policy, to.max_restarts));
    if let Some(memory) = to.limits.memory {
        body.set("MemorySwap", memory.0.saturating_mul(2));
    }
    body.0.into()
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, name: &str, value: impl serde::Serialize) {
        let value = serde_json::to_value(value).expect("texts and numbers are JSON");
        self.0.insert(name.to_owned(), value);
    }

    fn set_some(&mut self, name: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn set_list<T: serde::Serialize>(&mut self, name: &str, list: Vec<T>) {
        if !list.is_empty() {
            self.set(name, list);
        }
    }
}

fn pairs(texts: &Texts, between: &str) -> Vec<String> {
    texts.iter().map(|(name, text)| format!("{name}{between}{text}")).collect()
}

fn host_config(spec: &ContainerSpec) -> Value {
    let mut host = resources(&spec.resources);
    host.set("RestartPolicy", restart_policy(spec.restart_policy, spec.max_restarts));
    host.set("NetworkMode", network_mode(spec));
    host.set("PortBindings", published(spec));
    let (binds, mounts): (Vec<_>, Vec<_>) = spec.mounts.iter().partition(|mount| mount.create_source);
    host.set_list("Mounts", mounts.into_iter().map(mount).collect());
    host.set_list("Binds", binds.into_iter().map(bind).collect());
    host.set_list("GroupAdd", spec.groups.clone());
    host.set_list("Dns", spec.dns.iter().map(ToString::to_string).collect());
    host.set_list("DnsSearch", spec.dns_search.clone());
    host.set_list("DnsOptions", spec.dns_options.clone());
    host.set_list("ExtraHosts", pairs(&spec.extra_hosts, ":"));
    host.set_some("Init", spec.init);
    host.set("Privileged", spec.privileged);
    host.set("ReadonlyRootfs", spec.read_only_root_filesystem);
    let capabilities = |names: &[String]| names.iter().map(|name| capability(name)).collect::<Vec<_>>();
    host.set_list("CapAdd", capabilities(&spec.capabilities.add));
    host.set_list("CapDrop", capabilities(&spec.capabilities.drop));
    host.set_list(
        "Devices",
        spec.devices
            .iter()
            .map(|device| {
                json!({
                    "PathOnHost": device.host,
                    "PathInContainer": device.container.as_ref().unwrap_or(&device.host),
                    "CgroupPermissions": device.permissions.as_deref().unwrap_or("rwm"),
                })
            })
            .collect(),
    );
    host.set_list("DeviceCgroupRules", spec.device_cgroup_rules.clone());
    host.set_list("DeviceRequests", spec.device_requests.iter().map(device_request).collect());
    if !spec.sysctls.is_empty() {
        host.set("Sysctls", &spec.sysctls);
    }
    let ulimit = |(name, limit): (&String, &manifest_types::kinds::container::Ulimit)| json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard });
    host.set_list("Ulimits", spec.ulimits.iter().map(ulimit).collect());
    host.set_list("SecurityOpt", spec.security_opt.clone());
    host.set_some("ShmSize", spec.shm_size.map(|size| size.0));
    host.set_some("IpcMode", spec.ipc.as_deref());
    host.set_some("PidMode", spec.pid.as_deref());
    host.set_some("UTSMode", spec.uts.as_deref());
    host.set_some("UsernsMode", spec.userns.as_deref());
    host.set_some("CgroupnsMode", spec.cgroup.map(|own| own.word()));
    host.set_some("CgroupParent", spec.cgroup_parent.as_deref());
    host.set_some("Runtime", spec.runtime.as_deref());
    host.set_some("OomScoreAdj", spec.oom_score_adj);
    host.set_some("OomKillDisable", spec.oom_kill_disable.then_some(true));
    if !spec.storage_opt.is_empty() {
        host.set("StorageOpt", &spec.storage_opt);
    }
    if let Some(logging) = &spec.logging {
        host.set("LogConfig", json!({ "Type": logging.driver, "Config": logging.options }));
    }
    if !spec.annotations.is_empty() {
        host.set("Annotations", &spec.annotations);
    }
    host.0.into()
}

fn resources(limits: &manifest_types::kinds::container::Limits) -> Fields {
    let mut fields = Fields::default();
    fields.set_some("Memory", limits.memory.map(|size| size.0));
    fields.set_some("MemoryReservation", limits.memory_reservation.map(|size| size.0));
    fields.set_some("NanoCpus", limits.cpus.map(|cpus| nano_cpus(Some(cpus))));
    fields.set_some("CpuShares", limits.cpu_shares);
    let microseconds =
        |span: manifest_types::quantity::Span| u64::try_from(span.0.as_micros()).unwrap_or(u64::MAX);
    fields.set_some("CpuRealtimePeriod", limits.cpu_realtime_period.map(microseconds));
    fields.set_some("CpuRealtimeRuntime", limits.cpu_realtime_runtime.map(microseconds));
    fields.set_some("CpusetCpus", limits.cpuset.as_ref().map(|cpuset| cpuset.as_str()));
    // Without a limit of its own, Podman would set one.
    fields.set("PidsLimit", limits.pids.map_or(-1, i64::from));
    fields
}

fn restart_policy(policy: RestartPolicy, most: Option<u32>) -> Value {
    let name = match policy {
        RestartPolicy::Always => "always",
        RestartPolicy::OnFailure => "on-failure",
        RestartPolicy::UnlessStopped => "unless-stopped",
        RestartPolicy::No => "no",
    };
    json!({ "Name": name, "MaximumRetryCount": most.unwrap_or(0) })
}

fn network_mode(spec: &ContainerSpec) -> String {
    if let Some(other) = &spec.network_of {
        return format!("container:{other}");
    }
    match (spec.networks.first(), spec.network_mode) {
        (Some(first), _) => first.name.to_string(),
        (None, Some(NetworkMode::Host)) => "host".into(),
        (None, Some(NetworkMode::None)) => "none".into(),
        (None, Some(NetworkMode::Bridge) | None) => USUAL_NETWORK.into(),
    }
}

/// Where ports are published, by `PORT/PROTOCOL`.
fn published(spec: &ContainerSpec) -> Map<String, Value> {
    let mut bindings: Map<String, Value> = Map::new();
    for port in &spec.ports {
        let ip = port.ip.map(|ip| ip.to_string()).unwrap_or_default();
        for (index, container) in port.container.ports().enumerate() {
            let host = match port.chooses_of() {
                Some(range) => Some(range.to_string()),
                None => port.host.and_then(|host| host.ports().nth(index)).map(|host| host.to_string()),
            };
            let host = host.unwrap_or_default();
            let binding = json!({ "HostIp": ip, "HostPort": host });
            let key = format!("{container}/{}", port.protocol);
            match bindings.get_mut(&key) {
                Some(Value::Array(known)) => known.push(binding),
                _ => drop(bindings.insert(key, json!([binding]))),
            }
        }
    }
    bindings
}

fn mount(mount: &Mount) -> Value {
    let kind = match mount.mount_type {
        MountType::Bind => "bind",
        MountType::Volume => "volume",
        MountType::Tmpfs => "tmpfs",
    };
    let mut fields = Fields::default();
    fields.set("Type", kind);
    fields.set_some("Source", mount.source.as_deref());
    fields.set("Target", mount.target.as_str());
    fields.set("ReadOnly", mount.read_only);
    // Where none is said the engine chooses: for a directory that holds its own, only some are possible.
    if let Some(propagation) = mount.propagation {
        fields.set("BindOptions", json!({ "Propagation": propagation.to_string() }));
    }
    if mount.no_copy || mount.sub_path.is_some() {
        let mut options = Fields::default();
        options.set_some("NoCopy", mount.no_copy.then_some(true));
        options.set_some("Subpath", mount.sub_path.as_deref());
        fields.set("VolumeOptions", options.0);
    }
    if mount.mount_type == MountType::Tmpfs && (mount.size.is_some() || mount.mode.is_some()) {
        let mut options = Fields::default();
        options.set_some("SizeBytes", mount.size.map(|size| size.0));
        options.set_some("Mode", mount.mode.map(|mode| mode.0));
        fields.set("TmpfsOptions", options.0);
    }
    fields.0.into()
}

fn device_request(request: &DeviceRequest) -> Value {
    json!({
        "Driver": request.driver.as_deref().unwrap_or_default(), "Count": request.wanted_count(),
        "DeviceIDs": request.ids, "Capabilities": [request.capabilities],
    })
}

/// A directory of the host in the form in which every engine makes it where it is missing.
fn bind(mount: &Mount) -> String {
    let rights = if mount.read_only { "ro" } else { "rw" };
    let propagation = mount.propagation.map(|own| format!(",{own}")).unwrap_or_default();
    let source = mount.source.as_deref().unwrap_or_default();
    format!("{source}:{}:{rights}{propagation}", mount.target)
}

fn endpoint(to: &Attachment) -> Value {
    let mut endpoint = Fields::default();
    endpoint.set_list("Aliases", to.aliases.clone());
    let address =
        |is: fn(&core::net::IpAddr) -> bool| to.ip.iter().find(|ip| is(ip)).map(ToString::to_string);
    let (four, six) = (address(core::net::IpAddr::is_ipv4), address(core::net::IpAddr::is_ipv6));
    if four.is_some() || six.is_some() || !to.link_local_ips.is_empty() {
        let mut addresses = Fields::default();
        addresses.set_some("IPv4Address", four);
        addresses.set_some("IPv6Address", six);
        addresses.set_list("LinkLocalIPs", to.link_local_ips.iter().map(ToString::to_string).collect());
        endpoint.set("IPAMConfig", addresses.0);
    }
    endpoint.set_some("MacAddress", to.mac.map(|mac| mac.to_string()));
    endpoint.set_some("GwPriority", to.gateway_priority);
    if !to.driver_options.is_empty() {
        endpoint.set("DriverOpts", &to.driver_options);
    }
    endpoint.0.into()
}

fn healthcheck(check: &Healthcheck) -> Value {
    let mut fields = Fields::default();
    let nanoseconds =
        |span: manifest_types::quantity::Span| u64::try_from(span.0.as_nanos()).unwrap_or(u64::MAX);
    fields.set_some("Test", check.test());
    fields.set_some("Interval", check.interval.map(nanoseconds));
    fields.set_some("Timeout", check.timeout.map(nanoseconds));
    fields.set_some("StartPeriod", check.start_period.map(nanoseconds));
    fields.set_some("StartInterval", check.start_interval.map(nanoseconds));
    fields.set_some("Retries", check.retries);
    fields.0.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_rendered_whole() {
        let spec: ContainerSpec = serde_json::from_value(json!({
            "image": "web:1", "command": ["serve"], "env": { "A": "1" }, "initialEnv": { "B": "2" }, "workingDir": "/srv", "user": "1000", "stopGracePeriod": "1500ms",
            "ports": [{ "container": "80-81", "host": "8080-8081", "ip": "127.0.0.1" }, { "container": 53, "protocol": "Udp" }, { "container": 90, "host": "9000-9010" }],
            "mounts": [
                { "type": "Bind", "source": "/etc", "target": "/etc", "readOnly": true },
                { "type": "Bind", "source": "/srv", "target": "/srv", "createSource": true },
                { "type": "Volume", "source": "data", "target": "/data", "noCopy": true, "subPath": "web" },
                { "type": "Volume", "target": "/own" },
                { "type": "Tmpfs", "target": "/tmp", "size": "1Mi", "mode": "0700" }
            ],
            "networks": [{ "name": "shop", "aliases": ["www"], "ip": ["10.0.0.5", "fd00::5"], "linkLocalIps": ["169.254.1.1"], "mac": "02:42:ac:11:00:02", "gatewayPriority": 2, "driverOptions": { "a": "b" } }, { "name": "other" }],
            "resources": { "memory": "64Mi", "cpus": 0.5, "cpuset": "0-1", "cpuRealtimePeriod": "1s", "cpuRealtimeRuntime": "950ms" }, "restartPolicy": "OnFailure", "maxRestarts": 3,
            "healthcheck": { "shell": "true", "interval": "5s", "startInterval": "1s" }, "capabilities": { "add": ["net_admin"] },
            "devices": [{ "host": "/dev/null" }], "extraHosts": { "db": "10.0.0.2" }, "ulimits": { "nofile": { "soft": 1, "hard": 2 } },
            "logging": { "driver": "local" }, "labels": { "tier": "front" }, "domainname": "example", "uts": "host", "userns": "host",
            "cgroup": "Private", "cgroupParent": "/plant", "runtime": "runc", "oomScoreAdj": -5, "oomKillDisable": true,
            "storageOpt": { "size": "1G" }, "deviceRequests": [{ "driver": "nvidia", "capabilities": ["gpu"] }]
        }))
        .expect("it is a good spec");
        let marks = Texts::from([("holdfast.agent-id".to_owned(), "pump-17".to_owned())]);
        let new = NewContainer { name: "web", spec: &spec, marks: &marks };
        insta::assert_json_snapshot!(body(&new, (1, 41)));
        insta::assert_json_snapshot!(adjustment(&Adjustment::of(&spec)));
    }

    #[test]
    fn what_an_engine_does_not_know_is_told_before_anything_is_made() {
        let told = |more: serde_json::Value, api, is_podman| {
            let mut spec = json!({ "image": "web:1" });
            spec.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
            let spec: ContainerSpec = serde_json::from_value(spec).expect("it is a good spec");
            unsupported(&spec, api, is_podman).map(|(what, _)| what)
        };
        let check = || json!({ "healthcheck": { "command": ["true"], "startInterval": "1s" } });
        let volume = json!({ "type": "Volume", "source": "a", "target": "/a", "subPath": "b" });
        let two = json!({ "networks": [{ "name": "a" }, { "name": "b", "mac": "02:42:ac:11:00:02" }] });
        for (more, api, is_podman, what) in [
            (json!({ "annotations": { "a": "b" } }), (1, 42), false, Some("annotations")),
            (json!({ "annotations": { "a": "b" } }), (1, 43), false, None),
            (check(), (1, 43), false, Some("healthcheck.startInterval")),
            (check(), (1, 44), false, None),
            (json!({ "mounts": [volume] }), (1, 44), false, Some("subPath of a mount")),
            (
                json!({ "networks": [{ "name": "a", "gatewayPriority": 1 }] }),
                (1, 47),
                false,
                Some("gatewayPriority in a network"),
            ),
            (two, (1, 43), false, Some("mac in a second network")),
            (
                json!({ "networks": [{ "name": "a" }, { "name": "b", "mac": "02:42:ac:11:00:02" }] }),
                (1, 41),
                true,
                None,
            ),
            (json!({ "domainname": "example" }), (1, 41), true, Some("domainname")),
            (json!({ "runtime": "runc" }), (1, 41), true, Some("runtime")),
            (json!({ "networkOf": "db" }), (1, 41), true, Some("networkOf")),
            (json!({ "networkOf": "db" }), (1, 41), false, None),
            (
                json!({ "ports": [{ "container": 80, "host": "8000-8010" }] }),
                (1, 41),
                true,
                Some("a range of ports for one port of the container"),
            ),
            (
                json!({ "networks": [{ "name": "a", "driverOptions": { "a": "b" } }] }),
                (1, 41),
                true,
                Some("driverOptions of a network"),
            ),
            (json!({ "domainname": "example" }), (1, 41), false, None),
        ] {
            assert_eq!(told(more.clone(), api, is_podman), what, "{more}");
        }
    }
}

//! A service's composition as a container's spec. What it says of others stays in the release's names.

use std::{collections::BTreeMap, time::Duration};

use manifest_types::kinds::{
    container::{CgroupNamespace, ContainerSpec, RestartPolicy},
    engine::Texts,
    network_config::Mac,
};

use super::{
    depends::{Dependency, depends_on},
    devices::{devices, hosts, ulimits},
    health::healthcheck,
    mounts,
    networks::{Mode, mode, networks},
    ports::{exposed, ports},
    quantities::{amount, size, span, whole},
    texts::{filled, flag, list, one_or_many, scalar, table, texts},
    words::command,
};
use crate::source::balena::document::{Fields, Node, Read, all};

/// A service, in the release's names.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The container, with volumes, networks and other containers called as the release calls them.
    pub spec: ContainerSpec,
    /// The environment that the composition gives.
    pub environment: Texts,
    /// The labels that it gives.
    pub labels: Texts,
    /// The services that it depends on.
    pub depends_on: BTreeMap<String, Dependency>,
    /// What it says of its network, if not by a list.
    pub network: Option<Mode>,
    /// The address of its hardware in the usual network, if it is in that by saying nothing.
    pub mac: Option<Mac>,
    /// The service whose processes it sees.
    pub pid_of: Option<String>,
    /// The service whose System V memory it shares.
    pub ipc_of: Option<String>,
}

/// What both agents read over.
const WITHOUT_MEANING: [&str; 5] = ["container_name", "links", "logging", "profiles", "stdin_open"];

/// Reads the composition of a service that is made from the image of `spec`.
pub fn service(node: &Node<'_>, spec: ContainerSpec) -> Read<Service> {
    let mut fields = Fields::of(node)?;
    // What the API keeps of how the image was made.
    fields.skip(&["build", "image", "contract"]);
    fields.take("expose", exposed);
    fields.ignore(&WITHOUT_MEANING, "means nothing on a device; it is ignored");
    let mut service = Service {
        spec,
        environment: fields.take("environment", variables).unwrap_or_default(),
        labels: fields.take("labels", texts).unwrap_or_default(),
        depends_on: fields.take("depends_on", depends_on).unwrap_or_default(),
        network: fields.take("network_mode", mode),
        mac: None,
        pid_of: None,
        ipc_of: None,
    };
    process(&mut fields, &mut service.spec);
    lifecycle(&mut fields, &mut service.spec);
    networking(&mut fields, &mut service);
    storage(&mut fields, &mut service.spec);
    rights(&mut fields, &mut service.spec);
    namespaces(&mut fields, &mut service);
    limits(&mut fields, &mut service.spec);
    fields.end(Some(service))
}

/// A variable without a value would be that of whoever starts the project: on a device, nobody has one.
fn variables(node: &Node<'_>) -> Read<Texts> {
    let given = table(node)?.into_iter();
    Ok(given.filter_map(|(name, value)| Some((name, value?))).collect())
}

fn process(fields: &mut Fields<'_>, spec: &mut ContainerSpec) {
    spec.command = fields.take("command", command);
    spec.entrypoint = fields.take("entrypoint", command);
    spec.working_dir = fields.take("working_dir", |node| mounts::directory(node, node.text()?));
    spec.user = fields.take("user", filled);
    spec.groups = fields.take("group_add", list).unwrap_or_default();
    spec.hostname = fields.take("hostname", filled);
    spec.domainname = fields.take("domainname", filled);
    spec.tty = fields.take("tty", flag).unwrap_or(false);
    spec.init = fields.take("init", flag);
    spec.annotations = fields.take("annotations", texts).unwrap_or_default();
    spec.runtime = fields.take("runtime", filled);
}

fn lifecycle(fields: &mut Fields<'_>, spec: &mut ContainerSpec) {
    (spec.restart_policy, spec.max_restarts) =
        fields.take("restart", restart).unwrap_or((RestartPolicy::Always, None));
    spec.healthcheck = fields.take("healthcheck", healthcheck).flatten();
    spec.stop_signal = fields.take("stop_signal", filled);
    spec.stop_grace_period = fields.take("stop_grace_period", |node| span(node, Duration::from_secs(1)));
}

fn restart(node: &Node<'_>) -> Read<(RestartPolicy, Option<u32>)> {
    // YAML has made a flag of it.
    let word = if node.value().as_bool() == Some(false) { "no" } else { node.text()? };
    let policy = match word.split_once(':') {
        Some(("on-failure", most)) => most.parse().ok().map(|most| (RestartPolicy::OnFailure, Some(most))),
        Some(_) => None,
        None => match word {
            "no" => Some((RestartPolicy::No, None)),
            "always" => Some((RestartPolicy::Always, None)),
            "on-failure" => Some((RestartPolicy::OnFailure, None)),
            "unless-stopped" => Some((RestartPolicy::UnlessStopped, None)),
            _ => None,
        },
    };
    policy.map_or_else(|| node.wrong("must be no, always, on-failure[:COUNT] or unless-stopped"), Ok)
}

fn networking(fields: &mut Fields<'_>, service: &mut Service) {
    let spec = &mut service.spec;
    spec.ports = fields.take("ports", ports).unwrap_or_default();
    spec.networks = fields.take("networks", networks).unwrap_or_default();
    if !spec.networks.is_empty() && service.network.is_some() {
        fields.wrong("network_mode", "does not go with networks");
    }
    let mac = fields.take("mac_address", |node| node.parse("an address such as \"52:54:00:12:34:56\""));
    match (mac, spec.networks.first_mut(), &service.network) {
        (_, Some(first), _) => first.mac = first.mac.or(mac),
        // It is in the usual one then.
        (Some(_), None, None) => service.mac = mac,
        (Some(_), None, Some(_)) => fields.wrong("mac_address", "does not go with network_mode"),
        (None, None, _) => {}
    }
    let address = |node: &Node<'_>| node.parse("an address");
    spec.dns = fields
        .take("dns", |node| match node.value().is_array() {
            true => all(node.items()?.iter().map(address)),
            false => Ok(vec![address(node)?]),
        })
        .unwrap_or_default();
    spec.dns_search = fields.take("dns_search", one_or_many).unwrap_or_default();
    spec.dns_options = fields.take("dns_opt", one_or_many).unwrap_or_default();
    spec.extra_hosts = fields.take("extra_hosts", hosts).unwrap_or_default();
}

fn storage(fields: &mut Fields<'_>, spec: &mut ContainerSpec) {
    spec.mounts = fields.take("volumes", mounts::volumes).unwrap_or_default();
    spec.mounts.extend(fields.take("tmpfs", mounts::tmpfs).unwrap_or_default());
    spec.read_only_root_filesystem = fields.take("read_only", flag).unwrap_or(false);
    // None is the engine's choice.
    spec.shm_size = fields.take("shm_size", size).filter(|size| size.0 > 0);
    spec.storage_opt = fields.take("storage_opt", texts).unwrap_or_default();
}

fn rights(fields: &mut Fields<'_>, spec: &mut ContainerSpec) {
    spec.privileged = fields.take("privileged", flag).unwrap_or(false);
    spec.capabilities.add = fields.take("cap_add", list).unwrap_or_default();
    spec.capabilities.drop = fields.take("cap_drop", list).unwrap_or_default();
    spec.security_opt = fields.take("security_opt", list).unwrap_or_default();
    spec.devices = fields.take("devices", devices).unwrap_or_default();
    spec.device_cgroup_rules = fields.take("device_cgroup_rules", list).unwrap_or_default();
    spec.sysctls = fields.take("sysctls", texts).unwrap_or_default();
    spec.ulimits = fields.take("ulimits", ulimits).unwrap_or_default();
}

fn namespaces(fields: &mut Fields<'_>, service: &mut Service) {
    (service.spec.pid, service.pid_of) = fields.take("pid", shared).unwrap_or_default();
    (service.spec.ipc, service.ipc_of) = fields.take("ipc", shared).unwrap_or_default();
    let spec = &mut service.spec;
    spec.uts = fields.take("uts", filled);
    spec.userns = fields.take("userns_mode", filled);
    spec.cgroup_parent = fields.take("cgroup_parent", filled);
    spec.cgroup = fields.take("cgroup", |node| match node.text()? {
        "host" => Ok(CgroupNamespace::Host),
        "private" => Ok(CgroupNamespace::Private),
        _ => node.wrong("must be host or private"),
    });
}

/// The manifest's word, or the service that it is shared with.
fn shared(node: &Node<'_>) -> Read<(Option<String>, Option<String>)> {
    let word = filled(node)?;
    Ok(match word.strip_prefix("service:") {
        Some("") => return node.wrong("needs the name of a service"),
        Some(service) => (None, Some(service.to_owned())),
        None => (Some(word), None),
    })
}

/// The period that quotas are of, unless the composition says another one, in microseconds.
const USUAL_PERIOD: f64 = 100_000.0;

fn limits(fields: &mut Fields<'_>, spec: &mut ContainerSpec) {
    let some_size = |node: &Node<'_>| Ok(Some(size(node)?).filter(|size| size.0 > 0));
    let limits = &mut spec.resources;
    limits.memory = fields.take("mem_limit", some_size).flatten();
    limits.memory_reservation = fields.take("mem_reservation", some_size).flatten();
    limits.cpu_shares =
        fields.take("cpu_shares", |node| whole(node, 0..=i64::from(u32::MAX))).filter(|shares| *shares > 0);
    limits.cpuset = fields
        .take("cpuset", |node| match scalar(node)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).or_else(|why: String| node.wrong(why)),
        })
        .flatten();
    // -1 and 0 are no limit.
    let pids: Option<i64> = fields.take("pids_limit", |node| whole(node, -1..=i64::from(u32::MAX)));
    limits.pids = pids.and_then(|pids| u32::try_from(pids).ok()).filter(|pids| *pids > 0);
    let has_both = fields.has("cpus") && fields.has("cpu_quota");
    let cpus = fields.take("cpus", amount).filter(|cpus| *cpus > 0.0);
    let period = fields.take("cpu_period", period).unwrap_or(USUAL_PERIOD);
    let quota: Option<i64> = fields.take("cpu_quota", |node| whole(node, -1..=i64::MAX));
    let quota = quota.filter(|quota| *quota > 0).map(|quota| quota as f64 / period);
    limits.cpus = cpus.or(quota);
    if has_both && cpus.is_some() && quota.is_some() {
        fields.wrong("cpu_quota", "does not go with cpus, which says the same");
    }
    limits.cpu_realtime_period = fields.take("cpu_rt_period", |node| span(node, MICROSECOND));
    limits.cpu_realtime_runtime = fields.take("cpu_rt_runtime", |node| span(node, MICROSECOND));
    spec.oom_score_adj = fields.take("oom_score_adj", |node| whole(node, -1000..=1000));
    spec.oom_kill_disable = fields.take("oom_kill_disable", flag).unwrap_or(false);
}

/// Without a unit, the times of the kernel's scheduler are microseconds.
const MICROSECOND: Duration = Duration::from_micros(1);

fn period(node: &Node<'_>) -> Read<f64> {
    let span = span(node, MICROSECOND)?;
    match span.0.as_micros() {
        0 => node.wrong("must be a microsecond at least"),
        micros => Ok(micros as f64),
    }
}

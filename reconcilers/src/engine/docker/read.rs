//! What an engine says of a container, read into our own terms: what one engine normalizes, and the other writes in another way, is one thing here.

use jiff::Timestamp;
use manifest_types::kinds::{container::RestartPolicy, engine::ImageRef};

use super::{
    mounts::mounts,
    wire::{Told, WireListed},
};
use crate::engine::{
    shape::{NAMED_NETWORKS, Shape, USUAL_NETWORK, capability, device_request_text, signal_name},
    terms::{Activity, Checked, Container, Image, Listed, NamedImage, State},
};

/// The period of a quota of processors where none is told, in microseconds: the kernel's own.
const USUAL_PERIOD: u64 = 100_000;

impl WireListed {
    pub(super) fn read(self) -> Listed {
        let names = self.names.unwrap_or_default();
        // A link from another container shows as a name with a slash in it.
        let own = names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
        let healthcheck = [
            ("(healthy)", Checked::Healthy),
            ("(unhealthy)", Checked::Unhealthy),
            ("starting)", Checked::Starting),
        ];
        let healthcheck = healthcheck.iter().find(|(word, _)| self.status.contains(word));
        let networks = self.network_settings.and_then(|settings| settings.networks);
        Listed {
            name: own.unwrap_or_default().to_owned(),
            image_id: with_algorithm(&self.image_id),
            activity: Activity::of(&self.state),
            healthcheck: healthcheck.map(|(_, checked)| *checked),
            labels: self.labels.unwrap_or_default(),
            networks: networks.unwrap_or_default().into_keys().collect(),
            id: self.id,
        }
    }
}

/// Reads a container as it is inspected. Podman tells some settings wrongly, and those are not told here: what they were at birth counts.
pub(super) fn container(told: Told<'_>, is_podman: bool) -> Container {
    let mut shape = shape(told);
    if is_podman {
        let is_shared = |shape: &Shape| {
            shape.get("ipc").and_then(|own| own.as_str()).is_some_and(|own| own.starts_with(SHARED))
        };
        // Of rights it tells what they come to, together with its own.
        let wrongly = ["devices", "cgroup", "userns", "capabilities", "securityOpt"].into_iter();
        for path in wrongly.chain((!is_shared(&shape)).then_some("ipc")) {
            shape.unset_below(path);
        }
        // The usual mode is told of all that are in networks, whichever.
        if shape.get("networkMode").is_some_and(|mode| mode == USUAL_NETWORK) {
            shape.unset_below("networkMode");
        }
    }
    let (state, config) = (told.at("State"), told.at("Config"));
    let addresses =
        told.at("NetworkSettings").entries("Networks").map(|(name, end)| (name.to_owned(), addresses(end)));
    Container {
        id: told.text("Id").to_owned(),
        name: told.text("Name").trim_start_matches('/').to_owned(),
        image: config.text("Image").to_owned(),
        image_id: with_algorithm(told.text("Image")),
        labels: config.texts("Labels"),
        addresses: addresses.collect(),
        state: State {
            activity: Activity::of(state.text("Status")),
            healthcheck: checked(state.at("Health").text("Status")),
            exit_code: state.number("ExitCode"),
            oom_killed: state.flag("OOMKilled"),
            error: state.text("Error").to_owned(),
            started_at: time(state.text("StartedAt")),
            finished_at: time(state.text("FinishedAt")),
            restarts: told.amount("RestartCount"),
            is_halted: false,
        },
        shape,
    }
}

/// Reads an image as it is inspected.
pub(super) fn image(told: Told<'_>) -> Image {
    let digest = |name: Told<'_>| Some(name.as_text().split_once('@')?.1.to_owned());
    Image {
        id: with_algorithm(told.text("Id")),
        digests: told.list("RepoDigests").filter_map(digest).collect(),
        labels: told.at("Config").texts("Labels"),
        size: told.amount("Size"),
    }
}

pub(super) fn named_image(told: Told<'_>) -> NamedImage {
    let names = told.words("RepoTags").into_iter().chain(told.words("RepoDigests"));
    // What has no name is told as `<none>:<none>`.
    let names = names.filter_map(|name| Some(name.parse::<ImageRef>().ok()?.canonical()));
    NamedImage { id: with_algorithm(told.text("Id")), names: names.collect() }
}

fn shape(told: Told<'_>) -> Shape {
    let mut shape = Shape::default();
    let (config, host) = (told.at("Config"), told.at("HostConfig"));
    process(&mut shape, config, host);
    networking(&mut shape, host, told.at("NetworkSettings"));
    rights(&mut shape, host);
    resources(&mut shape, host);
    mounts(&mut shape, told, host);
    shape.texts("labels", &config.texts("Labels"));
    shape.texts("annotations", &host.texts("Annotations"));
    let logging = host.at("LogConfig");
    shape.set("logging.driver", logging.text("Type"));
    shape.digests("logging.options", &logging.texts("Config"));
    if let Some(check) = config.some("Healthcheck") {
        shape.set_some("healthcheck.test", check.some("Test").map(|_| check.words("Test")));
        shape.set("healthcheck.interval", check.amount("Interval"));
        shape.set("healthcheck.timeout", check.amount("Timeout"));
        shape.set("healthcheck.startPeriod", check.amount("StartPeriod"));
        shape.set("healthcheck.startInterval", check.amount("StartInterval"));
        shape.set("healthcheck.retries", check.amount("Retries"));
    }
    shape
}

fn process(shape: &mut Shape, config: Told<'_>, host: Told<'_>) {
    shape.set_some("command", config.some("Cmd").map(|_| config.words("Cmd")));
    shape.set_some("entrypoint", config.some("Entrypoint").map(|_| one_or_many(config, "Entrypoint")));
    for (name, value) in config.list("Env").filter_map(|pair| pair.as_text().split_once('=')) {
        shape.variable(name, value);
    }
    shape.set("workingDir", config.text("WorkingDir"));
    shape.set("user", config.text("User"));
    shape.set_list("groups", &host.words("GroupAdd"), true);
    shape.set("hostname", config.text("Hostname"));
    shape.set("domainname", config.text("Domainname"));
    shape.set("runtime", host.text("Runtime"));
    shape.set("tty", config.flag("Tty"));
    shape.set_some("stopSignal", config.some("StopSignal").map(signal));
    shape.set_some("stopGracePeriod", config.some("StopTimeout").map(|_| config.amount("StopTimeout")));
    shape.set_some("init", host.some("Init").map(|_| host.flag("Init")));
    shape.set("shmSize", host.amount("ShmSize"));
    shape.set("ipc", host.text("IpcMode"));
    shape.set("pid", host.text("PidMode"));
    for (path, key) in [("uts", "UTSMode"), ("userns", "UsernsMode"), ("cgroup", "CgroupnsMode")] {
        shape.set(path, host.text(key));
    }
    // One that is the engine's usual one need not be told.
    shape.set_some("cgroupParent", host.some_text("CgroupParent"));
    shape.set("oomScoreAdj", host.number("OomScoreAdj"));
    shape.set("oomKillDisable", host.flag("OomKillDisable"));
    shape.texts("storageOpt", &host.texts("StorageOpt"));
}

fn networking(shape: &mut Shape, host: Told<'_>, settings: Told<'_>) {
    for (port, bindings) in host.entries("PortBindings") {
        let Some((number, protocol)) = port.split_once('/') else { continue };
        let Ok(number) = number.parse() else { continue };
        for binding in bindings.0.as_array().into_iter().flatten().map(Told) {
            let host = Some(binding.text("HostPort")).filter(|port| *port != "0").unwrap_or_default();
            shape.port(number, protocol, &format!("{}:{host}", binding.text("HostIp")));
        }
    }
    let mode = mode(host.text("NetworkMode"));
    shape.set("networkMode", mode);
    let has_its_own = !["host", "none"].contains(&mode) && !mode.starts_with(SHARED);
    for (name, endpoint) in settings.entries("Networks").filter(|_| has_its_own) {
        let name = if name == "podman" { USUAL_NETWORK } else { name };
        shape.set(format!("networks.{name}"), true);
        if endpoint.0.is_null() {
            continue;
        }
        shape.set_list(&format!("networks.{name}.aliases"), &endpoint.words("Aliases"), true);
        let fixed = endpoint.at("IPAMConfig");
        shape.set_list(&format!("networks.{name}.linkLocalIps"), &fixed.words("LinkLocalIPs"), true);
        shape.set_some(&format!("networks.{name}.mac"), endpoint.some_text("MacAddress"));
        shape.set(format!("networks.{name}.gatewayPriority"), endpoint.number("GwPriority"));
        shape.driver_options(name, &endpoint.texts("DriverOpts"));
        let fixed = ["IPv4Address", "IPv6Address"].into_iter().filter_map(|key| fixed.some_text(key));
        let ips: Vec<_> = fixed.chain(addresses(endpoint)).collect();
        shape.set_list(&format!("networks.{name}.ip"), &ips, true);
    }
    shape.set_list("dns", &host.words("Dns"), false);
    shape.set_list("dnsSearch", &host.words("DnsSearch"), false);
    shape.set_list("dnsOptions", &host.words("DnsOptions"), false);
    for (name, address) in host.list("ExtraHosts").filter_map(|pair| pair.as_text().split_once(':')) {
        shape.set(format!("extraHosts.{name}"), address);
    }
}

fn rights(shape: &mut Shape, host: Told<'_>) {
    shape.set("privileged", host.flag("Privileged"));
    shape.set("readOnlyRootFilesystem", host.flag("ReadonlyRootfs"));
    for (path, key) in [("capabilities.add", "CapAdd"), ("capabilities.drop", "CapDrop")] {
        let names: Vec<_> = host.list(key).map(|name| capability(name.as_text())).collect();
        shape.set_list(path, &names, true);
    }
    for device in host.list("Devices") {
        let rights = device.some_text("CgroupPermissions").unwrap_or_else(|| "rwm".into());
        let text = format!("{} {rights}", device.text("PathOnHost"));
        shape.set(format!("devices.{}", device.text("PathInContainer")), text);
    }
    shape.set_list("deviceCgroupRules", &host.words("DeviceCgroupRules"), true);
    let requests = host.list("DeviceRequests").map(|request| {
        // What one must be able to do is a list of alternatives; we ask for one.
        let first = request.list("Capabilities").next().map(|all| Told(all.0));
        let capabilities: Vec<_> = first.into_iter().flat_map(texts_of).collect();
        device_request_text(
            request.text("Driver"),
            request.number("Count"),
            &request.words("DeviceIDs"),
            &capabilities,
        )
    });
    shape.set_list("deviceRequests", &requests.collect::<Vec<_>>(), true);
    shape.texts("sysctls", &host.texts("Sysctls"));
    for limit in host.list("Ulimits") {
        let name = limit.text("Name").trim_start_matches("RLIMIT_").to_ascii_lowercase();
        let text = format!("{}:{}", limit.number("Soft"), limit.number("Hard"));
        shape.set(format!("ulimits.{name}"), text);
    }
    shape.set_list("securityOpt", &host.words("SecurityOpt"), true);
}

fn resources(shape: &mut Shape, host: Told<'_>) {
    shape.set("resources.memory", host.amount("Memory"));
    shape.set("resources.memoryReservation", host.amount("MemoryReservation"));
    // Podman tells a quota of a period where Docker tells billionths; so does Docker where somebody has set one.
    let period = Some(host.amount("CpuPeriod")).filter(|period| *period > 0).unwrap_or(USUAL_PERIOD);
    let by_quota = host.amount("CpuQuota").saturating_mul(1_000_000_000).checked_div(period);
    let cpus = Some(host.amount("NanoCpus")).filter(|cpus| *cpus > 0).or(by_quota);
    shape.set("resources.cpus", cpus.unwrap_or_default());
    shape.set("resources.cpuShares", host.amount("CpuShares"));
    shape.set("resources.pids", host.amount("PidsLimit"));
    shape.set_some("resources.cpuset", host.some_text("CpusetCpus"));
    beyond_the_spec(shape, host);
    let restarts = host.at("RestartPolicy");
    let policy = match restarts.text("Name") {
        "always" => RestartPolicy::Always,
        "on-failure" => RestartPolicy::OnFailure,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        _ => RestartPolicy::No,
    };
    let most = u32::try_from(restarts.amount("MaximumRetryCount")).ok();
    shape.restarts(policy, most.filter(|_| policy == RestartPolicy::OnFailure));
}

/// Limits that no spec sets, where somebody has set them.
fn beyond_the_spec(shape: &mut Shape, host: Told<'_>) {
    shape.set_some("resources.cpusetMems", host.some_text("CpusetMems"));
    // Engines choose twice the memory, or no limit (-1) where the kernel cannot hold one.
    let usual = [0, host.amount("Memory").saturating_mul(2)];
    let swap = Some(host.amount("MemorySwap")).filter(|swap| !usual.contains(swap));
    shape.set_some("resources.memorySwap", swap);
    for (name, key) in [
        ("blkioWeight", "BlkioWeight"),
        ("kernelMemory", "KernelMemory"),
        ("cpuRealtimePeriod", "CpuRealtimePeriod"),
        ("cpuRealtimeRuntime", "CpuRealtimeRuntime"),
    ] {
        shape.set_some(&format!("resources.{name}"), Some(host.amount(key)).filter(|amount| *amount > 0));
    }
}

/// A list of texts.
pub(super) fn texts_of(list: Told<'_>) -> Vec<String> {
    list.0.as_array().into_iter().flatten().map(|text| Told(text).as_text().to_owned()).collect()
}

/// Podman writes a list of one as a text.
fn one_or_many(told: Told<'_>, key: &str) -> Vec<String> {
    told.some_text(key).map_or_else(|| told.words(key), |one| vec![one])
}

/// Podman writes a signal as a number.
fn signal(told: Told<'_>) -> String {
    match told.0.as_i64() {
        Some(number) => signal_name(&number.to_string()),
        None => signal_name(told.as_text()),
    }
}

fn addresses(endpoint: Told<'_>) -> Vec<String> {
    ["IPAddress", "GlobalIPv6Address"].into_iter().filter_map(|key| endpoint.some_text(key)).collect()
}

/// What is shared with another container is told as this and that one's id.
pub(super) const SHARED: &str = "container:";

/// The network mode in the spec's terms: named networks are told as the first one's name.
fn mode(told: &str) -> &str {
    match told {
        _ if told.starts_with(SHARED) => told,
        "" | "default" | "bridge" | "podman" => USUAL_NETWORK,
        "host" => "host",
        "none" => "none",
        _ => NAMED_NETWORKS,
    }
}

fn checked(word: &str) -> Option<Checked> {
    match word {
        "starting" => Some(Checked::Starting),
        "healthy" => Some(Checked::Healthy),
        "unhealthy" => Some(Checked::Unhealthy),
        _ => None,
    }
}

/// Podman tells a digest without its algorithm.
pub(super) fn with_algorithm(id: &str) -> String {
    if id.is_empty() || id.contains(':') { id.to_owned() } else { format!("sha256:{id}") }
}

/// A time, unless it is the one that engines tell for never.
fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time.as_second() > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_or_not_told_costs_nothing_else() {
        let listed = json!([
            { "Id": "a", "Names": ["/web"], "ImageID": "12", "State": "improper", "Labels": null, "Unknown": {} },
            { "Id": "b", "Names": ["/db", "/web/alias"], "State": "stopped", "Status": "Exited (0) 3 minutes ago" },
            { "Id": "c", "Names": null, "State": "running", "Status": "Up 3 minutes (health: starting)" },
        ]);
        let listed: Vec<WireListed> = serde_json::from_value(listed).expect("each is read");
        let listed: Vec<_> = listed.into_iter().map(WireListed::read).collect();
        let told: Vec<_> =
            listed.iter().map(|own| (own.name.as_str(), own.activity, own.healthcheck)).collect();
        assert_eq!(
            told,
            [
                ("web", Activity::Dead, None),
                ("db", Activity::Exited, None),
                ("", Activity::Running, Some(Checked::Starting))
            ]
        );
        assert_eq!(listed[0].image_id, "sha256:12");
        let bare = json!({ "Id": "a", "State": { "Status": "exited", "StartedAt": "0001-01-01T00:00:00Z" }, "Mounts": 3 });
        let bare = container(Told(&bare), false);
        assert_eq!((bare.state.activity, bare.state.started_at), (Activity::Exited, None));
    }

    #[test]
    fn podmans_way_of_writing_is_understood() {
        let told = json!({
            "Id": "a", "Name": "web", "Image": "12",
            "Config": { "Entrypoint": "/bin/web", "StopSignal": 2, "Env": ["A=b=c"] },
            "HostConfig": { "NetworkMode": "bridge", "CpuPeriod": 100000, "CpuQuota": 50000, "PidsLimit": 100, "IpcMode": "shareable", "Ulimits": [{ "Name": "RLIMIT_NOFILE", "Soft": 1, "Hard": 2 }] },
            "NetworkSettings": { "Networks": { "shop": { "Aliases": ["www"], "IPAddress": "10.0.0.5" } } }
        });
        let container = container(Told(&told), true);
        let shape = &container.shape;
        for (path, value) in [
            ("entrypoint", json!(["/bin/web"])),
            ("stopSignal", json!("SIGINT")),
            ("resources.cpus", json!(500_000_000_u64)),
            ("ulimits.nofile", json!("1:2")),
        ] {
            assert_eq!(shape.get(path), Some(&value), "{path}");
        }
        assert_eq!((shape.get("networkMode"), shape.get("networks.shop")), (None, Some(&json!(true))));
        assert_eq!((shape.get("ipc"), container.image_id.as_str()), (None, "sha256:12"));
        assert_eq!(container.addresses["shop"], ["10.0.0.5"]);
    }
}

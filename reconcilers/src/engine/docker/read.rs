//! What an engine says of a container, read into our own terms: what one engine normalizes, and the other writes in another way, is one thing here.

use jiff::Timestamp;
use manifest_types::kinds::container::RestartPolicy;

use super::wire::{WireContainer, WireListed};
use crate::engine::{
    shape::{NAMED_NETWORKS, Shape, USUAL_NETWORK, bind_text, capability, signal_name, tmpfs_text},
    terms::{Activity, Checked, Container, Listed, State},
};

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
        Listed {
            name: own.unwrap_or_default().to_owned(),
            image_id: with_algorithm(self.image_id),
            activity: Activity::of(&self.state),
            healthcheck: healthcheck.map(|(_, checked)| *checked),
            labels: self.labels.unwrap_or_default(),
            id: self.id,
        }
    }
}

impl WireContainer {
    /// Podman tells some settings wrongly, and those are not told here: what they were at birth counts.
    pub(super) fn read(self, is_podman: bool) -> Container {
        let mut shape = self.shape();
        if is_podman {
            shape.unset_below("devices");
            shape.unset_below("ipc");
        }
        let endpoints = self.network_settings.networks.into_iter().flatten();
        let addresses = endpoints.map(|(name, endpoint)| {
            let endpoint = endpoint.unwrap_or_default();
            let all = [endpoint.ip_address, endpoint.ip6_address];
            (name, all.into_iter().filter(|address| !address.is_empty()).collect())
        });
        Container {
            name: self.name.trim_start_matches('/').to_owned(),
            image: self.config.image,
            image_id: with_algorithm(self.image),
            labels: self.config.labels.unwrap_or_default(),
            addresses: addresses.collect(),
            state: State {
                activity: Activity::of(&self.state.status),
                healthcheck: self.state.health.and_then(|health| checked(&health.status)),
                exit_code: self.state.exit_code,
                oom_killed: self.state.oom_killed,
                error: self.state.error,
                started_at: time(&self.state.started_at),
                finished_at: time(&self.state.finished_at),
                restarts: self.restart_count,
            },
            id: self.id,
            shape,
        }
    }

    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        self.process(&mut shape);
        self.networking(&mut shape);
        self.rights(&mut shape);
        self.resources(&mut shape);
        self.mounts(&mut shape);
        shape.texts("labels", &self.config.labels.clone().unwrap_or_default());
        let host = &self.host_config;
        shape.texts("annotations", &host.annotations.clone().unwrap_or_default());
        shape.set("logging.driver", host.log_config.r#type.clone());
        shape.texts("logging.options", &host.log_config.config.clone().unwrap_or_default());
        if let Some(check) = &self.config.healthcheck {
            shape.set_some("healthcheck.test", check.test.clone());
            shape.set("healthcheck.interval", check.interval);
            shape.set("healthcheck.timeout", check.timeout);
            shape.set("healthcheck.startPeriod", check.start_period);
            shape.set("healthcheck.retries", check.retries);
        }
        shape
    }

    fn process(&self, shape: &mut Shape) {
        let (config, host) = (&self.config, &self.host_config);
        shape.set_some("command", config.cmd.clone());
        shape.set_some("entrypoint", config.entrypoint.as_ref().map(|one| one.0.clone()));
        for (name, value) in config.env.iter().flatten().filter_map(|pair| pair.split_once('=')) {
            shape.variable(name, value);
        }
        shape.set("workingDir", config.working_dir.clone());
        shape.set("user", config.user.clone());
        shape.set_list("groups", &host.group_add.clone().unwrap_or_default(), true);
        shape.set("hostname", config.hostname.clone());
        shape.set("tty", config.tty);
        shape.set_some("stopSignal", config.stop_signal.as_ref().map(|signal| signal_name(&signal.0)));
        shape.set_some("stopGracePeriod", config.stop_timeout);
        shape.set_some("init", host.init);
        shape.set("shmSize", host.shm_size);
        shape.set("ipc", host.ipc_mode.clone());
        shape.set("pid", host.pid_mode.clone());
    }

    fn networking(&self, shape: &mut Shape) {
        let host = &self.host_config;
        for (port, bindings) in host.port_bindings.iter().flatten() {
            let Some((number, protocol)) = port.split_once('/') else { continue };
            let Ok(number) = number.parse() else { continue };
            for binding in bindings.iter().flatten() {
                let host = if binding.host_port == "0" { "" } else { &binding.host_port };
                shape.port(number, protocol, &format!("{}:{host}", binding.host_ip));
            }
        }
        let names = || self.network_settings.networks.iter().flatten().map(|(name, _)| name.as_str());
        let mode = match mode(&host.network_mode) {
            // Podman tells the usual mode for any network of its own.
            USUAL_NETWORK if names().any(|name| !["bridge", "podman"].contains(&name)) => NAMED_NETWORKS,
            mode => mode,
        };
        shape.set("networkMode", mode);
        for (name, endpoint) in self.network_settings.networks.iter().flatten() {
            if ["host", "none"].contains(&mode) {
                continue;
            }
            let name = if mode == USUAL_NETWORK && name == "podman" { USUAL_NETWORK } else { name };
            shape.set(format!("networks.{name}"), true);
            let Some(endpoint) = endpoint else { continue };
            let aliases = endpoint.aliases.clone().unwrap_or_default();
            shape.set_list(&format!("networks.{name}.aliases"), &aliases, true);
            let fixed = endpoint.ipam.as_ref().map(|ipam| [ipam.four.clone(), ipam.six.clone()]);
            let given = [endpoint.ip_address.clone(), endpoint.ip6_address.clone()];
            let ips: Vec<_> = fixed.into_iter().flatten().chain(given).filter(|ip| !ip.is_empty()).collect();
            shape.set_list(&format!("networks.{name}.ip"), &ips, true);
        }
        shape.set_list("dns", &host.dns.clone().unwrap_or_default(), false);
        shape.set_list("dnsSearch", &host.dns_search.clone().unwrap_or_default(), false);
        shape.set_list("dnsOptions", &host.dns_options.clone().unwrap_or_default(), false);
        for (name, address) in host.extra_hosts.iter().flatten().filter_map(|pair| pair.split_once(':')) {
            shape.set(format!("extraHosts.{name}"), address);
        }
    }

    fn rights(&self, shape: &mut Shape) {
        let host = &self.host_config;
        shape.set("privileged", host.privileged);
        shape.set("readOnlyRootFilesystem", host.readonly_rootfs);
        let capabilities = |names: &Option<Vec<String>>| -> Vec<_> {
            names.iter().flatten().map(|name| capability(name)).collect()
        };
        shape.set_list("capabilities.add", &capabilities(&host.cap_add), true);
        shape.set_list("capabilities.drop", &capabilities(&host.cap_drop), true);
        for device in host.devices.iter().flatten() {
            let rights =
                if device.cgroup_permissions.is_empty() { "rwm" } else { &device.cgroup_permissions };
            let text = format!("{} {rights}", device.path_on_host);
            shape.set(format!("devices.{}", device.path_in_container), text);
        }
        shape.set_list("deviceCgroupRules", &host.device_cgroup_rules.clone().unwrap_or_default(), true);
        shape.texts("sysctls", &host.sysctls.clone().unwrap_or_default());
        for limit in host.ulimits.iter().flatten() {
            let name = limit.name.trim_start_matches("RLIMIT_").to_ascii_lowercase();
            shape.set(format!("ulimits.{name}"), format!("{}:{}", limit.soft, limit.hard));
        }
        shape.set_list("securityOpt", &host.security_opt.clone().unwrap_or_default(), true);
    }

    fn resources(&self, shape: &mut Shape) {
        let host = &self.host_config;
        let amount = |value: i64| u64::try_from(value).unwrap_or(0);
        shape.set("resources.memory", amount(host.memory));
        shape.set("resources.memoryReservation", amount(host.memory_reservation));
        // Podman tells a quota of a period where Docker tells billionths.
        let by_quota = (host.cpu_period > 0 && host.cpu_quota > 0)
            .then(|| amount(host.cpu_quota).saturating_mul(1_000_000_000) / amount(host.cpu_period));
        let cpus = if host.nano_cpus > 0 { amount(host.nano_cpus) } else { by_quota.unwrap_or(0) };
        shape.set("resources.cpus", cpus);
        shape.set("resources.cpuShares", amount(host.cpu_shares));
        shape.set("resources.pids", amount(host.pids_limit.unwrap_or(0)));
        let policy = match host.restart_policy.name.as_str() {
            "always" => RestartPolicy::Always,
            "on-failure" => RestartPolicy::OnFailure,
            "unless-stopped" => RestartPolicy::UnlessStopped,
            _ => RestartPolicy::No,
        };
        let most =
            Some(host.restart_policy.maximum_retry_count).filter(|_| policy == RestartPolicy::OnFailure);
        shape.restarts(policy, most);
    }

    fn mounts(&self, shape: &mut Shape) {
        for mount in self.mounts.iter().flatten() {
            let rights = if mount.writable { "rw" } else { "ro" };
            let text = match mount.r#type.as_str() {
                "bind" => bind_text(&mount.source, rights, &mount.propagation),
                "volume" => format!("volume {} {rights}", mount.name),
                _ => continue,
            };
            shape.set(format!("mounts.{}", mount.destination), text);
        }
        for mount in self.host_config.mounts.iter().flatten().filter(|mount| mount.r#type == "tmpfs") {
            let rights = if mount.read_only { "ro" } else { "rw" };
            let options = mount.tmpfs_options.as_ref();
            let (size, mode) = (options.and_then(|own| own.size_bytes), options.and_then(|own| own.mode));
            let size = size.filter(|size| *size > 0);
            shape.set(
                format!("mounts.{}", mount.target),
                tmpfs_text(rights, size, mode.filter(|mode| *mode > 0)),
            );
        }
        for (target, options) in self.host_config.tmpfs.iter().flatten() {
            let options: Vec<_> = options.split(',').collect();
            let rights = if options.contains(&"ro") { "ro" } else { "rw" };
            let value = |name: &str| options.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
            let size = value("size").and_then(|size| size.parse().ok());
            let mode = value("mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
            shape.set(format!("mounts.{target}"), tmpfs_text(rights, size, mode));
        }
    }
}

/// The network mode in the spec's terms: named networks are told as the first one's name.
fn mode(told: &str) -> &'static str {
    match told {
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
pub(super) fn with_algorithm(id: String) -> String {
    if id.is_empty() || id.contains(':') { id } else { format!("sha256:{id}") }
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
        let bare: WireContainer = serde_json::from_value(
            json!({ "Id": "a", "State": { "Status": "exited", "StartedAt": "0001-01-01T00:00:00Z" } }),
        )
        .expect("it is read");
        let bare = bare.read(false);
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
        let container: WireContainer = serde_json::from_value(told).expect("it is read");
        let container = container.read(true);
        let shape = &container.shape;
        for (path, value) in [
            ("entrypoint", json!(["/bin/web"])),
            ("stopSignal", json!("SIGINT")),
            ("networkMode", json!(NAMED_NETWORKS)),
            ("resources.cpus", json!(500_000_000_u64)),
            ("ulimits.nofile", json!("1:2")),
        ] {
            assert_eq!(shape.get(path), Some(&value), "{path}");
        }
        assert_eq!((shape.get("ipc"), container.image_id.as_str()), (None, "sha256:12"));
        assert_eq!(container.addresses["shop"], ["10.0.0.5"]);
    }
}

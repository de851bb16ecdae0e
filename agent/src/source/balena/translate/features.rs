//! What a service may have of its device beyond what is usual: it asks for that by labels.

use manifest_types::kinds::{
    container::{ContainerSpec, DeviceRequest, Mount, MountType},
    engine::Texts,
    file::AbsolutePath,
};

use super::{environment::both, labels};
use crate::source::balena::{document::Node, facts::Facts};

/// Paths of the device that a feature shares, where they are there: feature, path of the device, path in the container, only to read.
const SHARED: [(&str, &str, &str, bool); 8] = [
    ("dbus", "/run/dbus", "/host/run/dbus", false),
    ("kernel-modules", "/lib/modules", "/lib/modules", false),
    ("firmware", "/lib/firmware", "/lib/firmware", false),
    ("journal-logs", "/var/log/journal", "/var/log/journal", true),
    ("journal-logs", "/run/log/journal", "/run/log/journal", true),
    ("journal-logs", "/etc/machine-id", "/etc/machine-id", true),
    ("sysfs", "/sys", "/sys", false),
    ("procfs", "/proc", "/proc", false),
];

/// Features that are more than a path.
const OTHERS: [&str; 6] =
    ["balena-socket", "balena-api", "gpu", "host-os.board-rev", "extra-firmware", "optional"];

/// The paths of the device that features share.
pub fn shared_paths() -> impl Iterator<Item = &'static str> {
    SHARED.iter().map(|(_, host, ..)| *host)
}

/// Gives a service what it asks for: into its spec, and into the variables that its own ones go before. What it cannot have is noted.
pub(super) fn grant(
    own: &Texts,
    facts: &Facts,
    spec: &mut ContainerSpec,
    variables: &mut Texts,
    node: &Node<'_>,
) {
    for feature in labels::features(own) {
        let paths: Vec<_> = SHARED.iter().filter(|(name, ..)| *name == feature).collect();
        for (_, host, inside, read_only) in &paths {
            match facts.present.contains(*host) {
                true => share(spec, host, inside, *read_only),
                false => node.note(format!("asks for {feature}, and there is no {host} on this device")),
            }
        }
        if paths.is_empty() && !OTHERS.contains(&feature) {
            node.note(format!("asks for the feature {feature}, which is not supported"));
        }
    }
    let asks = |feature| labels::has_feature(own, feature);
    if asks("balena-socket") {
        engine_socket(facts, spec, variables, node);
    }
    if asks("balena-api") {
        both(variables, "API_URL", &facts.api_endpoint);
        if let Some(key) = &facts.device_key {
            both(variables, "API_KEY", key.expose());
        }
    }
    if asks("gpu") {
        let gpu = DeviceRequest {
            count: Some(1),
            capabilities: vec!["gpu".to_owned()],
            ..DeviceRequest::default()
        };
        spec.device_requests.push(gpu);
    }
    if asks("host-os.board-rev") {
        let revision = facts.board_rev.as_deref().unwrap_or_default();
        both(variables, "HOST_OS_BOARD_REV", revision);
        both(variables, "HOST_OS_BUILD", revision);
    }
    if asks("extra-firmware") {
        let target = absolute("/extra-firmware");
        let mount =
            Mount { source: Some("extra-firmware".to_owned()), ..Mount::new(MountType::Volume, target) };
        put(spec, mount);
    }
}

fn engine_socket(facts: &Facts, spec: &mut ContainerSpec, variables: &mut Texts, node: &Node<'_>) {
    let Some(socket) = &facts.engine_socket else {
        node.note("asks for balena-socket, and the engine of this device has none");
        return;
    };
    let usual = "/host/run/balena-engine.sock";
    let mut places = vec![usual, "/var/run/balena.sock", socket.as_str()];
    places.dedup();
    for place in places {
        share(spec, socket.as_str(), place, false);
    }
    variables.insert("DOCKER_HOST".to_owned(), format!("unix://{usual}"));
}

/// Shares a path of the device with a service.
pub(super) fn share(spec: &mut ContainerSpec, host: &str, inside: &str, read_only: bool) {
    let mount =
        Mount { source: Some(host.to_owned()), read_only, ..Mount::new(MountType::Bind, absolute(inside)) };
    put(spec, mount);
}

/// What the agent puts at a path goes before what the composition has there.
pub(super) fn put(spec: &mut ContainerSpec, mount: Mount) {
    spec.mounts.retain(|other| other.target != mount.target);
    spec.mounts.push(mount);
}

pub(super) fn absolute(path: &str) -> AbsolutePath {
    path.parse().expect("a path of the agent's own is absolute")
}

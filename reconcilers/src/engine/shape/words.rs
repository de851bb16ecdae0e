//! Settings in the one form that is compared: what engines and people write in several ways. Pure.

use manifest_types::kinds::container::{Mount, MountType};
use nix::sys::signal::Signal;

/// Processors in the engine's unit, a billionth of one.
pub fn nano_cpus(cpus: Option<f64>) -> u64 {
    // A spec has 4096 at most; below a billionth nothing is meant.
    cpus.map_or(0, |cpus| (cpus * 1e9).round() as u64)
}

/// A capability as the kernel names it.
pub fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    if name == "ALL" || name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
}

/// A signal as the kernel names it, whether it is told by its name, in part or whole, or by its number.
pub fn signal_name(told: &str) -> String {
    let told = told.to_ascii_uppercase();
    let number = told.parse::<i32>().ok();
    match (number, number.and_then(|number| Signal::try_from(number).ok())) {
        (_, Some(signal)) => signal.as_str().to_owned(),
        // The kernel's real-time signals have no names of their own; engines count them from either end.
        (Some(34), None) => "SIGRTMIN".to_owned(),
        (Some(number @ 35..=49), None) => format!("SIGRTMIN+{}", number - 34),
        (Some(number @ 50..=63), None) => format!("SIGRTMAX-{}", 64 - number),
        (Some(64), None) => "SIGRTMAX".to_owned(),
        _ if told.is_empty() || told.starts_with("SIG") => told,
        _ => format!("SIG{told}"),
    }
}

/// Devices that a driver finds, in one line.
pub fn device_request_text(driver: &str, count: i64, ids: &[String], capabilities: &[String]) -> String {
    format!("{driver} {count} {} {}", ids.join(","), capabilities.join(","))
}

/// What is said of a volume beside its name, in one line; nothing where that is as usual.
pub fn volume_options(copies: bool, sub_path: Option<&str>) -> Option<String> {
    let copies = if copies { "copy" } else { "nocopy" };
    (copies == "nocopy" || sub_path.is_some()).then(|| format!("{copies} {}", sub_path.unwrap_or_default()))
}

/// A volume in one line.
pub fn volume_text(name: &str, rights: &str) -> String {
    format!("volume {name} {rights}")
}

/// Whether a volume that is to be the container's own, and has no name of ours, is: engines give it one of 64 digits.
pub(super) fn is_own_volume(want: &str, got: &str) -> bool {
    let is_named_by_engine =
        |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = got.strip_prefix("volume ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    is_named_by_engine(name) && want == got.replacen(name, "", 1)
}

/// A mount in one line: what it is, where it comes from, how it is seen.
pub(super) fn mount_text(mount: &Mount) -> String {
    let rights = if mount.read_only { "ro" } else { "rw" };
    let source = mount.source.as_deref().unwrap_or_default();
    match mount.mount_type {
        MountType::Bind => {
            let propagation = mount.propagation.map_or("rprivate".to_owned(), |own| own.to_string());
            bind_text(source, rights, &propagation)
        }
        MountType::Volume => volume_text(source, rights),
        MountType::Tmpfs => {
            let mode = mount.mode.map(|mode| mode.0);
            tmpfs_text(rights, mount.size.map(|size| size.0), mode)
        }
    }
}

/// A directory of the device in one line.
pub fn bind_text(source: &str, rights: &str, propagation: &str) -> String {
    format!("bind {source} {rights} {propagation}")
}

/// Memory in one line.
pub fn tmpfs_text(rights: &str, size: Option<u64>, mode: Option<u32>) -> String {
    let size = size.map(|size| format!(" size={size}")).unwrap_or_default();
    let mode = mode.map(|mode| format!(" mode={mode:o}")).unwrap_or_default();
    format!("tmpfs {rights}{size}{mode}")
}

//! Reads what a device says of itself: addresses, and how its processor, memory, disk and temperature are.

use std::{collections::BTreeSet, fs, path::Path};

use nix::{ifaddrs::getifaddrs, sys::statvfs::statvfs};
use serde_json::{Map, Value, json};

/// Interfaces of engines and tunnels, which nobody reaches a device by.
const FOREIGN: [&str; 8] = ["balena", "docker", "tun", "resin-vpn", "br-", "veth", "supervisor", "podman"];
/// The API takes no more.
const LONGEST_ADDRESSES: usize = 2000;
const LONGEST_MACS: usize = 900;
const MEBIBYTE: u64 = 1024 * 1024;

/// Measures, and remembers what differences need.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// How long the processors were busy, and how long there was, when it was measured last.
    processor: Option<(u64, u64)>,
}

impl Meter {
    /// What is measured now.
    pub(super) fn read(&mut self, storage: &Path) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value.into());
            }
        };
        let times = fs::read_to_string("/proc/stat").ok().and_then(|stat| processor_times(&stat));
        let usage = self.processor.zip(times).and_then(|(former, now)| usage(former, now));
        self.processor = times;
        set("cpu_usage", usage);
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|memory| memory_of(&memory));
        set("memory_total", memory.map(|(total, _)| total));
        set("memory_usage", memory.map(|(_, used)| used));
        if let Ok(disk) = statvfs(storage) {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size()) / MEBIBYTE;
            set("storage_total", Some(bytes(disk.blocks())));
            set("storage_usage", Some(bytes(disk.blocks().saturating_sub(disk.blocks_free()))));
        }
        let temperature = fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok();
        fields.extend(
            temperature.as_deref().and_then(degrees).map(|degrees| ("cpu_temp".to_owned(), degrees.into())),
        );
        fields.extend(
            is_undervolted(Path::new("/sys/class/hwmon")).map(|is| ("is_undervolted".to_owned(), is.into())),
        );
        fields
    }
}

/// Whole degrees Celsius of the thousandths that the kernel tells.
fn degrees(told: &str) -> Option<i64> {
    Some(told.trim().parse::<i64>().ok()?.div_euclid(1000))
}

/// Whether the voltage is too low, where something watches it: on a Raspberry Pi.
fn is_undervolted(monitors: &Path) -> Option<bool> {
    let folders = fs::read_dir(monitors).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut alarms = folders.filter_map(|folder| fs::read_to_string(folder.join("in0_lcrit_alarm")).ok());
    Some(alarms.next()?.trim() != "0")
}

/// The addresses by which a device is reached, and those of its hardware.
pub(super) fn addresses() -> Map<String, Value> {
    let (mut ips, mut macs) = (BTreeSet::new(), BTreeSet::new());
    for own in getifaddrs().into_iter().flatten() {
        let is_foreign = FOREIGN.iter().any(|prefix| own.interface_name.starts_with(prefix));
        if is_foreign || own.interface_name == "lo" {
            continue;
        }
        let Some(address) = own.address else { continue };
        if let Some(four) = address.as_sockaddr_in() {
            ips.insert(four.ip().to_string());
        }
        if let Some(six) = address.as_sockaddr_in6().map(nix::sys::socket::SockaddrIn6::ip)
            && !six.is_unicast_link_local()
        {
            ips.insert(six.to_string());
        }
        if let Some(mac) = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr)
            && mac != [0; 6]
        {
            let digits: Vec<_> = mac.iter().map(|byte| format!("{byte:02X}")).collect();
            macs.insert(digits.join(":"));
        }
    }
    let mut fields = Map::new();
    fields.insert("ip_address".into(), listed(&ips, LONGEST_ADDRESSES).into());
    // The API takes no device without one.
    if !macs.is_empty() {
        fields.insert("mac_address".into(), listed(&macs, LONGEST_MACS).into());
    }
    fields
}

/// As many as fit, with spaces between them.
fn listed(all: &BTreeSet<String>, longest: usize) -> String {
    let mut text = String::new();
    for one in all.iter().filter(|one| !one.is_empty()) {
        if text.len() + 1 + one.len() > longest {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(one);
    }
    text
}

/// What identifies a device's processor, where it has such a thing.
pub(super) fn processor_id() -> Option<Value> {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let serial = known.lines().find_map(|line| line.strip_prefix("Serial")?.split(':').nth(1));
    let serial = serial.map(|serial| serial.trim().to_ascii_lowercase()).filter(|serial| !serial.is_empty());
    serial.map(|serial| json!(serial))
}

/// How long the processors were busy, and how long there was, from `/proc/stat`.
fn processor_times(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> = line.split_whitespace().map_while(|time| time.parse().ok()).take(8).collect();
    let total: u64 = times.iter().sum();
    // Idle, and waiting for a disk.
    let idle = times.get(3)? + times.get(4)?;
    Some((total - idle, total))
}

/// The busy share in percent.
fn usage(former: (u64, u64), now: (u64, u64)) -> Option<u64> {
    let (busy, total) = (now.0.saturating_sub(former.0), now.1.saturating_sub(former.1));
    (busy * 100).checked_div(total)
}

/// The memory there is and that which is used, in MiB, from `/proc/meminfo`.
fn memory_of(memory: &str) -> Option<(u64, u64)> {
    let of = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (total, free) = (of("MemTotal")?, of("MemAvailable")?);
    Some((total / 1024, total.saturating_sub(free) / 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        assert_eq!(processor_times("cpu  10 0 20 60 10 0 0 0 0 0\ncpu0 1 2\n"), Some((30, 100)));
        assert_eq!(usage((30, 100), (80, 200)), Some(50));
        assert_eq!(usage((30, 100), (30, 100)), None);
        assert_eq!(
            memory_of("MemTotal: 2097152 kB\nMemFree: 1 kB\nMemAvailable: 1048576 kB\n"),
            Some((2048, 1024))
        );
        assert_eq!((processor_times(""), memory_of("")), (None, None));
    }

    #[test]
    fn a_cold_device_tells_how_cold_it_is() {
        assert_eq!(
            ["51900\n", "-500\n", "-20000\n", "hot\n"].map(degrees),
            [Some(51), Some(-1), Some(-20), None]
        );
    }

    #[test]
    fn a_low_voltage_is_told_where_it_is_watched() {
        let monitors = tempfile::tempdir().unwrap();
        assert_eq!(is_undervolted(monitors.path()), None);
        fs::create_dir_all(monitors.path().join("hwmon0")).unwrap();
        assert_eq!(is_undervolted(monitors.path()), None);
        for (alarm, is) in [("0\n", false), ("1\n", true)] {
            fs::create_dir_all(monitors.path().join("hwmon1")).unwrap();
            fs::write(monitors.path().join("hwmon1/in0_lcrit_alarm"), alarm).unwrap();
            assert_eq!(is_undervolted(monitors.path()), Some(is));
        }
    }

    #[test]
    fn addresses_are_cut_between_two() {
        let all = ["10.0.0.1", "10.0.0.2"].map(str::to_owned).into();
        assert_eq!(listed(&all, 100), "10.0.0.1 10.0.0.2");
        assert_eq!(listed(&all, 16), "10.0.0.1");
    }

    #[test]
    fn this_device_has_memory_and_a_disk() {
        let fields = Meter::default().read(Path::new("/"));
        assert!(
            fields["memory_total"].as_u64().unwrap() > 0 && fields["storage_total"].as_u64().unwrap() > 0
        );
    }
}

//! Finds out about this device what a translation depends on.

use std::{fs, path::Path};

use manifest_types::kinds::file::AbsolutePath;

use super::{facts::Facts, translate::shared_paths};

/// Where systems say what they are, those of balena's containers before their host's.
const OS_RELEASES: [&str; 3] = ["/mnt/root/etc/os-release", "/etc/os-release", "/usr/lib/os-release"];

/// What is known of this device, beside its identity. `former` is the socket that its engine was seen at: engines come and go.
pub fn facts(uuid: &str, engine_places: &[String], former: Option<AbsolutePath>) -> Facts {
    let os = OS_RELEASES.iter().find_map(|path| fs::read_to_string(path).ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let socket = socket(engine_places, former, |place| Path::new(place).exists());
    let present = shared_paths().filter(|path| Path::new(path).exists()).map(str::to_owned).collect();
    about(
        uuid,
        os.as_deref().unwrap_or_default(),
        kernel.as_deref().unwrap_or_default().trim(),
        socket,
        present,
    )
}

/// The socket of this device's engine: the one that was there before, though it may be away just now; or else the first that is there, or may be.
fn socket(
    places: &[String],
    former: Option<AbsolutePath>,
    is_there: impl Fn(&str) -> bool,
) -> Option<AbsolutePath> {
    let sockets =
        || places.iter().filter_map(|place| place.strip_prefix("unix://")?.parse::<AbsolutePath>().ok());
    let former = former.filter(|former| sockets().any(|socket| socket == *former));
    former.or_else(|| sockets().find(|socket| is_there(socket.as_str()))).or_else(|| sockets().next())
}

/// The operating system, as a person reads it.
pub fn os_version() -> Option<String> {
    let os = OS_RELEASES.iter().find_map(|path| fs::read_to_string(path).ok())?;
    value(&os, "PRETTY_NAME").map(str::to_owned)
}

/// Whether that is for development or for production, where it says so in the API's words.
pub fn os_variant() -> Option<&'static str> {
    let os = OS_RELEASES.iter().find_map(|path| fs::read_to_string(path).ok())?;
    variant(&os)
}

fn variant(os: &str) -> Option<&'static str> {
    match value(os, "VARIANT_ID")? {
        "dev" => Some("dev"),
        "prod" => Some("prod"),
        _ => None,
    }
}

fn about(
    uuid: &str,
    os: &str,
    kernel: &str,
    engine_socket: Option<AbsolutePath>,
    present: std::collections::BTreeSet<String>,
) -> Facts {
    let of = |names: &[&str]| names.iter().find_map(|name| value(os, name)).map(str::to_owned);
    Facts {
        uuid: uuid.to_owned(),
        api_endpoint: String::new(),
        device_key: None,
        device_type: of(&["SLUG", "MACHINE"]),
        arch: arch().map(str::to_owned),
        os_version: of(&["PRETTY_NAME"]),
        os: of(&["ID"]).zip(of(&["VERSION_ID"])),
        board_rev: of(&["BALENA_BOARD_REV", "RESIN_BOARD_REV"]),
        kernel: Some(kernel.to_owned()).filter(|kernel| !kernel.is_empty()),
        l4t: l4t(kernel),
        engine_socket,
        present,
        ignores_locks: false,
        registry_credentials: None,
    }
}

/// A value of an os-release file (os-release(5)).
fn value<'a>(os: &'a str, name: &str) -> Option<&'a str> {
    let mut values = os.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    let value = values.next()?.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Some(quoted('"').or_else(|| quoted('\'')).unwrap_or(value)).filter(|value| !value.is_empty())
}

/// The version of Linux for Tegra that a kernel of it has in its name: `4.9.140-l4t-r32.4.3`.
fn l4t(kernel: &str) -> Option<String> {
    let (_, rest) = kernel.split_once("l4t-r")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.').to_owned()).filter(|version| !version.is_empty())
}

/// This build's architecture in balena's words.
fn arch() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("amd64"),
        "aarch64" => Some("aarch64"),
        "arm" => Some("armv7hf"),
        "x86" => Some("i386"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_away_has_the_socket_that_it_had() {
        let places =
            ["tcp://127.0.0.1:1", "unix:///run/docker.sock", "unix:///run/podman.sock"].map(str::to_owned);
        let path = |path: &str| Some(path.parse::<AbsolutePath>().unwrap());
        let (docker, podman) = (path("/run/docker.sock"), path("/run/podman.sock"));
        assert_eq!(socket(&places, None, |place| place.contains("podman")), podman);
        assert_eq!(socket(&places, docker.clone(), |place| place.contains("podman")), docker);
        assert_eq!(socket(&places[2..], docker.clone(), |place| place.contains("podman")), podman);
        assert_eq!(socket(&places, podman.clone(), |_| false), podman);
        assert_eq!(socket(&places, None, |_| false), docker);
        assert_eq!(socket(&places[..1], None, |_| true), None);
    }

    #[test]
    fn a_system_says_what_it_is() {
        let os = "ID=\"balena-os\"\nNAME='balenaOS'\nVERSION_ID=6.5.39\nPRETTY_NAME=\"balenaOS 6.5.39+rev1\"\nSLUG=\nMACHINE=\"jetson-nano\"\nBALENA_BOARD_REV=a1b2c3d\n";
        let facts = about("a", os, "4.9.140-l4t-r32.4.3-rev1", None, [].into());
        assert_eq!(facts.os_version.as_deref(), Some("balenaOS 6.5.39+rev1"));
        assert_eq!(facts.os, Some(("balena-os".to_owned(), "6.5.39".to_owned())));
        assert_eq!(facts.device_type.as_deref(), Some("jetson-nano"));
        assert_eq!((facts.board_rev.as_deref(), facts.l4t.as_deref()), (Some("a1b2c3d"), Some("32.4.3")));
        assert_eq!(
            (variant("VARIANT_ID=\"prod\"\n"), variant("VARIANT_ID=server\n"), variant(os)),
            (Some("prod"), None, None)
        );
        let nothing = about("a", "garbage\n=\n", "", None, [].into());
        assert_eq!((nothing.os_version, nothing.kernel, nothing.l4t), (None, None, None));
    }
}

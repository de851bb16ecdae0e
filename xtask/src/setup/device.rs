//! The image of a device: Debian with systemd as its first process, made once and kept by what is in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use manifest_types::digest::Digest;

use super::{apt, cache::Cache};
use crate::process::Program;

/// What is on the device beside Debian's least.
const PACKAGES: &str =
    "systemd,systemd-sysv,systemd-resolved,dbus,dbus-user-session,libpam-systemd,iproute2,network-manager";
/// What Debian would start and a test starts if it wants it.
const STOPPED: [&str; 5] = [
    "NetworkManager.service",
    "NetworkManager-dispatcher.service",
    "NetworkManager-wait-online.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
];
/// The release of Debian.
const RELEASE: &str = "bookworm";
/// The archive, in its folder of the cache.
const ARCHIVE: &str = "device.tar";

/// Makes the image, unless it is there.
pub(super) fn bring(cache: &Cache) -> Result<PathBuf> {
    let digest = Digest::of(format!("{RELEASE} {PACKAGES} {STOPPED:?} 1").as_bytes()).short();
    let name = format!("device-{}", digest.rsplit(':').next().unwrap_or(&digest));
    let folder = cache.part(&name, |place| place.join(ARCHIVE).exists(), make)?;
    Ok(folder.join(ARCHIVE))
}

fn make(folder: &Path) -> Result<()> {
    if !Program::new("debootstrap").arg("--version").succeeds() {
        apt::install("debootstrap", "debootstrap is missing, and the tests' device is made with it")?;
    }
    let root = folder.join("root");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Program::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), RELEASE])
        .arg(&root)
        .run()
        .context("the device's image is made by root, from Debian's archive")?;
    Program::new("chroot").arg(&root).args(["systemctl", "--quiet", "disable"]).args(STOPPED).run()?;
    // Whoever starts has an id of its own.
    fs::write(root.join("etc/machine-id"), "")?;
    Program::new("tar").arg("-C").arg(&root).arg("-cf").arg(folder.join(ARCHIVE)).arg(".").run()?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))
}

//! Debian's packages: installed for root, or only unpacked for anybody.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, Result, bail};

use crate::process::Program;

/// Installs `package`; `why` says what it is missing for.
pub(super) fn install(package: &str, why: &str) -> Result<()> {
    if !is_root() || !is_there() {
        let hindrance = if is_there() { "this user is not root" } else { "apt-get is not there" };
        bail!("{why}, and {hindrance} to install {package}");
    }
    with_lists(|| apt().args(["install", "-y", "--no-install-recommends", package]).run())
}

/// Unpacks `package` into `folder`, without installing it.
pub(super) fn download(package: &str, folder: &Path) -> Result<()> {
    if !is_there() {
        bail!("apt-get is not there to download {package}");
    }
    with_lists(|| apt().args(["download", "-qq", package]).current_dir(folder).run())?;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            Program::new("dpkg").arg("-x").args([&path, folder]).run()?;
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// A machine that is new has no lists of packages yet.
fn with_lists(task: impl Fn() -> Result<()>) -> Result<()> {
    task().or_else(|error| {
        if !is_root() {
            return Err(error.context("only root may fetch apt's lists of packages: `apt-get update`"));
        }
        apt().arg("update").run()?;
        task()
    })
}

fn apt() -> Program {
    Program::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive")
}

fn is_there() -> bool {
    Program::new("apt-get").arg("--version").succeeds()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

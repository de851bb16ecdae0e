//! A library that gives a process another wall clock: out of Debian's package, unpacked, not installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{Part, apt, cache::Cache};
use crate::process::Program;

pub(super) const PART: Part = Part {
    name: "libfaketime",
    needed_for: "with which the tests set the clock back",
    by_hand: "`apt-get install libfaketime`; it is /usr/lib/*/faketime/libfaketimeMT.so.1",
    variable: "HOLDFAST_LIBFAKETIME",
};

const FOLDER: &str = "libfaketime";

pub(super) fn works(library: &Path) -> bool {
    let year = "test $(date +%Y) = 2001";
    Program::new("sh")
        .args(["-c", year])
        .env("LD_PRELOAD", library)
        .env("FAKETIME", "2001-06-01 00:00:00")
        .succeeds()
}

pub(super) fn bring(cache: &Cache) -> Result<PathBuf> {
    let is_there = |folder: &Path| find(folder).is_some_and(|library| works(&library));
    let folder = cache.part(FOLDER, is_there, |folder| {
        fs::create_dir(folder)?;
        apt::download("libfaketime", folder)
    })?;
    find(&folder).context("the package libfaketime has no libfaketimeMT.so.1")
}

/// Where the library is: below a folder that is named for the machine.
fn find(folder: &Path) -> Option<PathBuf> {
    let machines = fs::read_dir(folder.join("usr/lib")).ok()?;
    let libraries = machines.flatten().map(|machine| machine.path().join("faketime/libfaketimeMT.so.1"));
    libraries.into_iter().find(|library| library.exists())
}

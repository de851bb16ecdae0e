//! Programs that make disks and let them hang: on a usual machine they are there.

use anyhow::Result;

use super::apt;
use crate::process::Program;

/// A program, an argument with which it succeeds, and the package it comes in.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("mkfs.ext4", "-V", "e2fsprogs"),
    ("fsfreeze", "--version", "util-linux"),
    ("nsenter", "--version", "util-linux"),
];

pub(super) fn bring() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, asks, _)| !Program::new(program).arg(asks).succeeds());
    missing.into_iter().try_for_each(|(program, _, package)| {
        let why = format!("{program} is missing, with which the tests let disks fill up and hang");
        apt::install(package, &why)
    })
}

//! Container engines, and what an image is made of: Debian's packages.

use anyhow::Result;

use super::apt;
use crate::process::Program;

/// A program, an argument with which it succeeds, the package that brings it, and what it is needed for.
const PROGRAMS: [(&str, &str, &str, &str); 5] = [
    ("dockerd", "--version", "docker.io", "the tests run containers on Docker"),
    ("iptables", "--version", "iptables", "Docker's networks need it"),
    ("podman", "--version", "podman", "the tests run containers on Podman"),
    ("docker-registry", "--version", "docker-registry", "the tests pull from a registry"),
    ("busybox", "true", "busybox-static", "the tests' image is made of it"),
];

pub(super) fn bring() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|(program, asks, ..)| !Program::new(program).arg(asks).succeeds());
    missing.into_iter().try_for_each(|(program, _, package, why)| {
        apt::install(package, &format!("{program} is missing, and {why}"))
    })
}

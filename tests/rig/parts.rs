//! Where the real parts are. `cargo xtask test` brings and builds them and tells the tests by environment variables.

use std::path::PathBuf;

/// The NATS server's binary.
pub fn nats_server() -> PathBuf {
    part("HOLDFAST_NATS_SERVER")
}

/// A Python with `nats-py` and `jsonschema`.
pub fn python() -> PathBuf {
    part("HOLDFAST_PYTHON")
}

/// The agent's binary, built as it is shipped: without the feature `testing`.
pub fn holdfast() -> PathBuf {
    part("HOLDFAST_BIN")
}

/// The control plane's binary.
pub fn control_plane() -> PathBuf {
    part("HOLDFAST_CONTROL_PLANE")
}

/// The library that gives a process another wall clock.
pub fn libfaketime() -> PathBuf {
    part("HOLDFAST_LIBFAKETIME")
}

/// Where a Docker engine of the tests' own listens.
pub fn docker() -> String {
    part("HOLDFAST_DOCKER").to_string_lossy().into_owned()
}

/// Where a Podman engine of the tests' own listens.
pub fn podman() -> String {
    part("HOLDFAST_PODMAN").to_string_lossy().into_owned()
}

/// The file system of a device on which systemd is the first process, as this machine sees it.
pub fn device_root() -> PathBuf {
    part("HOLDFAST_DEVICE_ROOT")
}

/// How many rounds a test with chance in it plays: `usual`, unless HOLDFAST_ROUNDS (`cargo xtask test --rounds`) says otherwise.
#[expect(clippy::disallowed_methods, reason = "the one place where tests learn what they run against")]
pub fn rounds(usual: u64) -> u64 {
    std::env::var("HOLDFAST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests learn what they run against")]
fn part(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) if !path.is_empty() => path.into(),
        _ => panic!(
            "{variable} is not set: run cargo xtask test (or cargo xtask setup, and set it to what that prints)"
        ),
    }
}

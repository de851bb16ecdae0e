//! `cargo xtask test [SUITE…]`: brings what is missing, builds what is tested, runs it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{devices, engines::Engines, process::Program, setup, sim};

/// Which suites to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The suites; all if none is named.
    #[arg(value_enum)]
    suites: Vec<Suite>,
    /// Only those tests of the suites `nats`, `container` and `device` whose names have this in them
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// So many rounds of the container suite's random changes on each engine, instead of a few
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
}

/// One part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Suite {
    /// No real parts: every library and binary by itself.
    Unit,
    /// With a NATS server.
    Nats,
    /// With container engines: Docker and Podman.
    Container,
    /// With a device on which systemd is the first process.
    Device,
}

/// So many devices at once: most of the time they wait for a time to pass.
const DEVICES: &str = "--test-threads=6";

/// Runs a suite.
type Run = fn(&Args) -> Result<()>;

/// All suites, the quickest first.
const SUITES: &[(Suite, Run)] =
    &[(Suite::Unit, unit), (Suite::Nats, nats), (Suite::Container, container), (Suite::Device, device)];

impl Args {
    /// All suites.
    pub(crate) fn all() -> Self {
        Self { suites: Vec::new(), only: String::new(), rounds: None }
    }
}

/// Runs the suites in the table's order, each once.
pub(crate) fn run(args: &Args) -> Result<()> {
    let asked = |suite| args.suites.is_empty() || args.suites.contains(&suite);
    let (names, runs): (Vec<_>, Vec<_>) = SUITES.iter().filter(|(suite, _)| asked(*suite)).copied().unzip();
    eprintln!("suites: {names:?}");
    runs.into_iter().try_for_each(|run| run(args))
}

fn unit(_: &Args) -> Result<()> {
    Program::cargo().args(["test", "--workspace", "--exclude", "e2e"]).run()?;
    sim::play(["--seeds", "500"])?;
    sim::sabotage()
}

fn nats(args: &Args) -> Result<()> {
    let parts = setup::run()?;
    let clock = setup::clock()?;
    setup::disks()?;
    // Built apart from the tests: their `testing` feature must not get into what is shipped.
    let [holdfast, control_plane] = build(["holdfast", "control-plane-sim"])?;
    Program::cargo()
        .args(["test", "-p", "e2e", "--lib", "--test", "agent", "--test", "control_plane", "--", &args.only])
        .env("HOLDFAST_NATS_SERVER", parts.nats_server)
        .env("HOLDFAST_PYTHON", parts.python)
        .env("HOLDFAST_LIBFAKETIME", clock)
        .env("HOLDFAST_BIN", holdfast)
        .env("HOLDFAST_CONTROL_PLANE", control_plane)
        .run()
}

fn container(args: &Args) -> Result<()> {
    let parts = setup::run()?;
    setup::engines()?;
    let [holdfast, control_plane] = build(["holdfast", "control-plane-sim"])?;
    // Built first: engines do not wait for compilers.
    Program::cargo().args(["test", "-p", "e2e", "--test", "container", "--no-run"]).run()?;
    let engines = Engines::start()?;
    let rounds = args.rounds.map(|rounds| rounds.to_string()).unwrap_or_default();
    Program::cargo()
        .args(["test", "-p", "e2e", "--test", "container", "--", &args.only])
        .env("HOLDFAST_NATS_SERVER", parts.nats_server)
        .env("HOLDFAST_BIN", holdfast)
        .env("HOLDFAST_CONTROL_PLANE", control_plane)
        .env("HOLDFAST_ROUNDS", rounds)
        .env("HOLDFAST_DOCKER", engines.address("docker"))
        .env("HOLDFAST_PODMAN", engines.address("podman"))
        .run()
}

fn device(args: &Args) -> Result<()> {
    let parts = setup::run()?;
    setup::engines()?;
    let image = setup::device()?;
    let [holdfast] = build(["holdfast"])?;
    // Built first: engines do not wait for compilers.
    Program::cargo().args(["test", "-p", "e2e", "--test", "device", "--no-run"]).run()?;
    let engines = Engines::start()?;
    let device = devices::start(&engines, &image)?;
    Program::cargo()
        .args(["test", "-p", "e2e", "--test", "device", "--", DEVICES, &args.only])
        .env("HOLDFAST_NATS_SERVER", parts.nats_server)
        .env("HOLDFAST_BIN", holdfast)
        .env("HOLDFAST_DOCKER", engines.address("docker"))
        .env("HOLDFAST_DEVICE_ROOT", device.root()?)
        .run()
}

/// Builds packages, whose binaries have their names, and says where those are.
pub(crate) fn build<const N: usize>(packages: [&str; N]) -> Result<[PathBuf; N]> {
    build_in("dev", packages)
}

/// The same, as they are shipped.
pub(crate) fn build_release<const N: usize>(packages: [&str; N]) -> Result<[PathBuf; N]> {
    build_in("release", packages)
}

fn build_in<const N: usize>(profile: &str, packages: [&str; N]) -> Result<[PathBuf; N]> {
    let flags = ["build", "--profile", profile, "--message-format=json-render-diagnostics"];
    let mut cargo = Program::cargo().args(flags);
    for package in packages {
        cargo = cargo.args(["-p", package]);
    }
    let messages = cargo.output()?;
    let mut found = packages.map(|_| PathBuf::new());
    for (path, package) in found.iter_mut().zip(packages) {
        *path = executable(&messages, package)
            .with_context(|| format!("{package} builds no binary {package}"))?;
    }
    Ok(found)
}

/// Where cargo's messages, one JSON a line, say that a binary is.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut binaries =
        messages.filter(|message| message["target"]["name"] == name && message["target"]["kind"][0] == "bin");
    binaries.find_map(|message| Some(message["executable"].as_str()?.into()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_suite_is_in_the_table() {
        for suite in Suite::value_variants() {
            assert_eq!(SUITES.iter().filter(|(listed, _)| listed == suite).count(), 1, "{suite:?}");
        }
    }

    #[test]
    fn cargo_says_where_a_binary_is() {
        let messages = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"holdfast"},"executable":null}
            not JSON
            {"reason":"compiler-artifact","target":{"kind":["bin"],"name":"holdfast"},"executable":"/t/debug/holdfast"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "holdfast"), Some("/t/debug/holdfast".into()));
        assert_eq!(executable(messages, "other"), None);
    }
}

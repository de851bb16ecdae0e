//! `cargo xtask bench [NAME] [--json FILE]`: the agent as it is shipped, measured.

use std::path::PathBuf;

use anyhow::Result;

use crate::{devices, engines::Engines, process::Program, setup, test};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which benchmark; all without one
    name: Option<String>,
    /// Where the same is written as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// For how many seconds `idle`, `idle-containers` and `balena-idle` look
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    idle_seconds: u64,
}

/// Builds the release, and measures it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let parts = setup::run()?;
    // Built apart: what the benchmarks need of a library must not get into what is shipped.
    let [holdfast, control_plane] = test::build_release(["holdfast", "control-plane-sim"])?;
    let [bench] = test::build_release(["bench"])?;
    let mut bench = Program::new(bench)
        .arg(format!("--idle-seconds={}", args.idle_seconds))
        .env("HOLDFAST_NATS_SERVER", parts.nats_server)
        .env("HOLDFAST_PYTHON", parts.python)
        .env("HOLDFAST_BIN", holdfast)
        .env("HOLDFAST_CONTROL_PLANE", control_plane);
    if let Some(name) = &args.name {
        bench = bench.arg(name);
    }
    if let Some(json) = &args.json {
        bench = bench.arg("--json").arg(json);
    }
    let needs =
        |words: &[&str]| args.name.as_ref().is_none_or(|name| words.iter().any(|word| name.contains(word)));
    let needs_device = needs(&["unit", "network"]);
    if !needs(&["container", "balena"]) && !needs_device {
        return bench.run();
    }
    setup::engines()?;
    let image = if needs_device { Some(setup::device()?) } else { None };
    let engines = Engines::start()?;
    if let Some(image) = image {
        devices::import(&engines, &image)?;
    }
    bench.env("HOLDFAST_DOCKER", engines.address("docker")).run()
}

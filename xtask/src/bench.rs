//! `cargo xtask bench [NAME] [--json FILE]`: the agent as it is shipped, measured.

use std::ffi::OsString;

use anyhow::Result;

use crate::{process::Program, setup, test};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// [NAME], --json FILE, --idle-seconds SECONDS.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

/// Builds the release, and measures it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let parts = setup::run()?;
    let [holdfast, control_plane] = test::build_release(["holdfast", "control-plane-sim"])?;
    Program::cargo()
        .args(["run", "--quiet", "--release", "-p", "bench", "--"])
        .args(&args.options)
        .env("HOLDFAST_NATS_SERVER", parts.nats_server)
        .env("HOLDFAST_PYTHON", parts.python)
        .env("HOLDFAST_BIN", holdfast)
        .env("HOLDFAST_CONTROL_PLANE", control_plane)
        .run()
}

//! `cargo xtask sim`: the real engine against a model of the world and a seeded adversary.

use std::ffi::OsString;

use anyhow::{Result, bail};

use crate::process::Program;

/// What to play.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// --seeds COUNT [2000], --seed FIRST, --turns COUNT, --sabotage RULE (1 to 11), --verbose.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

/// Builds the simulation, optimized and with its checks on, and plays it.
pub(crate) fn run(args: &Args) -> Result<()> {
    play(args.options.iter().cloned())
}

/// Plays with these options.
pub(crate) fn play<A: AsRef<std::ffi::OsStr>>(options: impl IntoIterator<Item = A>) -> Result<()> {
    Program::cargo()
        .args(["run", "--quiet", "--profile", "sim", "-p", "simulation", "--"])
        .args(options)
        .run()
}

/// Switches each rule off in turn: a seed must fail for each, or the simulation does not see what it is to see.
pub(crate) fn sabotage() -> Result<()> {
    for rule in 1..=11 {
        let rule = rule.to_string();
        if play(["--seeds", "3000", "--sabotage", &rule]).is_ok() {
            bail!("rule {rule} is switched off, and no seed of 3000 fails");
        }
    }
    Ok(())
}

//! `cargo xtask ci`: what a change must pass, the quick checks first.

use anyhow::Result;

use crate::{licences, process::Program, schemas, test, tidy};

/// Runs all checks and all tests; the first failure ends it.
pub(crate) fn run() -> Result<()> {
    Program::cargo().args(["fmt", "--all", "--check"]).run()?;
    tidy::run()?;
    schemas::check()?;
    Program::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    licences::check()?;
    test::run(&test::Args::all())
}

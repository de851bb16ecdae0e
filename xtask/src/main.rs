//! The project's own tasks: `cargo xtask …`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod ci;
mod process;
mod schemas;
mod setup;
mod test;
mod tidy;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Bring the real parts that tests and demo need, where they are missing.
    Setup,
    /// Run the tests: all, or the suites that are named. Brings what is missing.
    Test(test::Args),
    /// Run what a change must pass: formatting, clippy, tidy, schemas, all tests.
    Ci,
    /// Write the JSON Schemas in schemas/.
    Schemas {
        /// Write nothing; fail if they are not current.
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of this source tree that no compiler knows.
    Tidy,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::run().map(drop),
        Task::Test(args) => test::run(&args),
        Task::Ci => ci::run(),
        Task::Schemas { check: true } => schemas::check(),
        Task::Schemas { check: false } => schemas::write(),
        Task::Tidy => tidy::run(),
    }
}

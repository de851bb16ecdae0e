//! The project's own tasks: `cargo xtask …`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod ci;
mod demo;
mod devices;
mod engines;
mod licences;
mod process;
mod schemas;
mod setup;
mod sim;
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
    /// See the main job: a server, a control plane, an agent, a manifest that becomes true and stays true.
    Demo(demo::Args),
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
    /// Measure: ratios against a floor of the same run. `bench --help` lists what there is.
    Bench(bench::Args),
    /// Play the engine's simulation: seeds in which everything that can go wrong does.
    Sim(sim::Args),
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
        Task::Setup => setup::all(),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Ci => ci::run(),
        Task::Schemas { check: true } => schemas::check(),
        Task::Schemas { check: false } => schemas::write(),
        Task::Bench(args) => bench::run(&args),
        Task::Sim(args) => sim::run(&args),
        Task::Tidy => tidy::run(),
    }
}

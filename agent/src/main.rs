//! The binary `holdfast`.

use std::process::ExitCode;

use clap::Parser;
use holdfast::cli::{self, Cli};

fn main() -> ExitCode {
    cli::execute(Cli::parse())
}

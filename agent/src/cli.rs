//! x
use clap::Parser;
/// x
#[derive(Parser)]
pub struct Cli {}
/// x
pub fn execute(_: Cli) -> std::process::ExitCode { std::process::ExitCode::SUCCESS }
pub mod client;

//! The binary `control-plane-sim`.

use std::process::ExitCode;

use clap::Parser;
use control_plane_sim::{cli::Cli, commands, terminal::Screen};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut screen = Screen::stdout(cli.no_color.as_ref().is_some_and(|value| !value.is_empty()));
    match Box::pin(commands::run(cli, &mut screen)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.report());
            ExitCode::from(error.exit_code())
        }
    }
}

//! The command line `holdfast`: what a person may ask for.
//!
//! `run` is the agent. The other commands speak to a running one over its socket ([`client`]), or work alone where that makes
//! sense. What they show is rendered by pure functions; [`screen`] is the only place that writes.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use manifest_types::name::ResourceId;

use crate::{api::parse_span, config::RunArgs};

mod actions;
mod age;
mod balena;
pub mod client;
mod doctor;
mod error;
mod explain;
mod manifest;
mod place;
mod plan;
mod screen;
mod session;
mod status;
mod table;
mod validate;

pub use place::Place;

/// Exit codes, told in the help.
const EXAMPLES: &str = "\
Examples:
  holdfast run --agent-id pump-17 --nats-url nats://fleet.example:4222
  holdfast status --watch
  holdfast explain web-config
  holdfast logs web --follow
  holdfast plan -f manifest.yaml
  holdfast pause web-config --for 2h

Exit codes: 0 done, 1 not done, 2 wrong usage; of plan: 0 nothing to do, 1 not known, 2 something to do.";

/// Holds this device to its desired state.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// The running agent's socket [default: the configuration file's, else /run/holdfast/holdfast.sock]
    #[arg(long, global = true, env = "HOLDFAST_API_SOCKET", hide_env_values = true, value_name = "PATH")]
    pub api_socket: Option<PathBuf>,
    /// For people or for programs
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub output: Output,
    /// When to use colours; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    /// Whatever its value: no colours.
    #[arg(long = "no-color", hide = true, global = true, env = "NO_COLOR", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub no_color: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences
    Table,
    /// One JSON document; of `status --watch`, one a line
    Json,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Even in a pipe
    Always,
    /// Not at all
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent
    #[command(
        after_help = "Examples:\n  holdfast run --nats-url nats://fleet.example:4222 --nats-creds /etc/holdfast/pump-17.creds\n  holdfast run --source file --manifest /etc/holdfast/manifest.yaml\n  holdfast run --print-config"
    )]
    Run(Box<RunArgs>),
    /// Anything else.
    #[command(flatten)]
    Ask(Request),
}

/// What to ask of the running agent, or to do without one.
#[derive(Debug, Subcommand)]
pub enum Request {
    /// Show how the device fares: conditions and resources
    #[command(
        after_help = "Examples:\n  holdfast status\n  holdfast status --watch\n  holdfast status -o json"
    )]
    Status {
        /// Keep showing it, as it changes
        #[arg(long, short)]
        watch: bool,
    },
    /// Show what a manifest would change on this device; nothing is changed
    #[command(
        after_help = "Asks the running agent, or looks alone where none runs.\n\nExamples:\n  holdfast plan -f manifest.yaml\n  cat manifest.json | holdfast plan -f -\n\nExit codes: 0 nothing to do, 1 not known, 2 something to do."
    )]
    Plan {
        /// The manifest, YAML or JSON; - reads the standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// Where to look alone.
        #[command(flatten)]
        place: Place,
    },
    /// Show why a resource is in its phase
    #[command(after_help = "Example:\n  holdfast explain web-config")]
    Explain {
        /// The resource
        id: ResourceId,
    },
    /// Show what a container has printed
    #[command(
        after_help = "Both of its outputs, as they were printed, whatever --output says. With --follow it goes on across restarts and\nreplacements of the container, and while the engine is away, until Ctrl-C.\n\nExamples:\n  holdfast logs web\n  holdfast logs web --follow --tail 20"
    )]
    Logs {
        /// The resource
        id: ResourceId,
        /// Go on with what it prints from now on
        #[arg(long, short)]
        follow: bool,
        /// Only the last lines of what there is, so many
        #[arg(long, short = 'n', value_name = "LINES")]
        tail: Option<u32>,
    },
    /// Try a resource again now, even one whose spec failed for good
    #[command(after_help = "Examples:\n  holdfast retry web-config\n  holdfast retry --all")]
    Retry {
        /// The resource
        #[arg(required_unless_present = "all")]
        id: Option<ResourceId>,
        /// All resources
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
    /// Leave a resource, or all, as it is for some time
    #[command(
        after_help = "What drifts meanwhile is told and not repaired. A pause ends with the agent's life, too.\n\nExamples:\n  holdfast pause --for 30m\n  holdfast pause web-config --for 2h"
    )]
    Pause {
        /// The resource; all, if none is named
        id: Option<ResourceId>,
        /// For how long, such as 90s, 30m, 1h or 2d
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = parse_span)]
        time: Duration,
    },
    /// End a pause
    #[command(after_help = "Examples:\n  holdfast resume\n  holdfast resume web-config")]
    Resume {
        /// The resource; all, if none is named
        id: Option<ResourceId>,
    },
    /// Check a manifest; tell all its problems
    #[command(
        after_help = "Needs no agent and no device. Each problem is a line FILE:LINE:COLUMN: PATH: MESSAGE.\n\nExamples:\n  holdfast validate -f manifest.yaml\n  cat manifest.json | holdfast validate -f -"
    )]
    Validate {
        /// The manifest, YAML or JSON; - reads the standard input
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// Let kinds pass that this agent does not know
        #[arg(long)]
        allow_unknown_kinds: bool,
    },
    /// Check what the agent needs from this device, and what is missing for which kind
    #[command(
        after_help = "Checks with the rights of whoever calls it: call it as the agent's user. Exits 1 if a check failed."
    )]
    Doctor {
        /// Where the agent works.
        #[command(flatten)]
        place: Place,
    },
    /// See what balenaCloud or openBalena would have this device run
    #[command(after_help = "Example:\n  holdfast balena translate -f state.json")]
    Balena {
        /// What to do.
        #[command(subcommand)]
        command: balena::BalenaRequest,
    },
    /// Accept any generation next, also one lower than the last
    #[command(
        after_help = "The way out when the control plane has lost count. Nothing on the device changes by it. Without an agent, the ledger is changed directly."
    )]
    ForgetGeneration {
        /// Where the agent works.
        #[command(flatten)]
        place: Place,
    },
}

/// Reads the command line and does what it says. Wrong usage ends with 2, and of `plan` with 1: there, 2 has a meaning.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => execute(cli),
        Err(error) => {
            let is_plan = std::env::args_os().any(|argument| argument == "plan");
            // Nothing is left to be told it to.
            drop(error.print());
            let code = u8::try_from(error.exit_code()).unwrap_or(1);
            ExitCode::from(if is_plan { code.min(1) } else { code })
        }
    }
}

/// Does what the command line says.
pub fn execute(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(args) => crate::run::run(*args),
        Command::Ask(request) => {
            let paint = screen::wants_colour(cli.color, cli.no_color);
            session::execute(request, cli.api_socket, cli.output, paint)
        }
    }
}

#[cfg(test)]
mod tests;

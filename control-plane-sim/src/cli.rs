//! What a person may ask for on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;
use manifest_types::{manifest::Generation, name::AgentId};

use crate::{buckets::Choice, link::Address};

const EXAMPLES: &str = "\
Examples:
  control-plane-sim init
  control-plane-sim apply -f examples/hello.yaml --agent pump-17 --wait
  control-plane-sim watch
  control-plane-sim describe pump-17
  control-plane-sim rollback pump-17 --to 7 --wait=30s

Exit codes: 0 done, 1 not done, 2 wrong usage, 3 the device refused, 4 it was not ready in time.";

/// A control plane to develop and test Holdfast against: gives devices their manifests and shows what they report.
#[derive(Debug, Parser)]
#[command(name = "control-plane-sim", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// For people or for programs.
    #[arg(long, short, global = true, value_enum, default_value = "table")]
    pub output: Output,
    /// No colours, whatever its value.
    #[arg(long = "no-color", hide = true, env = "NO_COLOR", global = true, num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    pub no_color: Option<String>,
    /// Where the fleet is.
    #[command(flatten)]
    pub address: Address,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences.
    Table,
    /// One JSON document; of `watch`, one a line.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the two buckets; look at those that are there.
    Init {
        /// How they are made.
        #[command(flatten)]
        choice: Choice,
    },
    /// Check a manifest and give it to a device as its next generation.
    #[command(
        after_help = "Examples:\n  control-plane-sim apply -f web.yaml --agent pump-17\n  control-plane-sim apply -f - --agent pump-17 --wait=30s < web.json"
    )]
    Apply {
        /// The manifest, YAML or JSON; - reads the standard input.
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// The device; the file may name it instead (agentId).
        #[arg(long, value_name = "ID")]
        agent: Option<AgentId>,
        /// Let kinds pass that this control plane does not know.
        #[arg(long)]
        allow_unknown_kinds: bool,
        /// How it is given.
        #[command(flatten)]
        giving: Giving,
    },
    /// Show all devices, or what one of them says of its resources.
    Get {
        /// The device.
        agent: Option<AgentId>,
    },
    /// Show all devices, and keep showing them.
    Watch {
        /// Show them once.
        #[arg(long)]
        once: bool,
    },
    /// Show all that is known of a device.
    Describe {
        /// The device.
        agent: AgentId,
    },
    /// Show the manifests that a device has been given.
    History {
        /// The device.
        agent: AgentId,
    },
    /// Give a device an earlier manifest again, as a new generation.
    Rollback {
        /// The device.
        agent: AgentId,
        /// The generation whose manifest is to be given again.
        #[arg(long, value_name = "GENERATION", value_parser = generation)]
        to: Generation,
        /// How it is given.
        #[command(flatten)]
        giving: Giving,
    },
    /// Simulate balena's API, and tell the simulation what its fleets are.
    Balena {
        /// What to do.
        #[command(subcommand)]
        command: BalenaCommand,
    },
    /// Delete a device's manifest. The device keeps what it holds.
    #[command(
        after_help = "A deleted manifest changes nothing on the device. To have it take everything away, apply a manifest with `resources: []`."
    )]
    Delete {
        /// The device.
        agent: AgentId,
        /// Delete its status and heartbeat, too: of a device that is no more.
        #[arg(long)]
        status: bool,
    },
}

/// What to do with the simulation of balena's API.
#[derive(Debug, Subcommand)]
pub enum BalenaCommand {
    /// Simulate the API until Ctrl-C; its address is printed first.
    #[command(
        after_help = "State is in memory, and gone with it. Beside what devices ask there is an admin side without any login, under /admin/: the other commands use it. A registry that takes tokens (Docker's `auth.token`) is told of the realm http://…/auth/v1/token, the issuer `balena`, and the certificate that /admin/certificate shows.\n\nExamples:\n  control-plane-sim balena serve --listen 127.0.0.1:8080\n  curl -s http://127.0.0.1:8080/admin/certificate | jq -r . > issuer.pem\n  curl -X PUT http://127.0.0.1:8080/admin/faults -d '[{\"on\":\"state\",\"times\":3,\"what\":{\"wait\":[429,20]}}]'"
    )]
    Serve {
        /// Where it listens; port 0 is any free one.
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: std::net::SocketAddr,
    },
    /// Make a fleet; its number and its key are printed.
    #[command(
        after_help = "Example:\n  control-plane-sim balena fleet greenhouse --device-type genericx86-64-ext"
    )]
    Fleet {
        /// Its name.
        name: String,
        /// The type of its devices.
        #[arg(long, value_name = "SLUG", default_value = "genericx86-64-ext")]
        device_type: String,
        /// Where the simulation is.
        #[command(flatten)]
        api: Simulation,
    },
    /// Make a release of a compose file, and have a fleet run it.
    #[command(after_help = "Example:\n  control-plane-sim balena release --fleet 1 -f docker-compose.yml")]
    Release {
        /// The fleet's number.
        #[arg(long, value_name = "ID")]
        fleet: u64,
        /// The compose file; - reads the standard input. Each service needs an image.
        #[arg(long, short, value_name = "FILE")]
        file: PathBuf,
        /// Where the simulation is.
        #[command(flatten)]
        api: Simulation,
    },
    /// Change a fleet or a device: its name, variables, configuration, and the release that it runs.
    #[command(
        after_help = "Examples:\n  control-plane-sim balena set --fleet 1 --variable MODE=live --config RESIN_SUPERVISOR_POLL_INTERVAL=600000\n  control-plane-sim balena set --device 5e0d1f0c… --name shed-01 --release 0f7c2d1b…\n  control-plane-sim balena set --device 5e0d1f0c… --release ''"
    )]
    Set {
        /// What is changed.
        #[command(flatten)]
        what: Changed,
        /// Its name.
        #[arg(long)]
        name: Option<String>,
        /// The release that the fleet runs, or that the device is pinned to; empty, for none.
        #[arg(long, value_name = "COMMIT")]
        release: Option<String>,
        /// Variables of all services, instead of those there are.
        #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = pair)]
        variables: Vec<(String, String)>,
        /// Configuration variables, instead of those there are.
        #[arg(long = "config", value_name = "NAME=VALUE", value_parser = pair)]
        config: Vec<(String, String)>,
        /// Where the simulation is.
        #[command(flatten)]
        api: Simulation,
    },
    /// Show all devices, and what they have reported, as JSON.
    Devices {
        /// Where the simulation is.
        #[command(flatten)]
        api: Simulation,
    },
}

/// Where the simulation is.
#[derive(Debug, Clone, Args)]
pub struct Simulation {
    /// The simulation's address.
    #[arg(long = "api", env = "BALENA_SIM", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub address: std::net::SocketAddr,
}

/// A fleet, or a device.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Changed {
    /// A fleet, by its number.
    #[arg(long, value_name = "ID")]
    pub fleet: Option<u64>,
    /// A device, by its uuid.
    #[arg(long, value_name = "UUID")]
    pub device: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How a manifest is given to a device.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Giving {
    /// Wait until all of it is ready, five minutes or as long as is said.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "5m", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Only say what would be done.
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

fn generation(text: &str) -> Result<Generation, String> {
    let number: u64 =
        text.parse().map_err(|_| format!("must be a whole number from 1 to {}", Generation::MAX))?;
    Generation::try_from(number)
}

fn duration(text: &str) -> Result<Duration, String> {
    let read: SignedDuration = text.parse().map_err(|_| "must be a time like 30s, 5m or 1h".to_owned())?;
    Duration::try_from(read).map_err(|_| "must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn wait(arguments: &[&str]) -> Result<Option<Duration>, String> {
        let line = ["control-plane-sim", "apply", "-f", "x", "--agent", "a"].iter().chain(arguments);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Apply { giving, .. } => Ok(giving.wait),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_wait_has_a_time() {
        assert_eq!(wait(&[]), Ok(None));
        assert_eq!(wait(&["--wait"]), Ok(Some(Duration::from_secs(300))));
        assert_eq!(wait(&["--wait=90s"]), Ok(Some(Duration::from_secs(90))));
        assert!(wait(&["--wait=soon"]).unwrap_err().contains("30s, 5m or 1h"));
        assert!(wait(&["--wait", "--dry-run"]).is_err());
    }

    #[test]
    fn a_generation_is_a_possible_one() {
        let to = |text| Cli::try_parse_from(["control-plane-sim", "rollback", "a", "--to", text]);
        assert!(to("7").is_ok());
        for bad in ["0", "-1", "x", "9007199254740992"] {
            assert!(to(bad).is_err(), "{bad}");
        }
    }
}

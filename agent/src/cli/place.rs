//! Where an agent works, for commands that do without one: flags, environment, configuration file and defaults as of `run`.

use std::path::PathBuf;

use crate::config::{Config, ConfigError, RunArgs};

/// Where an agent works.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
pub struct Place {
    /// The configuration file [default: /etc/holdfast/holdfast.toml, if it is there]
    #[arg(long, env = "HOLDFAST_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The ledger and the originals [default: /var/lib/holdfast]
    #[arg(long, env = "HOLDFAST_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Paths of File resources are below this directory [default: /]
    #[arg(long, env = "HOLDFAST_ROOT", value_name = "DIR")]
    pub root: Option<PathBuf>,
}

impl Place {
    /// The whole configuration of an agent at this place. Its name is not needed here.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let args =
            RunArgs { config: self.config, state_dir: self.state_dir, root: self.root, ..RunArgs::default() };
        let mut args = args.with_file()?;
        let stand_in = || "unnamed".parse().expect("it is a name");
        args.agent_id.get_or_insert_with(stand_in);
        args.resolve()
    }
}

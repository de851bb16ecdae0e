//! Where an agent works, for commands that do without one: flags, environment, configuration file and defaults as of `run`.

use std::{path::PathBuf, sync::Arc};

use reconcilers::{host::Host, registry::Registry};

use crate::{
    blobs::Fetcher,
    config::{Config, ConfigError, RunArgs, services::services},
};

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
    /// Where the container engine listens [default: $DOCKER_HOST, then Docker's socket, then Podman's, then those of the user]
    #[arg(long, env = "HOLDFAST_DOCKER_HOST", value_name = "URI")]
    pub docker_host: Option<String>,
}

impl Place {
    /// What `run` would be told.
    pub(super) fn args(self) -> RunArgs {
        let Self { config, state_dir, root, docker_host } = self;
        RunArgs { config, state_dir, root, docker_host, ..RunArgs::default() }
    }

    /// The whole configuration of an agent at this place. Its name is not needed here.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let mut args = self.args().with_file()?;
        let stand_in = || "unnamed".parse().expect("it is a name");
        args.agent_id.get_or_insert_with(stand_in);
        args.resolve()
    }

    /// The reconcilers of an agent at this place; nothing is fetched for them.
    pub(super) fn registry(self) -> Result<Registry, ConfigError> {
        let Config { root, state_dir, agent_id, engine_places, .. } = self.resolve()?;
        let blobs = Arc::new(Fetcher::new(None));
        let services = services();
        Ok(Registry::new(&Host {
            root,
            state_dir,
            protected: Vec::new(),
            agent_id,
            engine_places,
            services,
            blobs,
            reach: Arc::new(reconcilers::host::AlwaysThere),
        }))
    }
}

//! What can be said of how the agent runs: one struct of flags, which are variables of the environment and members of a TOML file, too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use manifest_types::name::AgentId;
use serde::{Deserialize, Serialize};

use super::{ConfigError, DEFAULT_FILE};
use crate::{logging::LogFormat, secret::Secret, source::SourceKind};

/// How the agent runs. Each flag can also stand in the configuration file, by the same name.
#[derive(Debug, Clone, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RunArgs {
    /// The configuration file [default: /etc/holdfast/holdfast.toml, if it is there]
    #[arg(long, env = "HOLDFAST_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Prints the configuration that results, and ends
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
    /// The name of this device's agent [default: derived from the machine id]
    #[arg(long, env = "HOLDFAST_AGENT_ID", value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// Where manifests come from [default: nats]
    #[arg(long, env = "HOLDFAST_SOURCE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceKind>,
    /// NATS servers, separated by commas [default: nats://127.0.0.1:4222]
    #[arg(long, env = "HOLDFAST_NATS_URL", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_url: Option<String>,
    /// A NATS credentials file
    #[arg(long, env = "HOLDFAST_NATS_CREDS", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_creds: Option<PathBuf>,
    /// Certificates of authorities to trust beside the system's
    #[arg(long, env = "HOLDFAST_NATS_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_ca: Option<PathBuf>,
    /// A client certificate; needs --nats-key
    #[arg(long, env = "HOLDFAST_NATS_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_cert: Option<PathBuf>,
    /// The client certificate's key
    #[arg(long, env = "HOLDFAST_NATS_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_key: Option<PathBuf>,
    /// A user; needs --nats-password-file
    #[arg(long, env = "HOLDFAST_NATS_USER", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_user: Option<String>,
    /// A file that holds the user's password
    #[arg(long, env = "HOLDFAST_NATS_PASSWORD_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_password_file: Option<PathBuf>,
    /// A file that holds a token
    #[arg(long, env = "HOLDFAST_NATS_TOKEN_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_token_file: Option<PathBuf>,
    /// A file that holds an nkey's seed
    #[arg(long, env = "HOLDFAST_NATS_NKEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_nkey_file: Option<PathBuf>,
    /// The bucket of manifests and statuses [default: fleet]
    #[arg(long, env = "HOLDFAST_NATS_BUCKET", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_bucket: Option<String>,
    /// The bucket of heartbeats [default: fleet-heartbeat]
    #[arg(long, env = "HOLDFAST_HEARTBEAT_BUCKET", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat_bucket: Option<String>,
    /// The manifest of the file source
    #[arg(long, env = "HOLDFAST_MANIFEST", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<PathBuf>,
    /// Where the file source's status is written [default: beside the manifest, as <manifest>.status.json]
    #[arg(long, env = "HOLDFAST_STATUS_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_file: Option<PathBuf>,
    /// The API of balenaCloud or openBalena, such as https://api.balena-cloud.com
    #[arg(long, env = "HOLDFAST_BALENA_API_ENDPOINT", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_api_endpoint: Option<String>,
    /// This device's uuid there, if it is registered already, or is to be registered with that one
    #[arg(long, env = "HOLDFAST_BALENA_UUID", value_name = "UUID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_uuid: Option<String>,
    /// This device's key there; better in the environment or in the configuration file, where others cannot see it
    #[arg(long, env = "HOLDFAST_BALENA_API_KEY", hide_env_values = true, value_name = "KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_api_key: Option<Secret>,
    /// The key with which this device registers itself in its fleet; needs --balena-fleet and --balena-device-type
    #[arg(long, env = "HOLDFAST_BALENA_PROVISIONING_KEY", hide_env_values = true, value_name = "KEY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_provisioning_key: Option<Secret>,
    /// The fleet that this device registers itself in, by its number
    #[arg(long, env = "HOLDFAST_BALENA_FLEET", value_name = "ID")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_fleet: Option<u64>,
    /// This device's type, such as raspberrypi4-64
    #[arg(long, env = "HOLDFAST_BALENA_DEVICE_TYPE", value_name = "SLUG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_device_type: Option<String>,
    /// The config.json of a balena device, which says all of this [default: /mnt/boot/config.json, if it is there]
    #[arg(long, env = "HOLDFAST_BALENA_CONFIG", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_config: Option<PathBuf>,
    /// The certificate of the authority that signed the API's, PEM, beside those that the system trusts
    #[arg(long, env = "HOLDFAST_BALENA_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_ca: Option<PathBuf>,
    /// So much time is between two requests for the target state at least, and between two reports [default: 10]
    #[arg(long, env = "HOLDFAST_BALENA_SPACING", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balena_spacing: Option<u64>,
    /// The ledger and the originals [default: /var/lib/holdfast]
    #[arg(long, env = "HOLDFAST_STATE_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Paths of File resources are below this directory [default: /]
    #[arg(long, env = "HOLDFAST_ROOT", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Where the container engine listens: unix:///path or tcp://host:port [default: $DOCKER_HOST, then Docker's socket, then Podman's, then those of the user]
    #[arg(long, env = "HOLDFAST_DOCKER_HOST", value_name = "URI")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_host: Option<String>,
    /// The local API's socket [default: /run/holdfast/holdfast.sock]
    #[arg(long, env = "HOLDFAST_API_SOCKET", value_name = "PATH")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_socket: Option<PathBuf>,
    /// Everything is looked at so often, hints or none [default: 60]
    #[arg(long, env = "HOLDFAST_RESYNC", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resync: Option<u64>,
    /// A heartbeat is sent so often [default: 30]
    #[arg(long, env = "HOLDFAST_HEARTBEAT", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u64>,
    /// Another agent of this id must be silent for so long before this one takes over [default: 600]
    #[arg(long, env = "HOLDFAST_TAKEOVER_AFTER", value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover_after: Option<u64>,
    /// How logs are written [default: text]
    #[arg(long, env = "HOLDFAST_LOG_FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Which logs are written, such as `debug` or `info,async_nats=warn` [default: info,async_nats=warn]
    #[arg(long, env = "HOLDFAST_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

macro_rules! first {
    ($over:ident, $under:ident, $($field:ident),+ $(,)?) => {
        RunArgs { config: $over.config, print_config: $over.print_config, $($field: $over.$field.or($under.$field)),+ }
    };
}

impl RunArgs {
    /// With what the configuration file says where flags and environment say nothing.
    pub fn with_file(self) -> Result<Self, ConfigError> {
        let path = match &self.config {
            Some(path) => path.clone(),
            None if Path::new(DEFAULT_FILE).exists() => DEFAULT_FILE.into(),
            None => return Ok(self),
        };
        let text =
            fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        let file = toml::from_str(&text).map_err(|error| {
            let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            ConfigError::Parse { path, line, column, why: error.message().to_owned() }
        })?;
        Ok(self.over(file))
    }

    pub(super) fn over(self, under: Self) -> Self {
        first!(
            self,
            under,
            agent_id,
            source,
            nats_url,
            nats_creds,
            nats_ca,
            nats_cert,
            nats_key,
            nats_user,
            nats_password_file,
            nats_token_file,
            nats_nkey_file,
            nats_bucket,
            heartbeat_bucket,
            manifest,
            status_file,
            balena_api_endpoint,
            balena_uuid,
            balena_api_key,
            balena_provisioning_key,
            balena_fleet,
            balena_device_type,
            balena_config,
            balena_ca,
            balena_spacing,
            state_dir,
            root,
            docker_host,
            api_socket,
            resync,
            heartbeat,
            takeover_after,
            log_format,
            log,
        )
    }
}

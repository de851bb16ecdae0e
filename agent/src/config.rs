//! The configuration: flags, then the environment, then a TOML file, then defaults. One struct for all.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use manifest_types::{digest::Digest, keys, name::AgentId};
use reconcilers::engine::docker::Docker;
use serde::{Deserialize, Serialize};

use crate::{
    logging::LogFormat,
    nats::{NatsOptions, without_password},
    source::SourceKind,
};

pub mod services;

/// Read if it is there and no other file is named.
const DEFAULT_FILE: &str = "/etc/holdfast/holdfast.toml";
/// Where the local API is, unless configured otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdfast/holdfast.sock";

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

/// The configuration with everything decided.
#[derive(Debug, Clone)]
pub struct Config {
    /// This device.
    pub agent_id: AgentId,
    /// Where manifests come from.
    pub source: SourceKind,
    /// How NATS is reached.
    pub nats: NatsOptions,
    /// The bucket of manifests and statuses.
    pub bucket: String,
    /// The bucket of heartbeats.
    pub heartbeat_bucket: String,
    /// The file source's manifest, and its status.
    pub files: Option<(PathBuf, PathBuf)>,
    /// The ledger and the originals.
    pub state_dir: PathBuf,
    /// What File resources are below.
    pub root: PathBuf,
    /// Where container engines may listen, in this order.
    pub engine_places: Vec<String>,
    /// The local API's socket.
    pub api_socket: PathBuf,
    /// How often everything is looked at.
    pub resync: Duration,
    /// How often a heartbeat is sent.
    pub heartbeat: Duration,
    /// How long another agent of this id must be silent.
    pub takeover_after: Duration,
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written.
    pub log: String,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{} is no configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why, with the place.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// One flag needs another.
    #[error("{flag} needs {other}")]
    Needs {
        /// What was given.
        flag: &'static str,
        /// What is missing.
        other: &'static str,
    },
    /// There is nothing to derive the agent's id from.
    #[error("there is no /etc/machine-id to name this device by; name it with --agent-id")]
    NoMachineId,
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
        let file =
            toml::from_str(&text).map_err(|source| ConfigError::Parse { path, source: Box::new(source) })?;
        Ok(self.over(file))
    }

    fn over(self, under: Self) -> Self {
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

    /// With everything decided, as it can stand in a file.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        let config = self.clone().resolve()?;
        let files = config.files.clone();
        let full = Self {
            agent_id: Some(config.agent_id),
            source: Some(config.source),
            nats_url: Some(without_password(&config.nats.url)),
            nats_bucket: Some(config.bucket),
            heartbeat_bucket: Some(config.heartbeat_bucket),
            status_file: files.map(|(_, status)| status),
            state_dir: Some(config.state_dir),
            root: Some(config.root),
            api_socket: Some(config.api_socket),
            resync: Some(config.resync.as_secs()),
            heartbeat: Some(config.heartbeat.as_secs()),
            takeover_after: Some(config.takeover_after.as_secs()),
            log_format: Some(config.log_format),
            log: Some(config.log),
            ..self.clone()
        };
        Ok(toml::to_string(&full).expect("a configuration is plain TOML"))
    }

    /// Decides everything.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let agent_id = match self.agent_id {
            Some(agent_id) => agent_id,
            None => id_of_machine(&fs::read_to_string("/etc/machine-id").unwrap_or_default())?,
        };
        let source = self.source.unwrap_or_default();
        let files = match (source, self.manifest) {
            (SourceKind::File, None) => {
                return Err(ConfigError::Needs { flag: "--source file", other: "--manifest" });
            }
            (SourceKind::File, Some(manifest)) => {
                let status = self.status_file.unwrap_or_else(|| beside(&manifest));
                Some((manifest, status))
            }
            (SourceKind::Nats, _) => None,
        };
        let identity = both(self.nats_cert, self.nats_key, "--nats-cert", "--nats-key")?;
        let user = both(self.nats_user, self.nats_password_file, "--nats-user", "--nats-password-file")?;
        Ok(Config {
            nats: NatsOptions {
                url: self.nats_url.unwrap_or_else(|| "nats://127.0.0.1:4222".into()),
                creds: self.nats_creds,
                ca: self.nats_ca,
                identity,
                user,
                token: self.nats_token_file,
                nkey: self.nats_nkey_file,
                name: format!("holdfast {agent_id}"),
            },
            agent_id,
            source,
            bucket: self.nats_bucket.unwrap_or_else(|| keys::FLEET_BUCKET.into()),
            heartbeat_bucket: self.heartbeat_bucket.unwrap_or_else(|| keys::HEARTBEAT_BUCKET.into()),
            files,
            state_dir: self.state_dir.unwrap_or_else(|| "/var/lib/holdfast".into()),
            root: self.root.unwrap_or_else(|| "/".into()),
            engine_places: Docker::usual_places(
                self.docker_host.or_else(|| environment("DOCKER_HOST")),
                environment("XDG_RUNTIME_DIR").as_deref(),
            ),
            api_socket: self.api_socket.unwrap_or_else(|| DEFAULT_SOCKET.into()),
            resync: Duration::from_secs(self.resync.unwrap_or(60)),
            heartbeat: Duration::from_secs(self.heartbeat.unwrap_or(30)),
            takeover_after: Duration::from_secs(self.takeover_after.unwrap_or(600)),
            log_format: self.log_format.unwrap_or_default(),
            log: self.log.unwrap_or_else(|| "info,async_nats=warn".into()),
        })
    }
}

/// What engines' own programs are told by.
#[expect(clippy::disallowed_methods, reason = "this is the configuration")]
fn environment(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|value| !value.is_empty())
}

fn both<A, B>(
    one: Option<A>,
    other: Option<B>,
    one_flag: &'static str,
    other_flag: &'static str,
) -> Result<Option<(A, B)>, ConfigError> {
    match (one, other) {
        (None, None) => Ok(None),
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (Some(_), None) => Err(ConfigError::Needs { flag: one_flag, other: other_flag }),
        (None, Some(_)) => Err(ConfigError::Needs { flag: other_flag, other: one_flag }),
    }
}

fn beside(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".status.json");
    name.into()
}

/// The machine id itself is confidential (machine-id(5)); what is derived from it is not.
fn id_of_machine(machine_id: &str) -> Result<AgentId, ConfigError> {
    let machine_id = machine_id.trim();
    if machine_id.is_empty() {
        return Err(ConfigError::NoMachineId);
    }
    let derived = Digest::of(format!("holdfast agent id of {machine_id}").as_bytes()).short();
    Ok(format!("device-{derived}").parse().expect("hex digits make a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_before_the_file() {
        let file: RunArgs =
            toml::from_str("agent-id = \"a\"\nresync = 5\nsource = \"file\"\nmanifest = \"/m.yaml\"")
                .unwrap();
        let flags = RunArgs { agent_id: Some("b".parse().unwrap()), ..RunArgs::default() };
        let config = flags.over(file).resolve().unwrap();
        assert_eq!((config.agent_id.as_str(), config.resync.as_secs()), ("b", 5));
        assert_eq!(config.files.unwrap().1, Path::new("/m.yaml.status.json"));
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let args = RunArgs {
            agent_id: Some("b".parse().unwrap()),
            nats_url: Some("nats://u:secret@h:1,nats://i".into()),
            ..RunArgs::default()
        };
        let text = args.to_toml().unwrap();
        assert!(!text.contains("secret"), "{text}");
        let again: RunArgs = toml::from_str(&text).unwrap();
        assert_eq!(again.to_toml().unwrap(), text);
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(toml::from_str::<RunArgs>("agentid = \"a\"").is_err());
        let told = |args: RunArgs| args.resolve().unwrap_err().to_string();
        let id = || Some("a".parse().unwrap());
        assert_eq!(
            told(RunArgs { agent_id: id(), source: Some(SourceKind::File), ..RunArgs::default() }),
            "--source file needs --manifest"
        );
        assert_eq!(
            told(RunArgs { agent_id: id(), nats_key: Some("/k".into()), ..RunArgs::default() }),
            "--nats-key needs --nats-cert"
        );
    }

    #[test]
    fn a_device_is_named_by_its_machine_id() {
        let id = id_of_machine("0123456789abcdef0123456789abcdef\n").unwrap();
        assert!(id.as_str().starts_with("device-") && id.as_str().len() == 19, "{id}");
        assert!(id_of_machine("").is_err());
    }
}

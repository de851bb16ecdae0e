//! The configuration: flags, then the environment, then a TOML file, then defaults. One struct for all.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use manifest_types::{digest::Digest, keys, name::AgentId};
use reconcilers::engine::docker::Docker;

use crate::{
    logging::LogFormat,
    nats::{NatsOptions, without_password},
    source::{
        SourceKind,
        balena::options::{CONFIG_JSON, Options},
    },
};

mod args;
pub mod services;

pub use args::RunArgs;

/// Read if it is there and no other file is named.
const DEFAULT_FILE: &str = "/etc/holdfast/holdfast.toml";
/// Where the local API is, unless configured otherwise.
pub const DEFAULT_SOCKET: &str = "/run/holdfast/holdfast.sock";

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
    /// How the balena source reaches its API.
    pub balena: Option<Options>,
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
    #[error("{} is no configuration: line {line}, column {column}: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// Why, without the line itself: it may hold a key.
        why: String,
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

impl RunArgs {
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
            // Keys are for those who ask for nothing else.
            balena_api_key: None,
            balena_provisioning_key: None,
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
            (SourceKind::Nats | SourceKind::Balena, _) => None,
        };
        let root = self.root.unwrap_or_else(|| "/".into());
        let state_dir = self.state_dir.unwrap_or_else(|| "/var/lib/holdfast".into());
        let engine_places = Docker::usual_places(
            self.docker_host.or_else(|| environment("DOCKER_HOST")),
            environment("XDG_RUNTIME_DIR").as_deref(),
        );
        let balena = Options {
            api_endpoint: self.balena_api_endpoint,
            uuid: self.balena_uuid,
            api_key: self.balena_api_key,
            provisioning_key: self.balena_provisioning_key,
            fleet: self.balena_fleet,
            device_type: self.balena_device_type,
            config: (
                self.balena_config.clone().unwrap_or_else(|| CONFIG_JSON.into()),
                self.balena_config.is_some(),
            ),
            ca: self.balena_ca,
            spacing: Duration::from_secs(self.balena_spacing.unwrap_or(10)),
            dir: state_dir.join("balena"),
            root: root.clone(),
            engine_places: engine_places.clone(),
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
            balena: (source == SourceKind::Balena).then_some(balena),
            state_dir,
            root,
            engine_places,
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

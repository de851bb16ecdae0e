//! What an engine tells of itself and of what it holds.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use jiff::Timestamp;
use manifest_types::{
    kinds::{
        container::{ContainerSpec, Limits, RestartPolicy},
        container_network::Pool,
        engine::Texts,
    },
    status::Capability,
};

use super::shape::Shape;

/// What an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker` or `podman`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the API that is spoken with it.
    pub api_version: String,
    /// Where its data is on this device, if it says so.
    pub data_dir: Option<String>,
    /// Whether it says that it is about to start a container again, between an end and the start.
    pub announces_restarts: bool,
    /// Whether it may keep the name of a container that it does not know any more.
    pub leaves_names: bool,
}

impl EngineInfo {
    /// As the status shows it.
    pub fn capability(&self) -> Capability {
        Capability {
            name: self.name.clone(),
            version: self.version.clone(),
            api_version: Some(self.api_version.clone()),
        }
    }
}

/// Which part of what a container prints is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printed {
    /// No more than so many lines of what there is.
    pub last: Option<u32>,
    /// Nothing that is older.
    pub since: Option<Timestamp>,
    /// Also what it prints from now on, until it ends.
    pub follow: bool,
}

/// A line that a container has printed, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was printed, by the engine's clock: Podman tells whole seconds.
    pub at: Option<Timestamp>,
    /// The line, with its end.
    pub bytes: Bytes,
}

/// What the list of containers says of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The id of its image.
    pub image_id: String,
    /// What it does.
    pub activity: Activity,
    /// What its healthcheck says, as far as the list tells.
    pub healthcheck: Option<Checked>,
    /// Its labels.
    pub labels: Texts,
    /// The names of the networks that it is in.
    pub networks: Vec<String>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activity {
    /// It was made and never started.
    Created,
    /// It runs.
    Running,
    /// It is held still.
    Paused,
    /// It has ended, and the engine is about to start it again.
    Restarting,
    /// It is on its way out.
    Removing,
    /// It has ended.
    Exited,
    /// The engine could not get rid of it, or says something that this build does not know.
    Dead,
}

impl Activity {
    /// What an engine's word means. Podman says `stopped` where Docker says `exited`, and has words of its own on the way.
    pub fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "created" | "configured" | "initialized" => Self::Created,
            "running" | "stopping" => Self::Running,
            "paused" => Self::Paused,
            "restarting" => Self::Restarting,
            "removing" => Self::Removing,
            "exited" | "stopped" => Self::Exited,
            _ => Self::Dead,
        }
    }

    /// Whether its processes are there.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        })
    }
}

/// What a healthcheck says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Checked {
    /// Nothing yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

/// A container, with all that it is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image, as it was named when the container was made.
    pub image: String,
    /// The id of its image.
    pub image_id: String,
    /// Its labels, those of its image and ours included.
    pub labels: Texts,
    /// How it fares.
    pub state: State,
    /// Its settings.
    pub shape: Shape,
    /// Its addresses, by network.
    pub addresses: BTreeMap<String, Vec<String>>,
}

/// How a container fares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What it does.
    pub activity: Activity,
    /// What its healthcheck says.
    pub healthcheck: Option<Checked>,
    /// With what it last ended; 0 if it never has.
    pub exit_code: i64,
    /// Whether it last ended because it used too much memory.
    pub oom_killed: bool,
    /// Why it could not be started, in the engine's words.
    pub error: String,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    pub finished_at: Option<Timestamp>,
    /// How often the engine has started it again.
    pub restarts: u64,
    /// Whether it ended because this agent has stopped it, which no engine knows: it was in the middle of its work.
    pub is_halted: bool,
}

impl State {
    /// Of one that does this, and of which nothing else is to be told.
    pub fn of(activity: Activity) -> Self {
        Self {
            activity,
            healthcheck: None,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            started_at: None,
            finished_at: None,
            restarts: 0,
            is_halted: false,
        }
    }
}

/// What can be changed of a container while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjustment {
    /// What it may use.
    pub limits: Limits,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// How often at most.
    pub max_restarts: Option<u32>,
}

impl Adjustment {
    /// What a spec wants of it.
    pub fn of(spec: &ContainerSpec) -> Self {
        let (restart_policy, max_restarts) = spec.wanted_restarts();
        Self { limits: spec.resources.clone(), restart_policy, max_restarts }
    }
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its id: the digest of its configuration.
    pub id: String,
    /// The digests by which registries know it, each after `@`.
    pub digests: Vec<String>,
    /// The labels that it gives its containers.
    pub labels: Texts,
    /// Its size in bytes.
    pub size: u64,
}

/// What the list of images says of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its id.
    pub id: String,
    /// The references in full that stand for it: by tag, and by digest where it was pulled so.
    pub names: Vec<String>,
}

/// Who asks a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The registry.
    pub registry: String,
    /// The user; without one, the secret is a token that says who it is.
    pub user: Option<String>,
    /// The password, or the token.
    pub secret: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a login at {}", self.registry)
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What keeps it.
    pub driver: String,
    /// The driver's options.
    pub options: Texts,
    /// Its labels.
    pub labels: Texts,
    /// Where its content is on the device, if the driver says so.
    pub mountpoint: Option<String>,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Network {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What makes it.
    pub driver: String,
    /// The driver's options.
    pub options: Texts,
    /// Whether it leads nowhere but to its own containers.
    pub internal: bool,
    /// Whether it has IPv6 addresses, too.
    pub ipv6: bool,
    /// What gives addresses.
    pub ipam_driver: String,
    /// The options of what gives addresses.
    pub ipam_options: Texts,
    /// The addresses there are.
    pub pools: Vec<Pool>,
    /// Its labels.
    pub labels: Texts,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// When, in nanoseconds since 1970 by the engine's clock.
    pub at: i64,
    /// To what.
    pub subject: Subject,
    /// How a container has ended, if that is what happened.
    pub end: Option<End>,
}

/// What an engine tells of a container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It ended, with this code.
    Code(i64),
    /// One of its programs was killed for want of memory: told shortly before or after the end, if that was it.
    OutOfMemory,
}

/// What something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A container: its id, and its name at that time.
    Container {
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// An image, or what a reference stands for.
    Image,
    /// The volume of this name.
    Volume(String),
    /// The network of this name; and a container that came into it or left it.
    Network {
        /// Its name.
        name: String,
        /// The container's id.
        container: Option<String>,
    },
}

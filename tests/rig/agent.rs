//! The agent as it is shipped, with a state directory, a root and a socket of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use manifest_types::{
    name::AgentId,
    status::{AgentStatus, ConditionStatus},
};
use tempfile::TempDir;

use crate::{
    fleet::Fleet,
    nats::NatsServer,
    parts,
    running::{Running, Start},
    until::until_some,
};

/// A device: where an agent keeps and does things, whichever process it is at the time.
#[derive(Debug)]
pub struct Device {
    /// The agent's id.
    pub id: AgentId,
    home: TempDir,
    flags: Vec<String>,
}

/// So long a device may take for anything; far longer than it does.
pub const LONG: Duration = Duration::from_secs(60);

impl Device {
    /// A device whose agent reads from `server`.
    pub fn new(server: &NatsServer, id: &str) -> Self {
        Self::with_flags(id, &["--nats-url", &server.url()])
    }

    /// A device whose agent is started with `flags`.
    pub fn with_flags(id: &str, flags: &[&str]) -> Self {
        let home = TempDir::new().expect("there is a folder for temporary files");
        fs::create_dir(home.path().join("root")).expect("the folder is ours");
        let id = id.parse().expect("a test names its device well");
        Self { id, home, flags: flags.iter().map(|flag| (*flag).to_owned()).collect() }
    }

    /// A device whose agent asks the API at `endpoint`, as `who`, as often as it likes, and has the engine at `place`.
    pub fn of_balena(id: &str, endpoint: &str, place: &str, who: &[&str]) -> Self {
        let source = ["--source", "balena", "--balena-api-endpoint", endpoint, "--balena-spacing", "1"];
        Self::with_flags(id, &[&source, who, &["--docker-host", place]].concat())
    }

    /// One that registers itself in a fleet.
    pub fn new_of_balena(id: &str, endpoint: &str, place: &str, key: &str, fleet: u64) -> Self {
        let fleet = fleet.to_string();
        let kind = ["--balena-fleet", &fleet, "--balena-device-type", "genericx86-64-ext"];
        Self::of_balena(id, endpoint, place, &[&["--balena-provisioning-key", key], kind.as_slice()].concat())
    }

    /// What the device's paths are below.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("root")
    }

    /// Where the agent keeps its ledger.
    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The local API's socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("api.sock")
    }

    /// A folder beside all of that.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The real place of one of the device's paths.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// What a file of the device holds.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    /// Starts the agent.
    pub fn start(&self) -> Running {
        self.command().start()
    }

    /// Starts the agent with no logs but warnings: for what is measured.
    pub fn start_quietly(&self) -> Running {
        self.command().env("HOLDFAST_LOG", "warn").start()
    }

    /// The agent's command line, to be added to.
    pub fn command(&self) -> Start {
        self.command_in(&self.state_dir(), &self.socket())
    }

    /// The agent's command line with another state directory and socket: a second agent of the same id.
    pub fn command_in(&self, state_dir: &Path, socket: &Path) -> Start {
        self.words_in(&["run"], state_dir, socket)
    }

    /// One of the binary's other subcommands that is configured as the agent is.
    pub fn command_of(&self, words: &[&str]) -> Start {
        self.words_in(words, &self.state_dir(), &self.socket())
    }

    fn words_in(&self, words: &[&str], state_dir: &Path, socket: &Path) -> Start {
        Start::new(format!("holdfast {}", self.id), parts::holdfast())
            .args(words)
            .args(["--agent-id", self.id.as_str()])
            .env("HOLDFAST_LOG", "debug,async_nats=info")
            .arg("--root")
            .arg(self.root())
            .arg("--state-dir")
            .arg(state_dir)
            .arg("--api-socket")
            .arg(socket)
            .args(&self.flags)
    }

    /// One of the binary's other subcommands, speaking to this device's agent.
    pub fn ask<A: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Start {
        Start::new("holdfast", parts::holdfast()).arg("--api-socket").arg(self.socket()).args(arguments)
    }

    /// Waits until the device reports that all of `generation` is Ready.
    pub async fn ready(&self, fleet: &Fleet, generation: u64) -> AgentStatus {
        self.status(fleet, format!("generation {generation} Ready"), |status| is_ready(status, generation))
            .await
    }

    /// The same, while a server may be away for some time.
    pub async fn ready_at_last(&self, fleet: &Fleet, generation: u64) -> AgentStatus {
        until_some(format!("generation {generation} Ready"), LONG, async || {
            let status = fleet.try_status(&self.id).await?;
            Some(status).filter(|status| is_ready(status, generation))
        })
        .await
    }

    /// Waits for a status in which `is` holds.
    pub async fn status(
        &self,
        fleet: &Fleet,
        what: String,
        is: impl Fn(&AgentStatus) -> bool,
    ) -> AgentStatus {
        until_some(what, LONG, async || fleet.try_status(&self.id).await.filter(&is)).await
    }
}

/// Whether a status says that all of `generation` is Ready.
pub fn is_ready(status: &AgentStatus, generation: u64) -> bool {
    let ready = status.condition("Ready");
    ready
        .is_some_and(|ready| ready.status == ConditionStatus::True && ready.observed_generation == generation)
}

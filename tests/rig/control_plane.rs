//! The control plane's command line, as a person uses it.

use std::{ffi::OsStr, fs, time::Duration};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{
    nats::NatsServer,
    parts,
    running::{Running, Start},
};

/// No command takes longer, unless it is told to wait.
const LIMIT: Duration = Duration::from_secs(60);

/// The control plane's binary, told which server to use.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    url: String,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// Its errors.
    pub stderr: String,
}

impl ControlPlane {
    /// For that server.
    pub fn new(server: &NatsServer) -> Self {
        Self { url: server.url() }
    }

    /// Starts a command and leaves it running.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        self.command(arguments).start()
    }

    /// Runs a command to its end.
    pub async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        ended(self.start(arguments)).await
    }

    /// Runs a command with `input` at its standard input.
    pub async fn run_with<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Ran {
        let file = NamedTempFile::new().expect("a temporary file can be made");
        fs::write(file.path(), input).expect("and written");
        let input = fs::File::open(file.path()).expect("and read");
        ended(self.command(arguments).input(input).start()).await
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Start {
        Start::new("control-plane-sim", parts::control_plane()).env("NATS_URL", &self.url).args(arguments)
    }
}

async fn ended(mut running: Running) -> Ran {
    let code = running.wait(LIMIT).await.code();
    Ran { code, stdout: running.stdout(), stderr: running.stderr() }
}

impl Ran {
    /// What it printed; panics unless it succeeded.
    pub fn printed(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// What it printed, as JSON; panics unless it succeeded.
    pub fn json(self) -> Value {
        let printed = self.printed();
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Its errors; panics unless it failed with that code.
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        self.stderr
    }
}

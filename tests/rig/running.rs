//! A process that lives no longer than its test.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::until::until_some;

/// So many of its last lines are shown when the test fails.
const SHOWN: usize = 60;

/// A process, killed when this is dropped. What it prints is kept, and shown when the test fails.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    ended: Option<ExitStatus>,
    output: TempDir,
}

/// What a process is to be started as.
#[derive(Debug)]
pub struct Start {
    name: String,
    command: Command,
}

impl Start {
    /// The program at `program`; `name` is what the test's output calls it.
    #[expect(clippy::disallowed_methods, reason = "the rig's one seam to other programs")]
    pub fn new(name: impl Into<String>, program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { name: name.into(), command }
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes an environment variable away.
    #[must_use]
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The folder in which it runs.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Its standard input, instead of an empty one.
    #[must_use]
    pub fn input(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// The same, started by another program, which becomes it: `arguments` and then this command line are that one's arguments.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the rig's one seam to other programs")]
    pub fn by<A: AsRef<OsStr>>(
        self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        Self { name: self.name, command }
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let output = TempDir::new().expect("a temporary folder can be made");
        let file = |name| File::create(output.path().join(name)).expect("a file in it, too");
        self.command.stdout(file("stdout")).stderr(file("stderr"));
        let child =
            self.command.spawn().unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.command));
        Running { name: self.name, child, ended: None, output }
    }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("an own child can be waited for");
        }
        self.ended
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Sends it a signal. One that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let pid = Pid::from_raw(self.pid().try_into().expect("a process id is a small number"));
            kill(pid, signal).expect("an own child that was not waited for can be signalled");
        }
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) -> ExitStatus {
        if let Some(ended) = self.ended() {
            return ended;
        }
        // It may end between the two; then there is nothing to kill.
        let _ = self.child.kill();
        self.finish()
    }

    /// Waits, without a limit, until it ends by itself.
    pub fn finish(&mut self) -> ExitStatus {
        if let Some(ended) = self.ended() {
            return ended;
        }
        let ended = self.child.wait().expect("an own child can be waited for");
        *self.ended.insert(ended)
    }

    /// Asks it to end (SIGTERM), and waits until it has. Panics if it has not after `limit`.
    pub async fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(limit).await
    }

    /// Waits until it ends by itself. Panics if it has not after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until_some(what, limit, async || self.ended()).await
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.printed("stdout")
    }

    /// What it has told so far: its errors and its log.
    pub fn stderr(&self) -> String {
        self.printed("stderr")
    }

    fn printed(&self, file: &str) -> String {
        let bytes = fs::read(self.output.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = self.ended();
        self.kill();
        if !thread::panicking() {
            return;
        }
        let how = match ended {
            None => "still ran".to_owned(),
            Some(ended) => {
                ended.signal().map_or_else(|| ended.to_string(), |signal| format!("ended by signal {signal}"))
            }
        };
        eprintln!("--- {} (process {}) {how}; the end of what it told:", self.name, self.pid());
        for file in ["stdout", "stderr"] {
            let printed = self.printed(file);
            let lines: Vec<_> = printed.lines().collect();
            lines[lines.len().saturating_sub(SHOWN)..].iter().for_each(|line| eprintln!("{file}| {line}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Running {
        Start::new("a shell", "/bin/sh").args(["-c", script]).start()
    }

    #[tokio::test]
    async fn what_it_prints_is_kept() {
        let mut echo = shell("echo out; echo err >&2; exit 3");
        assert_eq!(echo.wait(SOON).await.code(), Some(3));
        assert_eq!((echo.stdout().as_str(), echo.stderr().as_str()), ("out\n", "err\n"));
        assert!(!echo.is_running());
        assert_eq!(echo.kill().code(), Some(3), "the dead are not killed");
    }

    #[tokio::test]
    async fn it_ends_as_it_is_told() {
        let mut sleeper = shell("exec sleep 1000");
        assert!(sleeper.is_running());
        assert_eq!(sleeper.stop(SOON).await.signal(), Some(15));
        assert_eq!(shell("exec sleep 1000").kill().signal(), Some(9));
    }

    #[test]
    fn it_does_not_outlive_its_owner() {
        let sleeper = shell("exec sleep 1000");
        let own = Path::new("/proc").join(sleeper.pid().to_string());
        assert!(own.exists());
        drop(sleeper);
        assert!(!own.exists());
    }
}

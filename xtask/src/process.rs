//! The one seam to other programs: what is run is printed, and what failed is told with how to repeat it.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// A program with its arguments.
pub(crate) struct Program {
    command: Command,
    set: Vec<(OsString, OsString)>,
}

impl Program {
    /// The program of that name or path.
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command, set: Vec::new() }
    }

    /// Cargo, in the workspace.
    pub(crate) fn cargo() -> Self {
        let mut cargo = Self::new("cargo");
        cargo.command.current_dir(workspace());
        cargo
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// More arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(&name, &value);
        self.set.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The folder in which it runs.
    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it with its output shown; anything but success is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("$ {self}");
        let status = self.command.status().with_context(|| format!("cannot start {self}"))?;
        if !status.success() {
            bail!("{self} failed: {status}");
        }
        Ok(())
    }

    /// Runs it and takes its standard output; its errors are shown.
    pub(crate) fn output(self) -> Result<String> {
        eprintln!("$ {self}");
        self.quiet_output()
    }

    /// The same, without telling that it is run: for what is run again and again.
    pub(crate) fn quiet_output(mut self) -> Result<String> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot start {self}"))?;
        if !output.status.success() {
            bail!("{self} failed: {}", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("{self} printed no text"))
    }

    /// Starts it in the background; what it prints goes to the file `log`. It is ended when what is returned is dropped.
    pub(crate) fn start(mut self, log: &Path) -> Result<Background> {
        eprintln!("$ {self} &");
        let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let errors = file.try_clone().with_context(|| format!("cannot use {}", log.display()))?;
        let child = self.command.stdout(file).stderr(errors).spawn();
        Ok(Background { child: child.with_context(|| format!("cannot start {self}"))? })
    }

    /// Starts it in the background with its output shown. It is ended when what is returned is dropped.
    pub(crate) fn start_shown(mut self) -> Result<Background> {
        eprintln!("$ {self} &");
        let child = self.command.spawn();
        Ok(Background { child: child.with_context(|| format!("cannot start {self}"))? })
    }

    /// Whether it is there, can be run and succeeds; nothing is shown. For a question, not for a task.
    pub(crate) fn succeeds(mut self) -> bool {
        let status = self.command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

/// A program in the background, ended by its own process id when this is dropped.
pub(crate) struct Background {
    child: Child,
}

impl Background {
    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }
}

impl Background {
    /// Asks it to end, and waits until it has: for what must clear up after itself.
    pub(crate) fn end(&mut self) {
        let asked = Program::new("kill").arg(self.child.id().to_string()).succeeds();
        if asked {
            drop(self.child.wait());
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.set {
            write!(f, "{}={} ", name.display(), value.display())?;
        }
        write!(f, "{}", self.command.get_program().display())?;
        self.command.get_args().try_for_each(|argument| write!(f, " {}", argument.display()))
    }
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask stands in the workspace").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_one_would_type_it() {
        let program = Program::new("cargo").args(["test", "-p"]).arg("e2e").env("A", "b");
        assert_eq!(program.to_string(), "A=b cargo test -p e2e");
    }

    #[test]
    fn a_failure_is_told_with_its_command() {
        let error = Program::new("sh").args(["-c", "exit 3"]).run().unwrap_err();
        assert_eq!(error.to_string(), "sh -c exit 3 failed: exit status: 3");
        assert!(!Program::new("no-such-program").succeeds());
        assert!(!Program::new("false").succeeds());
        assert_eq!(Program::new("echo").arg("x").output().unwrap(), "x\n");
    }
}

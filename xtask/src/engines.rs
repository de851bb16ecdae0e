//! Container engines for the tests, of their own: neither touches what the machine's engines hold.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::process::{Background, Program};

/// The image that both engines have.
pub(crate) const IMAGE: &str = "localhost/holdfast/busybox:1";
/// What Podman is told: without systemd there is nobody who manages cgroups or keeps a journal, and without all rights limits cannot be raised.
const PODMAN: &str = r#"[containers]
default_ulimits = ["nproc=1024:1024", "nofile=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"#;
/// The ports of the tests' registries: Podman must be told which it may speak with in the clear, as Docker does with any on this machine.
const REGISTRIES: std::ops::Range<u16> = 15_400..15_440;
/// How often an engine is asked whether it is there.
const ASKED: u32 = 300;

/// Docker and Podman, ended and cleared away when this is dropped.
pub(crate) struct Engines {
    folder: PathBuf,
    docker: Option<Background>,
    podman: Option<Background>,
}

impl Engines {
    /// Starts both, and gives them an image.
    pub(crate) fn start() -> Result<Self> {
        // Sockets have short paths.
        let folder = env::temp_dir().join(format!("holdfast-engines-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut engines = Self { folder, docker: None, podman: None };
        engines.docker = Some(engines.dockerd().start(&engines.folder.join("docker.log"))?);
        fs::write(engines.folder.join("containers.conf"), PODMAN)?;
        let registry = |port| format!("[[registry]]\nlocation = \"127.0.0.1:{port}\"\ninsecure = true\n");
        fs::write(engines.folder.join("registries.conf"), REGISTRIES.map(registry).collect::<String>())?;
        let service = engines.podman(["system", "service", "--time=0", &engines.address("podman")]);
        engines.podman = Some(service.start(&engines.folder.join("podman.log"))?);
        engines.await_answers()?;
        let image = image(&engines.folder)?;
        engines
            .docker(["import", "--change", "CMD [\"sleep\", \"10000\"]"])
            .args([&image])
            .arg(IMAGE)
            .run()?;
        engines
            .podman(["import", "--change", "CMD [\"sleep\", \"10000\"]"])
            .args([&image])
            .arg(IMAGE)
            .run()?;
        Ok(engines)
    }

    /// Where an engine listens.
    pub(crate) fn address(&self, engine: &str) -> String {
        format!("unix://{}", self.folder.join(format!("{engine}.sock")).display())
    }

    fn dockerd(&self) -> Program {
        let mut dockerd =
            Program::new("dockerd").args(["--host", &self.address("docker"), "--shutdown-timeout", "2"]);
        for (flag, name) in
            [("--data-root", "docker"), ("--exec-root", "docker-run"), ("--pidfile", "docker.pid")]
        {
            dockerd = dockerd.arg(flag).arg(self.folder.join(name));
        }
        dockerd
    }

    pub(crate) fn docker<const N: usize>(&self, arguments: [&str; N]) -> Program {
        Program::new("docker").args(["--host", &self.address("docker")]).args(arguments)
    }

    fn podman<const N: usize>(&self, arguments: [&str; N]) -> Program {
        // What keeps watch over containers writes where it was started.
        let podman = Program::new("podman")
            .current_dir(&self.folder)
            .env("CONTAINERS_CONF", self.folder.join("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.folder.join("registries.conf"));
        let [root, run] = ["podman", "podman-run"].map(|name| self.folder.join(name));
        podman
            .arg("--root")
            .arg(root)
            .arg("--runroot")
            .arg(run)
            .arg("--network-config-dir")
            .arg(self.folder.join("podman-networks"))
            .args(arguments)
    }

    fn await_answers(&mut self) -> Result<()> {
        for engine in ["docker", "podman"] {
            let address = self.address(engine);
            let answers = || Program::new("docker").args(["--host", &address, "version"]).succeeds();
            let mut asked = 0;
            while !answers() {
                asked += 1;
                let background = if engine == "docker" { &mut self.docker } else { &mut self.podman };
                let runs = background.as_mut().is_some_and(Background::is_running);
                if asked > ASKED || !runs {
                    let log = self.folder.join(format!("{engine}.log"));
                    let told = fs::read_to_string(&log).unwrap_or_default();
                    let tail: Vec<_> = told.lines().rev().take(20).collect();
                    bail!(
                        "{engine} does not start; the end of what it told:\n{}",
                        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                    );
                }
                pause(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    /// Each program that was run in a container has a keeper of its own, which stays for minutes and knows its folder by name.
    fn end_keepers(&self) {
        let folder = self.folder.to_string_lossy().into_owned();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let named = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let is_keeper = String::from_utf8_lossy(&named).contains(&format!("{folder}/"));
            if is_keeper && process.file_name().to_string_lossy().parse::<u32>().is_ok() {
                let _ = Program::new("kill").arg("-KILL").arg(process.file_name()).succeeds();
            }
        }
    }

    fn clear(&self, folder: &Path) -> Result<()> {
        // What engines have mounted is in the way: storage, shared memory, and the network of containers that have the host's.
        for mounted in mounted_below(&fs::read_to_string("/proc/self/mounts").unwrap_or_default(), folder) {
            let _ = Program::new("umount").arg("--lazy").arg(mounted).succeeds();
        }
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        for (engine, background) in [("docker", &mut self.docker), ("podman", &mut self.podman)] {
            let Some(mut background) = background.take() else { continue };
            let address = format!("unix://{}", self.folder.join(format!("{engine}.sock")).display());
            let docker = format!("docker --host {address}");
            let containers =
                format!("{docker} ps --all --quiet | xargs --no-run-if-empty {docker} rm --force");
            // Bridges and, for Podman, their configuration outlive the engine.
            let clear =
                format!("{containers}; {docker} network prune --force; {docker} volume prune --force");
            let _ = Program::new("sh").args(["-c", &clear]).succeeds();
            background.end();
        }
        self.end_keepers();
        if let Err(error) = self.clear(&self.folder) {
            eprintln!("{error:#}");
        }
    }
}

/// Where something is mounted below a folder, what is below another before that.
fn mounted_below(mounts: &str, folder: &Path) -> Vec<PathBuf> {
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    let mut below: Vec<_> = places.filter(|place| place.starts_with(folder)).collect();
    below.sort();
    below.reverse();
    below
}

/// A file system with a shell and little else, as an archive in `folder`.
pub(crate) fn image(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("image");
    let bin = root.join("bin");
    for folder in ["bin", "etc", "tmp", "srv", "data"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    let busybox = Program::new("sh").args(["-c", "command -v busybox"]).output()?;
    fs::copy(busybox.trim(), bin.join("busybox")).context("cannot copy busybox")?;
    for name in Program::new("busybox").arg("--list").quiet_output()?.lines() {
        if name != "busybox" {
            symlink("busybox", bin.join(name)).with_context(|| format!("cannot link {name}"))?;
        }
    }
    let archive = folder.join("image.tar");
    Program::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").run()?;
    Ok(archive)
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits between questions to another process, which cannot tell that it is ready"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_what_is_mounted_goes_first() {
        let mounts = "overlay / overlay rw 0 0\nnsfs /tmp/e-1/run/netns/default nsfs rw 0 0\next4 /tmp/e-1/run ext4 rw 0 0\nnsfs /tmp/e-12/run nsfs rw 0 0\n";
        let below = mounted_below(mounts, Path::new("/tmp/e-1"));
        assert_eq!(below, [PathBuf::from("/tmp/e-1/run/netns/default"), PathBuf::from("/tmp/e-1/run")]);
    }
}

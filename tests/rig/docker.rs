//! A Docker engine of one's own, to be stopped and started: in a network namespace of its own, since all engines of a machine share its bridge.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::{
    disk::SmallDisk,
    running::{Running, Start},
    until::until,
};

/// So long an engine may take to start or to stop.
const ENGINE: Duration = Duration::from_secs(60);

/// In a network of its own, a program can at least speak with what is there, too.
const ALONE: &str = r#"ip link set lo up && exec "$@""#;

/// An engine, ended when this is dropped.
#[derive(Debug)]
pub struct DockerEngine {
    home: TempDir,
    /// The size of the disk for its data, where that is one of its own.
    disk: Option<String>,
    running: Option<Running>,
}

impl DockerEngine {
    /// An engine that does not run yet.
    pub fn new() -> Self {
        let home = TempDir::new().expect("there is a folder for temporary files");
        Self { home, disk: None, running: None }
    }

    /// The same, with its data on a disk of so many mebibytes.
    pub fn with_disk(mebibytes: u64) -> Self {
        let mut engine = Self::new();
        engine.disk = Some(format!("size={mebibytes}m"));
        engine
    }

    /// Starts something that sees the engine's disk.
    pub fn start_at_disk(&self, start: Start) -> Running {
        self.start_in("--mount", start)
    }

    /// Starts something that the engine meets on its own network.
    pub fn start_in_network(&self, start: Start) -> Running {
        self.start_in("--net", start)
    }

    fn start_in(&self, namespace: &str, start: Start) -> Running {
        let engine = self.running.as_ref().expect("the engine was started").pid().to_string();
        start.by("nsenter", ["--target", &engine, namespace, "--wdns=/", "--"]).start()
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        // What a killed one has left would keep the next from starting.
        let _ = fs::remove_file(self.path("docker.pid"));
        let mut dockerd = Start::new("dockerd", "dockerd").args([
            "--bridge",
            "none",
            "--iptables=false",
            "--shutdown-timeout",
            "2",
            "--host",
            &self.address(),
        ]);
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "run"), ("--pidfile", "docker.pid")] {
            dockerd = dockerd.arg(flag).arg(self.path(name));
        }
        // An engine without a bridge takes away the bridge of all others.
        let dockerd = dockerd.by("unshare", ["--net", "sh", "-c", ALONE, "sh"]);
        self.running = Some(match &self.disk {
            None => dockerd.start(),
            Some(options) => {
                let data = self.path("data");
                fs::create_dir_all(&data).expect("the folder is ours");
                SmallDisk::start(dockerd, &data, options).running
            }
        });
        until("the engine answers", ENGINE, async || self.docker(["version"]).await).await;
    }

    /// Gives it the image that another engine has.
    pub async fn copy_image(&self, from: &str, image: &str) {
        give_image(from, image, &self.address(), &self.path("image.tar")).await;
    }

    /// Runs Docker's own command line against it; whether that succeeds.
    pub async fn docker<const N: usize>(&self, arguments: [&str; N]) -> bool {
        let mut docker =
            Start::new("docker", "docker").args(["--host", &self.address()]).args(arguments).start();
        docker.wait(ENGINE).await.success()
    }

    /// Stops it, with all that runs in it.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop(ENGINE).await;
        }
    }
}

/// Gives the engine at `to` an image of the one at `from`, by way of an archive.
pub(crate) async fn give_image(from: &str, image: &str, to: &str, archive: &Path) {
    for (engine, arguments) in [(from, ["save", "--output"]), (to, ["load", "--input"])] {
        let mut docker = Start::new("docker", "docker").args(["--host", engine]).args(arguments).arg(archive);
        if engine == from {
            docker = docker.arg(image);
        }
        let mut docker = docker.start();
        assert!(docker.wait(ENGINE).await.success(), "{}", docker.stderr());
    }
}

impl Default for DockerEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // Only when it is asked to end does it end what it has started.
        if let Some(running) = &mut self.running {
            running.signal(Signal::SIGTERM);
            running.finish();
        }
    }
}

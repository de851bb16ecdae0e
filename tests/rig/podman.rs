//! A Podman engine of one's own, to be stopped and started. Only its service is: what it has started goes on without it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    docker::give_image,
    parts,
    running::{Running, Start},
    until::until,
};

/// So long an engine may take to start or to stop.
const ENGINE: Duration = Duration::from_secs(60);

/// An engine, ended and cleared away when this is dropped.
#[derive(Debug)]
pub struct PodmanEngine {
    home: TempDir,
    running: Option<Running>,
}

impl PodmanEngine {
    /// An engine that does not run yet.
    pub fn new() -> Self {
        Self { home: TempDir::new().expect("there is a folder for temporary files"), running: None }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", self.path("podman.sock").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn podman(&self) -> Start {
        // What the tests' other Podman is told holds for any on this machine.
        let other = parts::podman();
        let conf = Path::new(other.trim_start_matches("unix://")).with_file_name("containers.conf");
        let mut podman = Start::new("podman", "podman").env("CONTAINERS_CONF", conf);
        for (flag, name) in [("--root", "data"), ("--runroot", "run"), ("--network-config-dir", "networks")] {
            podman = podman.arg(flag).arg(self.path(name));
        }
        podman
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let service = self.podman().args(["system", "service", "--time=0", &self.address()]);
        self.running = Some(service.start());
        let answers = async || {
            let mut docker =
                Start::new("docker", "docker").args(["--host", &self.address(), "version"]).start();
            docker.wait(ENGINE).await.success()
        };
        until("the engine answers", ENGINE, answers).await;
    }

    /// Gives it the image that another engine has.
    pub async fn copy_image(&self, from: &str, image: &str) {
        give_image(from, image, &self.address(), &self.path("image.tar")).await;
    }

    /// Stops its service.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.stop(ENGINE).await;
        }
    }
}

impl Default for PodmanEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PodmanEngine {
    fn drop(&mut self) {
        drop(self.running.take());
        self.podman().args(["rm", "--all", "--force", "--time", "0"]).start().finish();
        // What its storage has mounted is in the way of whoever removes the folder.
        Start::new("umount", "umount").arg(self.path("data/overlay")).start().finish();
    }
}

//! A device with an engine: its agent runs, as it is shipped.

use std::time::Duration;

use e2e::{Device, Fleet, NatsServer, Running, agent::LONG, fleet, parts, running::Start, until};
use reconcilers::engine::{
    ContainerEngine, contract::fresh, docker::Docker, error::EngineError, terms::Container,
};
use serde_json::{Value, json};

use crate::IMAGE;

/// The device. All that it has in the engine has a name that begins with its id.
pub(crate) struct Rig {
    pub(crate) fleet: Fleet,
    pub(crate) device: Device,
    pub(crate) engine: Docker,
    /// The agent, whose log tells each move.
    pub(crate) agent: Running,
    _server: NatsServer,
}

impl Rig {
    pub(crate) async fn on(place: String) -> Self {
        let server = NatsServer::start().await;
        let fleet = fleet(&server).await;
        let device =
            Device::with_flags(&fresh("pump"), &["--nats-url", &server.url(), "--docker-host", &place]);
        let agent = device.start();
        Self { fleet, device, engine: Docker::new(vec![place]), agent, _server: server }
    }

    /// Applies a manifest of one container, `web`, whose spec has this and `more`.
    pub(crate) async fn apply(&self, more: Value) {
        let mut spec =
            json!({ "name": self.device.id, "image": IMAGE, "networkMode": "None", "stopGracePeriod": "0s" });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.apply_all(json!([{ "id": "web", "kind": "Container", "spec": spec }])).await;
    }

    pub(crate) async fn apply_all(&self, resources: Value) {
        let manifest =
            json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources });
        self.fleet.apply(&self.device.id, &manifest).await;
    }

    /// The container of [`Rig::apply`].
    pub(crate) async fn container(&self) -> Option<Container> {
        self.engine.container(self.device.id.as_str()).await.unwrap()
    }

    /// Whether nothing of the device is in the engine; volumes may stay.
    pub(crate) async fn is_clean(&self) -> bool {
        // Podman's list fails when a container ends while it is made.
        let Ok(all) = self.engine.containers().await else { return false };
        let Ok(networks) = self.engine.networks().await else { return false };
        let own = |name: &str| name.starts_with(self.device.id.as_str());
        !all.iter().any(|listed| own(&listed.name)) && !networks.iter().any(|network| own(&network.name))
    }

    /// Stops a container that the agent starts again. Podman complains where it has done so before that is through with stopping it.
    pub(crate) async fn stop(&self, id: &str) {
        let stopped = self.engine.stop(id, Duration::ZERO).await;
        let is_stopped = |error: &EngineError| error.to_string().contains("refusing to clean up");
        assert!(stopped.is_ok() || stopped.as_ref().is_err_and(is_stopped), "{stopped:?}");
    }

    /// Takes all away.
    pub(crate) async fn clear(&self) {
        self.apply_all(json!([])).await;
        until("nothing is left", LONG, async || self.is_clean().await).await;
    }
}

/// Runs Docker's own command line against an engine, as a person would.
pub(crate) async fn docker(place: &str, arguments: &[&str]) {
    let mut docker = Start::new("docker", "docker").args(["--host", place]).args(arguments).start();
    assert!(docker.wait(LONG).await.success(), "{arguments:?}: {}", docker.stderr());
}

/// Gives an engine an image that is like the usual one, but for a line of its recipe.
pub(crate) async fn variant(place: &str, change: &str, image: &str) {
    let (first, draft) = (parts::docker(), fresh("draft"));
    docker(&first, &["create", "--name", &draft, IMAGE]).await;
    docker(&first, &["commit", "--change", change, &draft, image]).await;
    docker(&first, &["rm", &draft]).await;
    if place == first {
        return;
    }
    // Podman's commit does not understand Docker's command line.
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    let archive = archive.to_str().unwrap();
    docker(&first, &["save", "--output", archive, image]).await;
    docker(&first, &["rmi", image]).await;
    docker(place, &["load", "--input", archive]).await;
}

//! An engine that is not there yet, goes away, and comes back.

use std::time::Duration;

use e2e::{Device, DockerEngine, Fleet, NatsServer, PodmanEngine, agent::LONG, fleet, parts, until};
use manifest_types::status::{AgentStatus, Phase};
use reconcilers::engine::{ContainerEngine, docker::Docker, terms::Activity};
use serde_json::{Value, json};

use crate::IMAGE;

/// An engine that is started and stopped.
trait Engine {
    fn address(&self) -> String;
    /// Starts it; it has the image then.
    async fn start(&mut self);
    async fn stop(&mut self);
}

macro_rules! engines {
    ($($engine:ty),+) => {
        $(
            impl Engine for $engine {
                fn address(&self) -> String {
                    Self::address(self)
                }

                async fn start(&mut self) {
                    Self::start(self).await;
                    self.copy_image(&parts::docker(), IMAGE).await;
                }

                async fn stop(&mut self) {
                    Self::stop(self).await;
                }
            }
        )+
    };
}

engines!(DockerEngine, PodmanEngine);

fn manifest(mode: &str) -> Value {
    let web = json!({
        "id": "web", "kind": "Container",
        "spec": { "image": IMAGE, "networkMode": "None", "env": { "MODE": mode }, "stopGracePeriod": "0s", "update": { "healthyWithin": "10s" } }
    });
    let file = json!({ "id": "file", "kind": "File", "spec": { "path": "/etc/mode", "createParents": true, "content": { "inline": mode } } });
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [web, file] })
}

fn phase(status: &AgentStatus, id: &str) -> Option<(Phase, Option<String>)> {
    let found = status.resources.iter().find(|(own, _)| own.as_str() == id);
    found.map(|(_, resource)| (resource.phase, resource.reason.clone()))
}

fn is_unseen(status: &AgentStatus) -> bool {
    phase(status, "web") == Some((Phase::Unknown, Some("Unseen".to_owned())))
}

#[tokio::test]
async fn the_engine_that_has_what_is_ours_is_waited_for_though_another_answers() {
    let (mut docker, mut podman) = (DockerEngine::new(), PodmanEngine::new());
    let folder = tempfile::tempdir().unwrap();
    let places = vec![docker.address(), podman.address()];
    let client = |file: &str| Docker::new(places.clone()).remembering(folder.path().join(file));
    Engine::start(&mut podman).await;
    let first = client("first");
    assert_eq!(first.identify().await.unwrap().name, "podman", "the first that answers");
    docker.start().await;
    let own = client("own");
    assert_eq!(own.identify().await.unwrap().name, "docker", "the first that is named");
    own.create_volume("ours", &serde_json::from_value(json!({})).unwrap(), &Default::default())
        .await
        .unwrap();
    docker.stop().await;
    for client in [own, client("own")] {
        assert!(client.volumes().await.unwrap_err().is_away());
        let error = client.identify().await.unwrap_err().to_string();
        assert!(error.contains("what this agent has made is there"), "{error}");
    }
    assert_eq!(first.identify().await.unwrap().name, "podman", "nothing was made anywhere yet");
    docker.start().await;
    assert_eq!(client("own").identify().await.unwrap().name, "docker");
}

/// The engine is away: whatever else is told meanwhile, nothing of it is.
async fn stays_unseen(device: &Device, fleet: &Fleet, time: Duration) {
    let told = device.status(fleet, "it is not unseen any more".into(), |status| !is_unseen(status));
    assert!(tokio::time::timeout(time, told).await.is_err());
}

/// `away`: so long it is away.
async fn an_engine_may_come_late_go_away_and_come_back(mut engine: impl Engine, away: Duration) {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device =
        Device::with_flags("pump-1", &["--nats-url", &server.url(), "--docker-host", &engine.address()]);
    let _agent = device.start();
    fleet.apply(&device.id, &manifest("first")).await;
    let told = |status: &AgentStatus| {
        is_unseen(status) && phase(status, "file").is_some_and(|(phase, _)| phase == Phase::Ready)
    };
    let status = device.status(&fleet, "there is no engine, and the rest goes on".into(), told).await;
    assert!(status.capabilities.is_empty());

    engine.start().await;
    let status = device.ready(&fleet, 1).await;
    assert!(status.capabilities.contains_key("containerEngine"), "{status:?}");
    let client = Docker::new(vec![engine.address()]);
    let web = client.container("web").await.unwrap().unwrap();

    // Away, it is not gone: what is wanted waits, and so does what is not wanted any more.
    engine.stop().await;
    device.status(&fleet, "the engine is away".into(), is_unseen).await;
    fleet.apply(&device.id, &manifest("second")).await;
    until("the file is changed", LONG, async || device.read("/etc/mode").as_deref() == Some("second")).await;
    stays_unseen(&device, &fleet, away).await;

    engine.start().await;
    device.ready(&fleet, 2).await;
    let changed = client.container("web").await.unwrap().unwrap();
    assert_ne!(changed.id, web.id);

    // Restarted, with nothing to do.
    engine.stop().await;
    device.status(&fleet, "the engine is away".into(), is_unseen).await;
    engine.start().await;
    let status = device.ready(&fleet, 2).await;
    let same = client.container("web").await.unwrap().unwrap();
    assert_eq!((same.id, same.state.activity), (changed.id, Activity::Running));
    assert!(status.resources.values().all(|resource| resource.phase == Phase::Ready));
    assert_eq!(client.containers().await.unwrap().len(), 1, "no orphan, no duplicate");

    // What is not wanted any more waits for its engine, too.
    engine.stop().await;
    device.status(&fleet, "the engine is away".into(), is_unseen).await;
    fleet
        .apply(&device.id, &json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [] }))
        .await;
    let waits =
        |status: &AgentStatus| phase(status, "web").is_some_and(|(phase, _)| phase == Phase::Deleting);
    device.status(&fleet, "its removal waits".into(), waits).await;
    engine.start().await;
    device.ready(&fleet, 3).await;
    assert_eq!(client.containers().await.unwrap(), []);
}

#[tokio::test]
async fn docker_may_come_late_go_away_for_a_minute_and_come_back() {
    an_engine_may_come_late_go_away_and_come_back(DockerEngine::new(), Duration::from_secs(50)).await;
}

#[tokio::test]
async fn podman_may_come_late_go_away_and_come_back() {
    an_engine_may_come_late_go_away_and_come_back(PodmanEngine::new(), Duration::from_secs(5)).await;
}

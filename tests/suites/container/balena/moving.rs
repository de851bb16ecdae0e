//! A device that moves from the Supervisor: what that has made is taken over, with all that is in it.

use std::time::Duration;

use e2e::{agent::LONG, parts, running::Start, until};
use reconcilers::engine::{ContainerEngine, contract::listed};
use serde_json::{Value, json};

use super::Rig;
use crate::IMAGE;

/// What Docker's own command line prints.
async fn told(arguments: &[&str]) -> String {
    let place = parts::docker();
    let mut docker = Start::new("docker", "docker").args(["--host", &place]).args(arguments).start();
    assert!(docker.wait(LONG).await.success(), "{arguments:?}: {}", docker.stderr());
    docker.stdout()
}

/// A service in a network of its app, and one with the host's network, as fleets without a composition have it.
fn shop(mode: &str) -> Value {
    let main = json!({
        "image": IMAGE, "command": ["sleep", "10000"], "volumes": ["data:/data"], "stop_grace_period": 0, "environment": { "MODE": mode }
    });
    let camera = json!({
        "image": IMAGE, "command": ["sleep", "10000"], "volumes": ["resin-data:/data"], "stop_grace_period": 0, "network_mode": "host",
        "environment": { "MODE": "camera" }
    });
    json!({ "services": { "main": main, "camera": camera }, "volumes": { "data": {}, "resin-data": {} } })
}

/// What the Supervisor makes a service's container with, beside what the service says.
struct Made<'a> {
    service: &'a str,
    volume: &'a str,
    /// The engine's arguments for its network.
    network: Vec<String>,
}

/// Makes what the agent has made anew, as the Supervisor makes it: with its names, with its labels and with the terminal that it gives everybody. The volumes are of a time in which
/// it gave volumes no labels. Returns the containers' ids, by their services.
async fn as_the_supervisor_makes_it(rig: &Rig) -> [String; 2] {
    let (fleet, uuid) = (rig.cloud.fleet, rig.cloud.uuid.as_str());
    let network = format!("{uuid}_default");
    let services = [
        Made {
            service: "main",
            volume: "data",
            network: ["--network", &network, "--network-alias", "main"].map(str::to_owned).to_vec(),
        },
        Made {
            service: "camera",
            volume: "resin-data",
            network: ["--network", "host"].map(str::to_owned).to_vec(),
        },
    ];
    let mut inspected = Vec::new();
    for made in &services {
        let container = format!("{}_{fleet}", made.service);
        let told_of: Value = serde_json::from_str(&told(&["inspect", &container]).await).unwrap();
        told(&["rm", "--force", &container]).await;
        told(&["volume", "rm", &format!("{fleet}_{}", made.volume)]).await;
        inspected.push(told_of[0].clone());
    }
    told(&["network", "rm", &network]).await;
    let app = format!("io.balena.app-id={fleet}");
    told(&["network", "create", "--label", "io.balena.supervised=true", "--label", &app, &network]).await;
    let mut ids = Vec::new();
    for (made, inspected) in services.iter().zip(&inspected) {
        let id = made.make(rig, inspected, &format!("{}_2201_1200_{uuid}", made.service)).await;
        told(&["start", &id]).await;
        told(&["exec", &id, "sh", "-c", "echo precious > /data/kept"]).await;
        ids.push(id);
    }
    // A hand-over was cut off: its old one is still there.
    services[0].make(rig, &inspected[0], &format!("old_main_2200_1199_{uuid}")).await;
    [ids.remove(0), ids.remove(0)]
}

impl Made<'_> {
    /// Makes one as the agent has made the one that was inspected; its id.
    async fn make(&self, rig: &Rig, inspected: &Value, name: &str) -> String {
        let fleet = rig.cloud.fleet;
        let volume = format!("{fleet}_{}", self.volume);
        told(&["volume", "create", &volume]).await;
        let mut create = ["create", "--tty", "--stop-timeout", "0", "--restart", "always", "--name", name]
            .map(str::to_owned)
            .to_vec();
        for variable in inspected["Config"]["Env"].as_array().unwrap() {
            create.extend(["--env".to_owned(), variable.as_str().unwrap().to_owned()]);
        }
        for (name, value) in inspected["Config"]["Labels"].as_object().unwrap() {
            if !name.starts_with("holdfast.") {
                create.extend(["--label".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
            }
        }
        let locks = format!("/tmp/balena-supervisor/services/{fleet}/{}", self.service);
        for mount in
            [format!("{volume}:/data"), format!("{locks}:/tmp/balena"), format!("{locks}:/tmp/resin")]
        {
            create.extend(["--volume".to_owned(), mount]);
        }
        create.extend(self.network.clone());
        create.extend([IMAGE, "sleep", "10000"].map(str::to_owned));
        let create: Vec<_> = create.iter().map(String::as_str).collect();
        told(&create).await.trim().to_owned()
    }
}

/// How many containers of the fleet there are, under whatever names.
async fn own(rig: &Rig) -> usize {
    let all = listed(&rig.engine).await;
    all.iter().filter(|own| own.labels.get("io.balena.app-uuid") == Some(&rig.cloud.uuid)).count()
}

#[tokio::test]
async fn what_the_supervisor_has_made_is_taken_over_with_all_that_is_in_it() {
    let mut rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(shop("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
    let made = as_the_supervisor_makes_it(&rig).await;
    let [main, camera] = &made;
    let before = [
        rig.engine.container(main).await.unwrap().unwrap(),
        rig.engine.container(camera).await.unwrap().unwrap(),
    ];

    rig.device = rig.moved(&parts::docker()).await;
    rig.agent = rig.device.start();
    until("all is as wanted", LONG, async || rig.is_ready().await).await;
    for (service, before) in ["main", "camera"].into_iter().zip(before) {
        let after = rig.container(service).await.expect("it has the name that it is to have");
        assert_eq!((&after.id, after.state.started_at), (&before.id, before.state.started_at), "it goes on");
        assert!(rig.agrees(service, "grep -q precious /data/kept").await);
    }
    assert_eq!(own(&rig).await, 2, "what a hand-over left is gone");

    // From now on it is as any other: another release replaces it, and the data stay.
    let second = rig.cloud.release(shop("second")).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    assert!(rig.agrees("main", "test $MODE = second && grep -q precious /data/kept").await);
    assert_eq!(own(&rig).await, 2, "nothing is left of the former one");

    // An app that is gone is gone with its volumes and networks.
    rig.cloud.move_device().await;
    rig.poll().await;
    until("nothing is left", LONG, async || {
        let volumes = rig.engine.volumes().await.unwrap();
        let networks = rig.engine.networks().await.unwrap();
        let (prefix, network) = (format!("{}_", rig.cloud.fleet), format!("{}_default", rig.cloud.uuid));
        rig.containers().await.is_empty()
            && !volumes.iter().any(|own| own.name.starts_with(&prefix))
            && !networks.iter().any(|own| own.name == network)
    })
    .await;
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
}

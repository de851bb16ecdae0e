//! A device that moves from the Supervisor: what that has made is taken over, with all that is in it.

use std::time::Duration;

use e2e::{agent::LONG, parts, running::Start, until};
use reconcilers::engine::ContainerEngine;
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

fn shop(mode: &str) -> Value {
    let service = json!({
        "image": IMAGE, "command": ["sleep", "10000"], "volumes": ["data:/data"], "stop_grace_period": 0, "environment": { "MODE": mode }
    });
    json!({ "services": { "main": service }, "volumes": { "data": {} } })
}

/// Makes what the agent has made anew, as the Supervisor makes it: with its names, with its labels and with the terminal that it gives everybody. The volume is of a time in which
/// it gave volumes no labels. Returns the container's id.
async fn as_the_supervisor_makes_it(rig: &Rig) -> String {
    let (fleet, uuid) = (rig.cloud.fleet, rig.cloud.uuid.as_str());
    let (container, volume, network) =
        (format!("main_{fleet}"), format!("{fleet}_data"), format!("{uuid}_default"));
    let inspected: Value = serde_json::from_str(&told(&["inspect", &container]).await).unwrap();
    let inspected = &inspected[0];
    told(&["rm", "--force", &container]).await;
    told(&["volume", "rm", &volume]).await;
    told(&["network", "rm", &network]).await;
    told(&["volume", "create", &volume]).await;
    let app = format!("io.balena.app-id={fleet}");
    told(&["network", "create", "--label", "io.balena.supervised=true", "--label", &app, &network]).await;
    let mut create = ["create", "--tty", "--stop-timeout", "0", "--restart", "always", "--name"]
        .map(str::to_owned)
        .to_vec();
    create.push(format!("main_2201_1200_{uuid}"));
    for variable in inspected["Config"]["Env"].as_array().unwrap() {
        create.extend(["--env".to_owned(), variable.as_str().unwrap().to_owned()]);
    }
    for (name, value) in inspected["Config"]["Labels"].as_object().unwrap() {
        if !name.starts_with("holdfast.") {
            create.extend(["--label".to_owned(), format!("{name}={}", value.as_str().unwrap())]);
        }
    }
    let locks = format!("/tmp/balena-supervisor/services/{fleet}/main");
    for mount in [format!("{volume}:/data"), format!("{locks}:/tmp/balena"), format!("{locks}:/tmp/resin")] {
        create.extend(["--volume".to_owned(), mount]);
    }
    create.extend(
        ["--network", &network, "--network-alias", "main", IMAGE, "sleep", "10000"].map(str::to_owned),
    );
    let create: Vec<_> = create.iter().map(String::as_str).collect();
    let id = told(&create).await.trim().to_owned();
    told(&["start", &id]).await;
    told(&["exec", &id, "sh", "-c", "echo precious > /data/kept"]).await;
    id
}

#[tokio::test]
async fn what_the_supervisor_has_made_is_taken_over_with_all_that_is_in_it() {
    let mut rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(shop("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
    let made = as_the_supervisor_makes_it(&rig).await;
    let before = rig.engine.container(&made).await.unwrap().unwrap();

    rig.device = rig.moved(&parts::docker()).await;
    rig.agent = rig.device.start();
    until("all is as wanted", LONG, async || rig.is_ready().await).await;
    let after = rig.container("main").await.expect("it has the name that it is to have");
    assert_eq!((&after.id, after.state.started_at), (&before.id, before.state.started_at), "it goes on");
    assert_eq!(rig.containers().await.len(), 1);
    assert!(rig.agrees("main", "grep -q precious /data/kept").await);

    // From now on it is as any other: another release replaces it, and the data stay.
    let second = rig.cloud.release(shop("second")).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    assert!(rig.agrees("main", "test $MODE = second && grep -q precious /data/kept").await);
    let all = rig.engine.containers().await.unwrap();
    let own = all.iter().filter(|own| own.labels.get("io.balena.app-uuid") == Some(&rig.cloud.uuid));
    assert_eq!(own.count(), 1, "nothing is left of the former one");

    // An app that is gone is gone with its volumes and networks.
    rig.cloud.move_device().await;
    rig.poll().await;
    until("nothing is left", LONG, async || {
        let volumes = rig.engine.volumes().await.unwrap();
        let networks = rig.engine.networks().await.unwrap();
        let (volume, network) = (format!("{}_data", rig.cloud.fleet), format!("{}_default", rig.cloud.uuid));
        rig.containers().await.is_empty()
            && !volumes.iter().any(|own| own.name == volume)
            && !networks.iter().any(|own| own.name == network)
    })
    .await;
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
}

//! The example stack, by the agent as it is shipped, on real engines.

use std::{fs, path::Path, time::Duration};

use e2e::{agent::LONG, parts, until};
use jiff::Timestamp;
use manifest_types::document;
use reconcilers::engine::{ContainerEngine, terms::Container};
use serde_json::{Value, json};

use crate::{IMAGE, rig::Rig};

/// The example, with every name in the engine made this device's own, an image that is here, and the folder where this device's files are.
fn example(rig: &Rig) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop.yaml");
    let text = fs::read_to_string(file).expect("the example is there");
    let source = format!("source: {}", rig.device.path("/etc/shop").display());
    let own = text.replace("shop-", &format!("{}-", rig.device.id));
    let own = own.replace("docker.io/library/busybox:1", IMAGE).replace("source: /etc/shop", &source);
    document::from_yaml(&own).expect("the example is YAML")
}

/// Whether the front reads this in its configuration.
async fn reads(rig: &Rig, front: &str, text: &str) -> bool {
    let command = ["grep", "-q", text, "/etc/shop/shop.conf"].map(str::to_owned);
    rig.engine.run_in(front, &command).await.expect("it runs") == 0
}

async fn container(rig: &Rig, name: &str) -> Container {
    let name = format!("{}-{name}", rig.device.id);
    rig.engine.container(&name).await.expect("the engine answers").expect("it is there")
}

async fn started(rig: &Rig, name: &str) -> (String, Timestamp) {
    let container = container(rig, name).await;
    (container.id, container.state.started_at.expect("it was started"))
}

async fn the_example_comes_up_and_goes(place: String) {
    let rig = Rig::on(place).await;
    let mut manifest = example(&rig);
    rig.fleet.apply(&rig.device.id, &manifest).await;
    let status = rig.device.ready(&rig.fleet, 1).await;
    let engine = status.capabilities.get("containerEngine").expect("the engine is told");
    assert!(["docker", "podman"].contains(&engine.name.as_str()), "{engine:?}");
    let (store, front) = (started(&rig, "store").await, started(&rig, "front").await);
    assert!(store.1 < front.1, "the store is there before the front");
    let made = |id: &str| {
        let found = status.resources.iter().find(|(own, _)| own.as_str().ends_with(id));
        found.expect("it is told").1.since
    };
    for (first, then) in
        [("-data", "-store"), ("-net", "-store"), ("-store", "-front"), ("-config", "-front")]
    {
        assert!(made(first) <= made(then), "{first} is Ready before {then} is");
    }
    assert!(reads(&rig, &front.0, "welcome").await);

    // Nothing happens to what is as wanted.
    let quiet = tokio::time::timeout(
        Duration::from_secs(3),
        rig.device.status(&rig.fleet, "drift".into(), |status| {
            // On a list that Podman does not give the containers are Unknown for a moment.
            status.resources.values().any(|resource| resource.drift_count > 0)
        }),
    );
    assert!(quiet.await.is_err(), "nothing drifts");

    // A changed file restarts what subscribed to it, and nothing else.
    for entry in manifest["resources"].as_array_mut().expect("it has resources") {
        if entry["kind"] == "File" {
            entry["spec"]["content"] = json!({ "inline": "greeting = hello again\n" });
        }
    }
    rig.fleet.apply(&rig.device.id, &manifest).await;
    rig.device.ready(&rig.fleet, 2).await;
    let restarted = async || started(&rig, "front").await.1 > front.1;
    until("the front is restarted", LONG, restarted).await;
    assert_eq!(started(&rig, "front").await.0, front.0, "it is the same container");
    assert!(reads(&rig, &front.0, "hello again").await);
    assert_eq!(started(&rig, "store").await, store);
    rig.device.ready(&rig.fleet, 2).await;

    // What somebody kills is there again.
    rig.stop(&store.0).await;
    until("the store runs again", LONG, async || started(&rig, "store").await.1 > store.1).await;
    assert_eq!(started(&rig, "store").await.0, store.0);

    rig.apply_all(json!([])).await;
    rig.device.ready(&rig.fleet, 3).await;
    assert!(rig.is_clean().await);
    let volume = format!("{}-data", rig.device.id);
    let volumes = rig.engine.volumes().await.expect("the engine answers");
    assert!(volumes.iter().any(|own| own.name == volume), "a volume is kept unless its spec says otherwise");
    rig.engine.remove_volume(&volume).await.expect("nothing uses it");
}

#[tokio::test]
async fn the_example_comes_up_and_goes_on_docker() {
    the_example_comes_up_and_goes(parts::docker()).await;
}

#[tokio::test]
async fn the_example_comes_up_and_goes_on_podman() {
    the_example_comes_up_and_goes(parts::podman()).await;
}

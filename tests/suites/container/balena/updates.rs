//! What runs follows the releases, variables and names that the API tells.

use e2e::{agent::LONG, parts, until};
use reconcilers::engine::{ContainerEngine, contract::fresh};
use serde_json::{Value, json};

use super::Rig;
use crate::{IMAGE, rig::variant};

/// Two services with a volume, a network, variables, labels and a healthcheck.
fn shop(web: &str) -> Value {
    json!({
        "services": {
            "db": {
                "image": IMAGE, "command": "sh -c 'echo stored >> /data/log; exec sleep 10000'", "volumes": ["data:/data"], "networks": ["inner"],
                "environment": { "MODE": "live" }, "labels": { "tier": "back" }, "stop_grace_period": 0
            },
            "web": {
                "image": web, "command": ["sleep", "10000"], "networks": { "inner": { "aliases": ["www"] } }, "stop_grace_period": "0s",
                "depends_on": { "db": { "condition": "service_started" } },
                "healthcheck": { "test": ["CMD", "true"], "interval": "1s" }
            }
        },
        "volumes": { "data": {} }, "networks": { "inner": {} }
    })
}

async fn a_device_registers_runs_its_release_and_follows_it(place: String) {
    // Where the engine is Podman, systemd runs healthchecks, and a plugin gives names in networks; here is neither.
    let is_whole = place == parts::docker();
    let shop = |web: &str| {
        let mut compose = shop(web);
        if !is_whole {
            compose["services"]["web"].as_object_mut().unwrap().remove("healthcheck");
        }
        compose
    };
    let rig = Rig::on(&place).await;
    let first = rig.cloud.release(shop(IMAGE)).await;
    rig.poll().await;
    let told = rig.cloud.runs(&first).await;
    assert_eq!(told["installs"][&first]["web"]["status"], "Running");
    assert!(
        told["fields"]["memory_total"].as_u64().is_some() && told["fields"]["mac_address"].is_string(),
        "{told}"
    );
    let begun = rig.containers().await;
    assert_eq!(begun.keys().collect::<Vec<_>>(), ["db", "web"]);
    for (service, line) in [
        ("db", "test \"$MODE$BALENA_SERVICE_NAME$RESIN_SERVICE_NAME\" = livedbdb"),
        ("db", "test -d /tmp/balena && test -d /tmp/resin && grep -q stored /data/log"),
        ("web", if is_whole { "ping -c 1 -W 5 db && ping -c 1 -W 5 www" } else { "true" }),
    ] {
        assert!(rig.agrees(service, line).await, "{service}: {line}");
    }
    let volumes = rig.engine.volumes().await.unwrap();
    assert!(volumes.iter().any(|volume| volume.name == format!("{}_data", rig.cloud.fleet)));

    // Another image for one of two: the other one, and the data, stay.
    let image = format!("localhost/holdfast/{}:1", fresh("next"));
    variant(&place, "ENV NEXT=1", &image).await;
    let second = rig.cloud.release(shop(&image)).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    let followed = rig.containers().await;
    assert!(followed["db"] == begun["db"] && followed["web"] != begun["web"]);
    assert!(rig.agrees("web", "test $NEXT = 1").await);

    // A release that cannot be understood is told, and changes nothing.
    let mut wrong = shop(&image);
    wrong["services"]["db"]["restart"] = json!("sometimes");
    let rejected = rig.cloud.release(wrong).await;
    rig.poll().await;
    let told = rig.cloud.told("the rejection", |told| told["updates"][&rejected] == "rejected").await;
    assert_eq!((&told["running"], &told["updates"][&second]), (&json!(second), &json!("done")));
    assert_eq!(rig.containers().await, followed);

    // One that cannot be pulled is told, too; what runs goes on.
    let failing = rig.cloud.release(shop("localhost/holdfast/there-is-none:1")).await;
    rig.poll().await;
    let told = rig.cloud.told("the failure", |told| told["updates"][&failing] == "aborted").await;
    assert_eq!(
        (&told["running"], &told["installs"][&second]["web"]["status"]),
        (&json!(second), &json!("Running"))
    );
    assert_eq!(rig.containers().await, followed);

    // Pinned to the first, and no longer.
    rig.cloud.change_device(json!({ "pin": first })).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    assert!(rig.agrees("web", "test -z \"$NEXT\"").await);
    rig.cloud.change_fleet(json!({ "target": second })).await;
    rig.cloud.change_device(json!({ "pin": "" })).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    assert!(rig.agrees("web", "test $NEXT = 1").await);

    // A variable reaches the services; a name does not disturb them.
    rig.cloud.change_device(json!({ "variables": { "MODE": "test" } })).await;
    rig.poll().await;
    until("the variable is there", LONG, async || {
        rig.agrees("db", "test $MODE = test").await && rig.agrees("web", "test $MODE = test").await
    })
    .await;
    rig.cloud.runs(&second).await;
    let before = rig.containers().await;
    rig.cloud.change_device(json!({ "name": "shed-01" })).await;
    rig.cloud.change_fleet(json!({ "name": "glasshouse" })).await;
    rig.poll().await;
    until("the name is known", LONG, async || {
        let mut status = rig.device.ask(["-o", "json", "balena", "status"]).start();
        status.wait(LONG).await;
        serde_json::from_str::<Value>(&status.stdout()).is_ok_and(|told| told["target"]["name"] == "shed-01")
    })
    .await;
    rig.cloud.runs(&second).await;
    assert_eq!(rig.containers().await, before);
    assert!(rig.agrees("db", "test $(grep -c stored /data/log) -ge 2").await, "the data is still there");

    // A service that is gone is taken away, and told of no more.
    let mut less = shop(&image);
    less["services"].as_object_mut().unwrap().remove("db");
    less["services"]["web"].as_object_mut().unwrap().remove("depends_on");
    let third = rig.cloud.release(less).await;
    rig.poll().await;
    let told = rig.cloud.runs(&third).await;
    assert_eq!(told["installs"][&third].as_object().unwrap().len(), 1);
    assert_eq!(rig.containers().await.keys().collect::<Vec<_>>(), ["web"]);
    let volumes = rig.engine.volumes().await.unwrap();
    assert!(
        volumes.iter().any(|volume| volume.name == format!("{}_data", rig.cloud.fleet)),
        "a volume stays with its app"
    );
    rig.clear().await;
}

mod on_docker {
    use super::*;

    #[tokio::test]
    async fn a_device_registers_runs_its_release_and_follows_it() {
        super::a_device_registers_runs_its_release_and_follows_it(parts::docker()).await;
    }
}

mod on_podman {
    use super::*;

    #[tokio::test]
    async fn a_device_registers_runs_its_release_and_follows_it() {
        super::a_device_registers_runs_its_release_and_follows_it(parts::podman()).await;
    }
}

//! A network that gets another name: who is in the former one moves over, and then that one goes.

use e2e::{agent::LONG, parts, until};
use reconcilers::engine::ContainerEngine;
use serde_json::json;

use crate::{IMAGE, rig::Rig};

async fn a_former_network_goes_once_nobody_is_in_it(place: String) {
    let rig = Rig::on(place).await;
    for (generation, name) in [(1, "old"), (2, "new")] {
        let network = format!("{}-{name}", rig.device.id);
        let web = json!({
            "name": rig.device.id, "image": IMAGE, "stopGracePeriod": "0s", "networks": [{ "name": network }]
        });
        rig.apply_all(json!([
            { "id": "net", "kind": "ContainerNetwork", "spec": { "name": network, "internal": true } },
            { "id": "web", "kind": "Container", "dependsOn": ["net"], "spec": web }
        ]))
        .await;
        rig.device.ready(&rig.fleet, generation).await;
    }
    let web = rig.container().await.unwrap();
    let told = rig.device.ready(&rig.fleet, 2).await;
    assert!(told.resources.values().all(|resource| resource.drift_count == 0), "nobody has changed anything");
    until("the former network is gone", LONG, async || {
        let all = rig.engine.networks().await.unwrap();
        let own = all
            .into_iter()
            .map(|network| network.name)
            .filter(|name| name.starts_with(rig.device.id.as_str()));
        own.collect::<Vec<_>>() == [format!("{}-new", rig.device.id)]
    })
    .await;
    assert_eq!(rig.container().await.unwrap().state.started_at, web.state.started_at);
    rig.clear().await;
}

/// While their network is made anew, they are put back by who makes it, and by nobody else.
async fn a_network_with_several_in_it_is_made_anew(place: String) {
    let rig = Rig::on(place).await;
    let network = format!("{}-net", rig.device.id);
    let name = |who: &str| format!("{}-{who}", rig.device.id);
    let apply = async |label: &str| {
        let member = |who: &str| {
            let spec = json!({
                "name": name(who), "image": IMAGE, "stopGracePeriod": "0s", "networks": [{ "name": network, "aliases": [who] }]
            });
            json!({ "id": who, "kind": "Container", "dependsOn": ["net"], "spec": spec })
        };
        let net = json!({ "name": network, "internal": true, "labels": { "tier": label } });
        let net = json!({ "id": "net", "kind": "ContainerNetwork", "spec": net });
        rig.apply_all(json!([net, member("a"), member("b"), member("c")])).await;
    };
    apply("1").await;
    rig.device.ready(&rig.fleet, 1).await;
    let started = async |who: &str| rig.engine.container(&name(who)).await.unwrap().unwrap().state.started_at;
    let before = (started("a").await, started("b").await, started("c").await);
    for generation in 2..5 {
        apply(&generation.to_string()).await;
        let status = rig.device.ready(&rig.fleet, generation).await;
        for who in ["a", "b", "c"] {
            let found = rig.engine.container(&name(who)).await.unwrap().unwrap();
            let aliases =
                found.shape.get(&format!("networks.{network}.aliases")).cloned().unwrap_or_default();
            assert!(aliases.as_array().is_some_and(|all| all.contains(&json!(who))), "{who}: {aliases}");
            assert_eq!(status.resources[who].drift_count, 0, "{who} was not told to be missing there");
        }
    }
    assert_eq!((started("a").await, started("b").await, started("c").await), before, "nobody was restarted");
    rig.clear().await;
}

#[tokio::test]
async fn a_network_with_several_in_it_is_made_anew_on_docker() {
    a_network_with_several_in_it_is_made_anew(parts::docker()).await;
}

#[tokio::test]
async fn a_network_with_several_in_it_is_made_anew_on_podman() {
    a_network_with_several_in_it_is_made_anew(parts::podman()).await;
}

#[tokio::test]
async fn a_former_network_goes_once_nobody_is_in_it_on_docker() {
    a_former_network_goes_once_nobody_is_in_it(parts::docker()).await;
}

#[tokio::test]
async fn a_former_network_goes_once_nobody_is_in_it_on_podman() {
    a_former_network_goes_once_nobody_is_in_it(parts::podman()).await;
}

/// Who has another one's network follows when that one is made anew, and has the new one's. Podman has no such thing.
#[tokio::test]
async fn who_has_anothers_network_follows_it() {
    let rig = Rig::on(parts::docker()).await;
    let name = |who: &str| format!("{}-{who}", rig.device.id);
    let apply = async |mode: &str| {
        let net = json!({ "name": name("net"), "internal": true });
        let host = json!({
            "name": name("host"), "image": IMAGE, "stopGracePeriod": "0s", "networks": [{ "name": name("net") }], "env": { "MODE": mode }
        });
        let guest = json!({ "name": name("guest"), "image": IMAGE, "stopGracePeriod": "0s", "networkOf": name("host") });
        rig.apply_all(json!([
            { "id": "net", "kind": "ContainerNetwork", "spec": net },
            { "id": "host", "kind": "Container", "dependsOn": ["net"], "spec": host },
            { "id": "guest", "kind": "Container", "restartOn": ["host"], "dependsUntil": { "host": "Started" }, "spec": guest }
        ]))
        .await;
    };
    let see = async |who: &str| rig.engine.container(&name(who)).await.unwrap().unwrap();
    for generation in 1..4 {
        apply(&generation.to_string()).await;
        rig.device.ready(&rig.fleet, generation).await;
        assert!(see("guest").await.state.activity.is_up());
        let mode = see("guest").await.shape.get("networkMode").cloned();
        assert_eq!(mode, Some(json!(format!("container:{}", name("host")))), "generation {generation}");
        assert!(rig.engine.container(&format!("{}.holdfast-prior", name("host"))).await.unwrap().is_none());
    }
    rig.clear().await;
}

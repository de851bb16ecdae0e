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

#[tokio::test]
async fn a_former_network_goes_once_nobody_is_in_it_on_docker() {
    a_former_network_goes_once_nobody_is_in_it(parts::docker()).await;
}

#[tokio::test]
async fn a_former_network_goes_once_nobody_is_in_it_on_podman() {
    a_former_network_goes_once_nobody_is_in_it(parts::podman()).await;
}

//! Images of a registry that believes the API's tokens, and nobody else.

use control_plane_sim::balena::tokens::ISSUER;
use e2e::{Registry, parts};
use reconcilers::engine::{
    ContainerEngine,
    error::{Cause, EngineError},
    terms::Login,
};
use serde_json::json;

use super::Rig;
use crate::IMAGE;

async fn a_device_pulls_what_the_api_gives_it_a_token_for(place: String) {
    let rig = Rig::on(&place).await;
    let mut registry = Registry::open().await;
    registry.push_variant(&parts::docker(), IMAGE, "v2/own:1").await;
    registry.push_variant(&parts::docker(), IMAGE, "v2/strange:1").await;
    registry.ask_for_tokens(&rig.cloud.endpoint(), ISSUER, &rig.cloud.certificate().await).await;
    let refused = async |name: &str, login: Option<&Login>| -> Option<Cause> {
        let image = registry.image(name).parse().unwrap();
        rig.engine.pull(&image, login, &|_| ()).await.err().as_ref().and_then(EngineError::cause)
    };
    assert_eq!(refused("v2/own:1", None).await, Some(Cause::Unauthorized));

    let service = json!({ "image": registry.image("v2/own:1"), "command": "sleep 10000", "stop_grace_period": 0, "network_mode": "none" });
    let first = rig.cloud.release(json!({ "services": { "web": service } })).await;
    rig.poll().await;
    let told = rig.cloud.runs(&first).await;
    assert_eq!(told["installs"][&first]["web"]["status"], "Running");

    // Its key opens nothing that is not its fleet's.
    let device = rig.cloud.device().await.unwrap();
    let user = format!("d_{}", device["uuid"].as_str().unwrap());
    let login = Login { registry: registry.image(""), user: Some(user), secret: rig.key() };
    let strange = refused("v2/strange:1", Some(&login)).await;
    // Docker does not tell one from the other.
    assert!(matches!(strange, Some(Cause::Unauthorized | Cause::ImageNotFound)), "{strange:?}");
    rig.clear().await;
}

#[tokio::test]
async fn a_device_pulls_what_the_api_gives_it_a_token_for_on_docker() {
    a_device_pulls_what_the_api_gives_it_a_token_for(parts::docker()).await;
}

#[tokio::test]
async fn a_device_pulls_what_the_api_gives_it_a_token_for_on_podman() {
    a_device_pulls_what_the_api_gives_it_a_token_for(parts::podman()).await;
}

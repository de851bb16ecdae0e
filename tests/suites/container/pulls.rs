//! Images from a registry, and all that can go wrong with that, on Docker and on Podman.

use std::{fs, sync::Mutex, time::Duration};

use e2e::{Device, NatsServer, Registry, fleet, parts};
use manifest_types::{
    kinds::engine::ImageRef,
    status::{AgentStatus, Progress},
};
use reconcilers::{
    engine::{
        ContainerEngine,
        docker::Docker,
        error::{Cause, EngineError},
        terms::Login,
    },
    error::Fault,
};
use serde_json::json;

use crate::IMAGE;

fn image(text: &str) -> ImageRef {
    text.parse().unwrap()
}

async fn pull(engine: &Docker, name: &str, login: Option<&Login>) -> Result<Vec<Progress>, EngineError> {
    let told = Mutex::new(Vec::new());
    engine.pull(&image(name), login, &|progress| told.lock().unwrap().push(progress)).await?;
    Ok(told.into_inner().unwrap())
}

async fn refused(engine: &Docker, name: &str, login: Option<&Login>) -> Cause {
    let error = pull(engine, name, login).await.unwrap_err();
    assert!(error.can_retry(), "{error}");
    error.cause().unwrap_or_else(|| panic!("{error}"))
}

async fn images_are_pulled_and_what_goes_wrong_is_told(place: String) {
    let engine = Docker::new(vec![place]);
    let mut open = Registry::open().await;
    open.push(&parts::docker(), IMAGE, "shop/web:1").await;
    let web = open.image("shop/web:1");
    assert_eq!(refused(&engine, &open.image("shop/web:2"), None).await, Cause::ImageNotFound);
    assert_eq!(refused(&engine, &open.image("shop/other:1"), None).await, Cause::ImageNotFound);
    let nothing = format!("{}@sha256:{}", open.image("shop/web"), "01".repeat(32));
    assert_eq!(refused(&engine, &nothing, None).await, Cause::ImageNotFound);
    let progress = pull(&engine, &web, None).await.unwrap();
    let found = engine.image(&web).await.unwrap().expect("it was pulled");
    assert!(progress.iter().all(|told| told.total.is_none_or(|total| told.done <= total)), "{progress:?}");
    let digest = found.digests.first().expect("the registry's digest is known");
    let pinned = format!("{}@{digest}", open.image("shop/web"));
    pull(&engine, &pinned, None).await.unwrap();
    assert_eq!(engine.image(&pinned).await.unwrap().expect("it is there").id, found.id);

    let locked = Registry::locked().await;
    let secret = locked.image("shop/web:1");
    let login =
        |secret: &str| Login { registry: locked.image(""), user: Some("me".into()), secret: secret.into() };
    assert_eq!(refused(&engine, &secret, None).await, Cause::Unauthorized);
    assert_eq!(refused(&engine, &secret, Some(&login("wrong"))).await, Cause::Unauthorized);
    // Who is let in learns that there is nothing yet.
    assert_eq!(refused(&engine, &secret, Some(&login("secret"))).await, Cause::ImageNotFound);

    open.stop();
    assert_eq!(refused(&engine, &open.image("shop/web:2"), None).await, Cause::RegistryUnreachable);
}

#[tokio::test]
async fn images_are_pulled_and_what_goes_wrong_is_told_on_docker() {
    images_are_pulled_and_what_goes_wrong_is_told(parts::docker()).await;
}

#[tokio::test]
async fn images_are_pulled_and_what_goes_wrong_is_told_on_podman() {
    images_are_pulled_and_what_goes_wrong_is_told(parts::podman()).await;
}

#[tokio::test]
async fn an_image_that_is_not_what_its_digest_says_is_refused() {
    for place in [parts::docker(), parts::podman()] {
        let engine = Docker::new(vec![place.clone()]);
        let registry = Registry::open().await;
        registry.push_unknown(&parts::docker(), "shop/spoiled:1", 1).await;
        registry.spoil();
        assert_eq!(
            refused(&engine, &registry.image("shop/spoiled:1"), None).await,
            Cause::DigestMismatch,
            "{place}"
        );
    }
}

async fn a_pull_that_fails_is_told_and_tried_again_until_it_succeeds(place: String) {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let registry = Registry::locked().await;
    let device = Device::with_flags("pump-1", &["--nats-url", &server.url(), "--docker-host", &place]);
    let _agent = device.start();
    let name = reconcilers::engine::contract::fresh("pulled");
    let spec = json!({
        "name": name, "image": registry.image("shop/web:1"), "networkMode": "None", "registryCredentials": "/etc/registry.json", "stopGracePeriod": "0s"
    });
    let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [{ "id": "web", "kind": "Container", "spec": spec }] });
    fleet.apply(&device.id, &manifest).await;
    let reason = |reason: &'static str| {
        move |status: &AgentStatus| {
            let errors = status.resources.values().filter_map(|resource| resource.error.as_ref());
            errors.map(|error| error.reason.as_str()).any(|told| told == reason)
        }
    };
    device.status(&fleet, "the missing file is told".into(), reason("CredentialsUnusable")).await;
    fs::create_dir_all(device.path("/etc")).unwrap();
    let config = |auth: &str| {
        json!({ "auths": { registry.image("").trim_end_matches('/'): { "auth": auth } } }).to_string()
    };
    fs::write(device.path("/etc/registry.json"), config("bWU6d3Jvbmc=")).unwrap();
    device.status(&fleet, "the wrong password is told".into(), reason("Unauthorized")).await;
    fs::write(device.path("/etc/registry.json"), config("bWU6c2VjcmV0")).unwrap();
    let status = device.status(&fleet, "the missing image is told".into(), reason("ImageNotFound")).await;
    let web = status.resources.values().next().unwrap();
    assert!(web.retry_after.is_some() && web.error.as_ref().unwrap().attempts >= 2, "{web:?}");
    registry.push(&parts::docker(), IMAGE, "shop/web:1").await;
    device.ready(&fleet, 1).await;
    fleet
        .apply(&device.id, &json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": [] }))
        .await;
    tokio::time::timeout(Duration::from_secs(60), device.ready(&fleet, 2)).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_fails_is_told_and_tried_again_until_it_succeeds_on_docker() {
    a_pull_that_fails_is_told_and_tried_again_until_it_succeeds(parts::docker()).await;
}

#[tokio::test]
async fn a_pull_that_fails_is_told_and_tried_again_until_it_succeeds_on_podman() {
    a_pull_that_fails_is_told_and_tried_again_until_it_succeeds(parts::podman()).await;
}

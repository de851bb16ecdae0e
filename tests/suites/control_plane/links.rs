use e2e::{ControlPlane, NatsServer};

use super::manifest;

#[tokio::test]
async fn what_is_missing_is_told_with_what_to_do() {
    let mut server = NatsServer::start().await;
    let control = ControlPlane::new(&server);
    let told = control.run(["get"]).await.failed(1);
    assert!(told.contains(&format!("there is no bucket fleet on {}", server.url())), "{told}");
    assert!(told.contains("control-plane-sim init"), "{told}");
    server.kill();
    let told = control.run(["get"]).await.failed(1);
    assert!(told.starts_with(&format!("cannot connect to {}: ", server.url())), "{told}");
    assert!(told.contains("--nats-url"), "{told}");
}

#[tokio::test]
async fn credentials_in_the_url_are_used_and_not_shown() {
    let server = NatsServer::start_with("authorization { user: ada, password: \"p@ss\" }").await;
    let control = ControlPlane::new(&server);
    let good = server.url_of("ada", "p%40ss");
    assert_eq!(
        control.run(["--nats-url", &good, "init"]).await.printed(),
        "fleet: created\nfleet-heartbeat: created\n"
    );
    let told = control.run(["--nats-url", &server.url_of("ada", "secret"), "init"]).await.failed(1);
    assert!(told.contains("authorization violation"), "{told}");
    assert!(!told.contains("secret") && !told.contains("ada"), "{told}");
}

#[tokio::test]
async fn a_token_in_the_url_is_used() {
    let server = NatsServer::start_with("authorization { token: open-sesame }").await;
    let url = format!("nats://open-sesame@127.0.0.1:{}", server.port());
    ControlPlane::new(&server).run(["--nats-url", &url, "init"]).await.printed();
}

#[tokio::test]
async fn a_manifest_that_the_server_will_not_take_is_told() {
    let server = NatsServer::start_with("max_payload: 1024").await;
    let control = ControlPlane::new(&server);
    control.run(["init"]).await.printed();
    let large = manifest(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]).to_string();
    let told = control.run_with(["apply", "-f", "-", "--agent", "pump-17"], &large).await.failed(1);
    assert!(told.starts_with("cannot write desired-state.pump-17: "), "{told}");
    assert!(told.contains("max payload size exceeded"), "{told}");
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = NatsServer::start_with("accounts { A { users: [{ user: a, password: a }] } }").await;
    let control = ControlPlane::new(&server);
    let told = control.run(["--nats-url", &server.url_of("a", "a"), "init"]).await.failed(1);
    assert!(told.contains("the server needs JetStream"), "{told}");
}

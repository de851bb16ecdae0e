//! A control plane in another language: plain NATS, plain JSON, and the published schemas.

use e2e::{Device, NatsServer, agent::LONG, fleet, parts, running::Start};

const CLIENT: &str = include_str!("client.py");

#[tokio::test]
async fn a_client_in_python_writes_a_manifest_and_reads_a_valid_status() {
    let server = NatsServer::start().await;
    let _fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas");
    let mut client =
        Start::new("client.py", parts::python()).args(["-c", CLIENT, &server.url(), schemas]).start();
    let ended = client.wait(LONG).await;
    assert!(ended.success(), "{}{}", client.stdout(), client.stderr());
    assert_eq!(device.read("/etc/motd").as_deref(), Some("from python\n"));
}

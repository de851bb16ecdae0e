//! Contents that come from elsewhere: a NATS object store, a web server.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_nats::jetstream::object_store;
use e2e::{Device, NatsServer, agent::LONG, fleet, until};
use manifest_types::{
    digest::Digest,
    status::{AgentStatus, Phase},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::manifest;

/// A content of some megabytes, of which no two chunks are alike.
fn large(seed: u8) -> Vec<u8> {
    (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ seed).collect()
}

fn hex(content: &[u8]) -> String {
    Digest::of(content).to_string().trim_start_matches("sha256:").to_owned()
}

fn with_content(id: &str, path: &str, content: Value) -> Value {
    json!({ "id": id, "kind": "File", "spec": { "path": path, "createParents": true, "content": content } })
}

/// A web server that answers with these bytes, and counts how often it was asked.
async fn serve(content: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).await.unwrap_or(0);
            let found = String::from_utf8_lossy(&request[..count]).starts_with("GET /firmware.bin ");
            let (status, body) =
                if found { ("200 OK", content.as_slice()) } else { ("404 Not Found", &b""[..]) };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.write_all(body).await);
        }
    });
    (format!("http://127.0.0.1:{port}"), asked)
}

fn told<'a>(status: &'a AgentStatus, id: &str) -> (Phase, &'a str) {
    let (_, resource) = status.resources.iter().find(|(own, _)| own.as_str() == id).unwrap();
    (resource.phase, resource.error.as_ref().map_or("", |error| error.reason.as_str()))
}

#[tokio::test]
async fn objects_become_files() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let config = object_store::Config { bucket: "firmware".into(), ..Default::default() };
    let objects = fleet.jetstream().create_object_store(config).await.unwrap();
    let (first, second) = (large(1), large(2));
    objects.put("pump/v1", &mut first.as_slice()).await.unwrap();
    objects.put("pump/v2", &mut second.as_slice()).await.unwrap();
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let object = |id, name: &str, content: &[u8]| {
        let content = json!({ "object": { "bucket": "firmware", "name": name, "sha256": hex(content) } });
        with_content(id, &format!("/opt/{id}"), content)
    };
    fleet.apply(&device.id, &manifest(&[object("firmware", "pump/v1", &first)])).await;
    device.ready(&fleet, 1).await;
    assert_eq!(std::fs::read(device.path("/opt/firmware")).unwrap(), first);
    let entries = [
        object("firmware", "pump/v2", &second),
        object("missing", "pump/v9", &second),
        object("other", "pump/v1", &second),
    ];
    fleet.apply(&device.id, &manifest(&entries)).await;
    let settled = |status: &AgentStatus| {
        status.manifest_generation == 2
            && told(status, "firmware").0 == Phase::Ready
            && ["missing", "other"].iter().all(|id| told(status, id).0 == Phase::Failed)
    };
    let status = device.status(&fleet, "one Ready, two Failed".into(), settled).await;
    assert_eq!(std::fs::read(device.path("/opt/firmware")).unwrap(), second);
    assert_eq!(told(&status, "missing").1, "ContentUnavailable");
    assert_eq!(told(&status, "other").1, "DigestMismatch");
    // What failed is tried again now and then.
    let names = || -> Vec<_> {
        std::fs::read_dir(device.path("/opt")).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    until("nothing half-fetched is left", LONG, async || names() == ["firmware"]).await;
}

#[tokio::test]
async fn what_a_url_gives_becomes_a_file_and_is_fetched_once() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let content = large(3);
    let (url, asked) = serve(content.clone()).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let from = |id, path: &str, secret: &str| {
        let content = json!({ "url": format!("{url}{path}{secret}"), "sha256": hex(&content) });
        with_content(id, &format!("/opt/{id}"), content)
    };
    fleet.apply(&device.id, &manifest(&[from("firmware", "/firmware.bin", "")])).await;
    device.ready(&fleet, 1).await;
    assert_eq!(std::fs::read(device.path("/opt/firmware")).unwrap(), content);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let entries = [from("firmware", "/firmware.bin", ""), from("gone", "/gone.bin", "?signature=s3cret")];
    fleet.apply(&device.id, &manifest(&entries)).await;
    let failed =
        |status: &AgentStatus| status.manifest_generation == 2 && told(status, "gone").0 == Phase::Failed;
    let status = device.status(&fleet, "the missing one Failed".into(), failed).await;
    assert_eq!(told(&status, "gone").1, "ContentUnavailable");
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains("404"), "{text}");
    assert!(!text.contains("s3cret"), "an address may hold a secret: {text}");
}

/// A step that waits for what never comes does not keep an agent that is asked to end.
#[tokio::test]
async fn a_stalled_content_does_not_keep_the_agent() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://127.0.0.1:{}/firmware.bin", listener.local_addr().unwrap().port());
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    let stalled = with_content("stalled", "/etc/it", json!({ "url": url, "sha256": hex(b"x") }));
    fleet.apply(&device.id, &manifest(&[stalled])).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let is_fetching =
        |status: &AgentStatus| status.resources.values().any(|resource| resource.progress.is_some());
    device.status(&fleet, "it tells that it fetches".into(), is_fetching).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nx").await.unwrap();
    assert!(agent.stop(LONG).await.success());
    assert_eq!(device.read("/etc/it"), None);
}

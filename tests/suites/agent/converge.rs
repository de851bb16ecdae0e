//! The everyday path: apply, change, drift, remove, restart.

use std::fs;

use e2e::{Device, NatsServer, agent::LONG, fleet, until};
use manifest_types::{digest::Digest, status::Phase};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{file, files, manifest};

#[tokio::test]
async fn a_manifest_becomes_true_and_is_reported() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let wanted = files(&[("/etc/web/app.toml", "port = 80\n")]);
    let published = fleet.apply(&device.id, &wanted).await;
    let status = device.ready(&fleet, 1).await;
    assert_eq!(device.read("/etc/web/app.toml").as_deref(), Some("port = 80\n"));
    let (id, resource) = status.resources.first_key_value().unwrap();
    assert_eq!((id.as_str(), resource.phase), ("etc-web-app.toml", Phase::Ready));
    assert_eq!(resource.spec_digest, Some(Digest::of_json(&wanted["resources"][0]["spec"])));
    assert_eq!((status.manifest_generation, status.observed_generation), (1, 1));
    assert!(status.observed_revision > 0, "{published:?}");
}

#[tokio::test]
async fn drift_is_repaired_and_recorded() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    let mut reported = file("/etc/b", "b");
    reported["drift"] = json!("Report");
    fleet.apply(&device.id, &manifest(&[file("/etc/a", "a"), reported])).await;
    device.ready(&fleet, 1).await;
    fs::write(device.path("/etc/a"), "changed").unwrap();
    // At once: what is cut short first is seen as one drift, and what is written then as another.
    fs::write(device.path("/etc/beside"), "changed").unwrap();
    fs::rename(device.path("/etc/beside"), device.path("/etc/b")).unwrap();
    until("the file is right again", LONG, async || device.read("/etc/a").as_deref() == Some("a")).await;
    let told = device.status(&fleet, "both drifts".into(), |status| {
        status.resources.values().all(|resource| resource.drift_count == 1 && resource.phase == Phase::Ready)
    });
    let status = told.await;
    let b = status.resources.iter().find(|(id, _)| id.as_str() == "etc-b").unwrap().1;
    assert!(b.drifted);
    assert_eq!(device.read("/etc/b").as_deref(), Some("changed"));
    assert!(!serde_json::to_string(&status).unwrap().contains("changed"), "contents are told as digests");
}

#[tokio::test]
async fn what_was_there_before_comes_back() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fs::create_dir(device.path("/etc")).unwrap();
    fs::write(device.path("/etc/a"), "original").unwrap();
    fs::write(device.path("/etc/same"), "same").unwrap();
    let _agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "ours"), ("/etc/new", "ours"), ("/etc/same", "same")])).await;
    device.ready(&fleet, 1).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("ours"));
    fleet.apply(&device.id, &manifest(&[])).await;
    device.ready(&fleet, 2).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("original"));
    assert_eq!(device.read("/etc/new"), None);
    assert_eq!(device.read("/etc/same").as_deref(), Some("same"), "adopted as it was, so it stays");
}

#[tokio::test]
async fn a_stop_is_quick_and_leaves_everything_as_it_is() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    device.ready(&fleet, 1).await;
    agent.signal(Signal::SIGTERM);
    // It has 5 s; the machine may be slow.
    assert!(agent.wait(std::time::Duration::from_secs(10)).await.success());
    assert_eq!(device.read("/etc/a").as_deref(), Some("a"));
}

#[tokio::test]
async fn a_purged_key_changes_nothing() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let _agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "a")])).await;
    let before = device.ready(&fleet, 1).await;
    fleet.states.purge(manifest_types::keys::desired_state(&device.id)).await.unwrap();
    let revision = fleet.desired(&device.id).await.unwrap().revision;
    let noticed = |status: &manifest_types::status::AgentStatus| status.observed_revision == revision;
    let after = device.status(&fleet, "the purge was noticed".into(), noticed).await;
    assert_eq!(after.resources.len(), before.resources.len());
    assert_eq!(device.read("/etc/a").as_deref(), Some("a"));
}

//! Wall clocks that are wrong: only what is shown may depend on them.

use e2e::{Device, NatsServer, agent::LONG, fleet, parts, running::Running, until};
use jiff::{Timestamp, ToSpan};

use crate::files;

/// Starts the agent with its wall clock off by `off`, such as `-365d`. Its monotonic clocks stay true.
fn start_at(device: &Device, off: &str) -> Running {
    let start = device.command().env("LD_PRELOAD", parts::libfaketime());
    start.env("FAKETIME", off).env("FAKETIME_DONT_FAKE_MONOTONIC", "1").start()
}

#[tokio::test]
async fn a_clock_set_back_a_year_between_two_starts_changes_nothing() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let mut agent = device.start();
    fleet.apply(&device.id, &files(&[("/etc/a", "1"), ("/etc/b", "b")])).await;
    device.ready(&fleet, 1).await;
    agent.kill();
    std::fs::write(device.path("/etc/b"), "changed while nobody looked").unwrap();
    fleet.apply(&device.id, &files(&[("/etc/a", "2"), ("/etc/b", "b")])).await;

    let mut agent = start_at(&device, "-365d");
    let status = device.ready(&fleet, 2).await;
    let half_a_year_ago = Timestamp::now().checked_sub((24 * 182).hours()).unwrap();
    assert!(status.updated_at < half_a_year_ago, "its clock is a year behind: {}", status.updated_at);
    assert_eq!(device.read("/etc/a").as_deref(), Some("2"));
    assert_eq!(device.read("/etc/b").as_deref(), Some("b"));
    std::fs::write(device.path("/etc/a"), "changed").unwrap();
    until("drift is repaired", LONG, async || device.read("/etc/a").as_deref() == Some("2")).await;
    fleet.apply(&device.id, &files(&[("/etc/a", "3")])).await;
    device.ready(&fleet, 3).await;
    assert!(!device.path("/etc/b").exists(), "what is not wanted is taken away");
    assert!(agent.stop(LONG).await.success());

    let _agent = start_at(&device, "+10y");
    fleet.apply(&device.id, &files(&[("/etc/a", "4")])).await;
    device.ready(&fleet, 4).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("4"));
}

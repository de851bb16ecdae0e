//! Disks that are full, and directories that cannot be written.

use std::fs;

use e2e::{Device, HangingDisk, NatsServer, SmallDisk, agent::LONG, fleet, until};
use manifest_types::status::{AgentStatus, ConditionStatus, Phase};
use serde_json::{Value, json};

use crate::{file, manifest};

/// A manifest of so many files; each row of the ledger takes some room.
fn many(count: usize, content: &str) -> Value {
    let entries: Vec<_> = (0..count).map(|number| file(&format!("/etc/{number}"), content)).collect();
    manifest(&entries)
}

fn reason(status: &AgentStatus, id: &str) -> String {
    let found = status.resources.iter().find(|(own, _)| own.as_str() == id);
    let error = found.and_then(|(_, resource)| resource.error.as_ref());
    error.map(|error| error.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn with_the_state_directory_full_nothing_is_begun_but_things_are_let_go() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fs::create_dir(device.state_dir()).unwrap();
    let disk = SmallDisk::start(device.command(), &device.state_dir(), "size=6m,mode=0700");
    fleet.apply(&device.id, &many(20, "first")).await;
    device.ready(&fleet, 1).await;

    let filling = disk.fill();
    // More than the ledger's file has room for: it would have to grow.
    let content = "x".repeat(3000);
    fleet.apply(&device.id, &many(200, &content)).await;
    let full = |status: &AgentStatus| {
        let writable = status.condition("LedgerWritable");
        writable.is_some_and(|is| is.status == ConditionStatus::False && is.reason == "DiskFull")
    };
    let status = device.status(&fleet, "the full disk is told".into(), full).await;
    let (_, waiting) = status.resources.iter().find(|(id, _)| id.as_str() == "etc-100").unwrap();
    assert_eq!((waiting.phase, waiting.reason.as_deref()), (Phase::Pending, Some("LedgerUnwritable")));
    assert_eq!(device.read("/etc/0").as_deref(), Some("first"), "no effect before its intent is durable");
    assert!(!device.path("/etc/100").exists());

    // The ledger stays this agent's own, though its database is closed after a write that failed.
    let pid = disk.running.pid().to_string();
    let mut second = device.command().by("nsenter", ["--mount", "--target", &pid]).start();
    assert!(!second.wait(LONG).await.success());
    assert!(second.stderr().contains("another agent"), "{}", second.stderr());

    // Known to be full or not, what is not wanted goes.
    fleet.apply(&device.id, &manifest(&[])).await;
    let gone = async || !device.path("/etc/0").exists();
    until("what is not wanted is let go even so, out of the reserve", LONG, gone).await;

    fs::remove_file(filling).unwrap();
    device.ready(&fleet, 3).await;
    fleet.apply(&device.id, &many(200, &content)).await;
    let status = device.ready(&fleet, 4).await;
    assert_eq!(status.condition("LedgerWritable"), None, "it is no longer worth a word");
}

#[tokio::test]
async fn a_file_on_a_full_disk_fails_alone_and_comes_when_there_is_room() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let data = device.path("/data");
    fs::create_dir(&data).unwrap();
    let disk = SmallDisk::start(device.command(), &data, "size=1m");
    fleet.apply(&device.id, &manifest(&[file("/data/small", "small")])).await;
    device.ready(&fleet, 1).await;
    let filling = disk.fill();
    let entries = [
        file("/data/small", &"s".repeat(10_000)),
        file("/data/large", &"l".repeat(200_000)),
        file("/etc/a", "a"),
    ];
    fleet.apply(&device.id, &manifest(&entries)).await;
    let told = |status: &AgentStatus| {
        let failed =
            ["data-small", "data-large"].iter().all(|id| reason(status, id) == "InsufficientStorage");
        failed && status.resources.values().any(|resource| resource.phase == Phase::Ready)
    };
    device.status(&fleet, "both are told".into(), told).await;
    assert_eq!(
        disk.read("small").as_deref(),
        Some("small"),
        "the old content stays until the new one is whole"
    );
    // It is tried again now and then.
    until("nothing half-written is left", LONG, async || fs::read_dir(disk.path("")).unwrap().count() == 2)
        .await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("a"), "nobody else is disturbed");
    fs::remove_file(filling).unwrap();
    device.ready(&fleet, 2).await;
    assert_eq!(disk.read("large").map(|large| large.len()), Some(200_000));
}

#[tokio::test]
async fn a_file_in_a_read_only_directory_fails_alone() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let sealed = device.path("/sealed");
    fs::create_dir(&sealed).unwrap();
    let _disk = SmallDisk::start(device.command(), &sealed, "ro");
    let mut dependant = file("/etc/dependant", "d");
    dependant["dependsOn"] = json!(["sealed-a"]);
    fleet.apply(&device.id, &manifest(&[file("/sealed/a", "a"), file("/etc/b", "b"), dependant])).await;
    let told = |status: &AgentStatus| reason(status, "sealed-a") == "ReadOnlyFileSystem";
    let status = device.status(&fleet, "the reason is told".into(), told).await;
    let phase = |id: &str| status.resources.iter().find(|(own, _)| own.as_str() == id).unwrap().1.phase;
    assert_eq!(phase("etc-dependant"), Phase::Pending);
    until("the other is not disturbed", LONG, async || device.read("/etc/b").as_deref() == Some("b")).await;
}

fn phase(status: &AgentStatus, id: &str) -> Option<Phase> {
    status.resources.iter().find(|(own, _)| own.as_str() == id).map(|(_, resource)| resource.phase)
}

#[tokio::test]
async fn a_disk_that_hangs_keeps_only_its_own_files_waiting() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    let slow = device.path("/slow");
    fs::create_dir(&slow).unwrap();
    let mut disk = HangingDisk::start(device.command(), &slow).await;
    fleet.apply(&device.id, &manifest(&[file("/slow/a", "first"), file("/etc/b", "first")])).await;
    device.ready(&fleet, 1).await;

    disk.hang().await;
    for (generation, content) in [(2, "second"), (3, "third")] {
        fleet.apply(&device.id, &manifest(&[file("/slow/a", content), file("/etc/b", content)])).await;
        let told = |status: &AgentStatus| {
            status.manifest_generation == generation
                && phase(status, "etc-b") == Some(Phase::Ready)
                && phase(status, "slow-a") == Some(Phase::Reconciling)
        };
        device.status(&fleet, "the other one is Ready".into(), told).await;
        assert_eq!(device.read("/etc/b").as_deref(), Some(content));
        assert_eq!(disk.disk.read("a").as_deref(), Some("first"));
    }

    disk.go_on().await;
    device.ready(&fleet, 3).await;
    assert_eq!(disk.disk.read("a").as_deref(), Some("third"));
}

#[tokio::test]
async fn a_state_directory_that_hangs_is_told_and_nothing_is_begun() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fs::create_dir(device.state_dir()).unwrap();
    let mut disk = HangingDisk::start(device.command(), &device.state_dir()).await;
    fleet.apply(&device.id, &manifest(&[file("/etc/a", "first")])).await;
    device.ready(&fleet, 1).await;

    disk.hang().await;
    fleet.apply(&device.id, &manifest(&[file("/etc/a", "second")])).await;
    let told = |status: &AgentStatus| {
        let slow = status.condition("LedgerWritable");
        let waits = status.resources.values().any(|resource| {
            resource.phase == Phase::Pending && resource.reason.as_deref() == Some("LedgerSlow")
        });
        waits && slow.is_some_and(|is| is.status == ConditionStatus::False && is.reason == "Slow")
    };
    device.status(&fleet, "the hanging disk is told".into(), told).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("first"), "no effect before its intent is durable");

    disk.go_on().await;
    device.ready(&fleet, 2).await;
    assert_eq!(device.read("/etc/a").as_deref(), Some("second"));
}

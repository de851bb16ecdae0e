//! Kill -9 at any moment: converged, nothing left over, nothing foreign touched.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use e2e::{Device, NatsServer, fleet};
use serde_json::{Value, json};

use crate::manifest;

/// How often the agent is killed.
const KILLS: u64 = 300;

/// A manifest of which every generation differs: contents change, files come and go, paths move between ids.
fn turn(number: u64) -> Value {
    let entry = |id: &str, path: String, content: String| json!({ "id": id, "kind": "File", "spec": { "path": path, "createParents": true, "content": { "inline": content } } });
    let mut entries = vec![
        entry("steady", "/etc/steady".into(), format!("{number}")),
        entry("moving", format!("/etc/moving-{}", number % 3), "m".into()),
        entry("taken", "/etc/foreign".into(), format!("ours {}", number % 2)),
    ];
    if number.is_multiple_of(2) {
        entries.push(entry("coming", "/etc/coming".into(), "c".into()));
    }
    let swap = if number % 4 < 2 { ["/etc/x", "/etc/y"] } else { ["/etc/y", "/etc/x"] };
    entries.push(entry("left", swap[0].into(), "left".into()));
    entries.push(entry("right", swap[1].into(), "right".into()));
    manifest(&entries)
}

/// All names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn killed_at_any_moment_it_converges() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fs::create_dir(device.path("/etc")).unwrap();
    fs::write(device.path("/etc/foreign"), "foreign").unwrap();
    fs::write(device.path("/etc/bystander"), "bystander").unwrap();
    let mut last = 0;
    for number in 0..KILLS {
        let mut agent = device.start();
        last = fleet.apply(&device.id, &turn(number)).await.generation.get();
        // A moment within what a start and a change take; chance is the scheduler's.
        let moment = Duration::from_micros(number * 977 % 60_000);
        drop(tokio::time::timeout(moment, agent.wait(Duration::from_secs(60))).await);
        agent.kill();
    }
    let _agent = device.start();
    device.ready(&fleet, last).await;
    let expected: BTreeSet<String> =
        ["bystander", "foreign", "left", "x", "y", "steady"].map(String::from).into();
    let moving = format!("moving-{}", (KILLS - 1) % 3);
    let expected: BTreeSet<_> = expected.into_iter().filter(|name| name != "left").chain([moving]).collect();
    assert_eq!(names(&device.path("/etc")), expected);
    assert_eq!(device.read("/etc/bystander").as_deref(), Some("bystander"));
    fleet.apply(&device.id, &manifest(&[])).await;
    device.ready(&fleet, last + 1).await;
    assert_eq!(names(&device.path("/etc")), ["bystander", "foreign"].map(String::from).into());
    assert_eq!(device.read("/etc/foreign").as_deref(), Some("foreign"), "the original came back");
}

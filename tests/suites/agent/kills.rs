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

/// What is below /etc when a turn has come true.
fn expected(number: u64) -> BTreeSet<String> {
    let moving = format!("moving-{}", number % 3);
    let always = ["bystander", "foreign", "steady", "x", "y", &moving].map(String::from);
    let coming = number.is_multiple_of(2).then(|| "coming".to_owned());
    always.into_iter().chain(coming).collect()
}

#[tokio::test]
async fn killed_at_any_moment_it_converges() {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "pump-1");
    fs::create_dir(device.path("/etc")).unwrap();
    fs::write(device.path("/etc/foreign"), "foreign").unwrap();
    fs::write(device.path("/etc/bystander"), "bystander").unwrap();
    let mut agent = device.start();
    for number in 0..KILLS {
        let generation = fleet.apply(&device.id, &turn(number)).await.generation.get();
        // A moment within what a change takes, or, every third time, a start and a change. Chance is the scheduler's.
        let moment = Duration::from_micros(number * 977 % 12_000);
        tokio::time::sleep(moment).await;
        agent.kill();
        if number.is_multiple_of(3) {
            agent = device.start();
            tokio::time::sleep(moment * 20).await;
            agent.kill();
        }
        agent = device.start();
        device.ready(&fleet, generation).await;
        assert_eq!(names(&device.path("/etc")), expected(number), "after kill {number}");
        assert_eq!(device.read("/etc/steady"), Some(number.to_string()));
        assert_eq!(device.read("/etc/bystander").as_deref(), Some("bystander"));
    }
    fleet.apply(&device.id, &manifest(&[])).await;
    device.ready(&fleet, KILLS + 1).await;
    assert_eq!(names(&device.path("/etc")), ["bystander", "foreign"].map(String::from).into());
    assert_eq!(device.read("/etc/foreign").as_deref(), Some("foreign"), "the original came back");
}

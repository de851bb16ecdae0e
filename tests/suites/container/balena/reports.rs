//! Reports that are refused or lost: what the API is told in the end is what is so.

use e2e::{Cable, Registry, agent::LONG, cable::State, parts, until};
use serde_json::json;

use super::{Rig, sleeper};
use crate::IMAGE;

#[tokio::test]
async fn a_report_that_is_refused_or_lost_is_sent_again() {
    let mut rig = Rig::on(&parts::docker()).await;
    let reports = async || rig.cloud.requests("report").await;
    // It waits longer each time.
    rig.cloud.faults(json!([{ "on": "report", "times": 1, "what": { "status": 401 } }])).await;
    rig.cloud.release(sleeper("first")).await;
    rig.poll().await;
    let refuses = "the API refuses the report with its apps: 401";
    until("the refusal is told", LONG, async || rig.agent.stderr().contains(refuses)).await;
    until("it runs all the same", LONG, async || rig.agrees("main", "test $MODE = first").await).await;
    let second = rig.cloud.release(sleeper("second")).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    // What was taken is not known to the device: it tells it again.
    let before = reports().await["statuses"]["200"].as_u64().unwrap_or(0);
    rig.cloud.faults(json!([{ "on": "report", "times": 1, "what": "cutAfter" }])).await;
    let third = rig.cloud.release(sleeper("third")).await;
    rig.poll().await;
    until("it is told again", LONG, async || {
        let told = reports().await;
        told["statuses"]["0"] == 1 && told["statuses"]["200"].as_u64() > Some(before)
    })
    .await;
    rig.cloud.runs(&third).await;
    // After a restart there is nothing to tell that was told before.
    until("all is well", LONG, async || rig.is_ready().await).await;
    let accepted = || rig.reported()["accepted"]["apps"].clone();
    until("the end of it is kept", LONG, async || accepted()[&rig.cloud.uuid]["release_uuid"] == third).await;
    let kept = accepted();
    rig.agent.kill();
    rig.agent = rig.device.start();
    until("all is well again", LONG, async || rig.is_ready().await).await;
    assert_eq!((rig.polled().await, rig.polled().await), ("unchanged".into(), "unchanged".into()));
    assert_eq!(rig.reported()["accepted"]["apps"], kept);
    assert!(!rig.agent.stderr().contains("no report"), "nothing is wrong with reports");
    rig.clear().await;
}

#[tokio::test]
async fn how_far_a_download_is_is_reported_and_a_newer_target_ends_it() {
    let registry = Registry::open().await;
    // The API writes how far it is at the beginning, and then once in half a minute.
    registry.push_unknown(&parts::docker(), "shop/large:1", 160).await;
    let cable = Cable::to(registry.port()).await;
    cable.set(State::Slow);
    let rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(sleeper("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let runs = rig.containers().await;
    let large = format!("127.0.0.1:{}/shop/large:1", cable.port());
    let service = |image: &str| json!({ "image": image, "command": "sleep 10000", "network_mode": "none", "stop_grace_period": 0 });
    let services = json!({ "services": { "main": service(IMAGE), "large": service(&large) } });
    let second = rig.cloud.release(services).await;
    rig.poll().await;
    let is_on_its_way =
        |progress: &serde_json::Value| progress.as_f64().is_some_and(|told| told > 0.0 && told < 100.0);
    let told = rig
        .cloud
        .told("how far it is", |told| is_on_its_way(&told["installs"][&second]["large"]["progress"]))
        .await;
    assert_eq!((&told["running"], &told["updates"][&second]), (&json!(first), &json!("downloading")));
    assert_eq!(told["installs"][&second]["large"]["status"], "Downloading");
    assert_eq!(told["installs"][&second]["main"]["status"], "Running", "it is the same image");
    assert_eq!(told["installs"][&first]["main"]["status"], "Running");
    assert_eq!(rig.containers().await, runs);
    rig.cloud.change_fleet(json!({ "target": first })).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    assert_eq!(rig.containers().await, runs);
    rig.clear().await;
}

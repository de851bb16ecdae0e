//! Reports that are refused or lost: what the API is told in the end is what is so.

use e2e::{agent::LONG, parts, until};
use serde_json::json;

use super::{Rig, sleeper};

#[tokio::test]
async fn a_report_that_is_refused_or_lost_is_sent_again() {
    let mut rig = Rig::on(&parts::docker()).await;
    let reports = async || rig.cloud.requests("report").await;
    // With its apps, and without them.
    rig.cloud.faults(json!([{ "on": "report", "times": 2, "what": { "status": 401 } }])).await;
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

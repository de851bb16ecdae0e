//! An API that is away, slow or mad: what runs goes on, and the device is right when it comes back.

use std::time::Duration;

use e2e::{agent::LONG, parts, until};
use reconcilers::engine::ContainerEngine;
use serde_json::json;

use super::{Rig, sleeper};

/// What the source says of why it has no target state.
async fn away(rig: &Rig) -> Option<String> {
    let told = rig.told(&["balena", "status"]).await?;
    told["away"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn whatever_the_api_answers_what_runs_goes_on() {
    let mut rig = Rig::on(&parts::docker()).await;
    rig.cloud.change_fleet(json!({ "config": { "RESIN_SUPERVISOR_API_REQUEST_TIMEOUT": "1500" } })).await;
    let first = rig.cloud.release(sleeper("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    let runs = rig.container("main").await.unwrap();
    let started = runs.state.started_at;
    for (what, says) in [
        (json!({ "status": 401 }), "401"),
        (json!({ "status": 404 }), "404"),
        (json!({ "wait": [429, 1] }), "429"),
        (json!({ "status": 500 }), "500"),
        (json!("cutBefore"), "error sending request"),
        (json!("cutAfter"), "error sending request"),
        (json!("truncate"), "error"),
        (json!("garbage"), "no JSON"),
        (json!("slow"), "timed out"),
    ] {
        let fault = match what == "slow" {
            true => json!({ "on": "state", "delay": 5000 }),
            false => json!({ "on": "state", "what": what }),
        };
        rig.cloud.faults(json!([fault])).await;
        rig.cloud.change_device(json!({ "variables": { "NOISE": what.to_string() } })).await;
        rig.poll().await;
        until(format!("{what} is told"), LONG, async || {
            away(&rig).await.is_some_and(|why| why.contains(says))
        })
        .await;
        let still = rig.container("main").await.unwrap();
        assert_eq!((still.id.as_str(), still.state.started_at), (runs.id.as_str(), started), "{what}");
    }
    // A clock that is off is none of its business, and a report that is refused or lost is sent again.
    rig.cloud.faults(json!([{ "on": "state", "what": { "clock": -86400 } }, { "on": "report", "times": 2, "what": { "wait": [503, 1] } }])).await;
    rig.poll().await;
    until("it is here again", LONG, async || away(&rig).await.is_none()).await;
    // Right within one poll of its return.
    rig.cloud.faults(json!([])).await;
    let second = rig.cloud.release(sleeper("second")).await;
    rig.poll().await;
    rig.cloud.runs(&second).await;
    assert!(rig.agrees("main", "test $MODE = second").await);
    assert_eq!(away(&rig).await, None);

    // A name that nobody knows, from the start: what runs goes on, and it is told.
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
    let runs = rig.containers().await;
    let elsewhere = rig.at("http://balena.invalid");
    rig.agent = elsewhere.command_in(&rig.device.state_dir(), &rig.device.socket()).start();
    until("it is told", LONG, async || away(&rig).await.is_some_and(|why| why.contains("dns"))).await;
    until("all is held", LONG, async || rig.is_ready().await).await;
    assert_eq!(rig.containers().await, runs);
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
    rig.agent = rig.device.start();
    until("it is here again", LONG, async || away(&rig).await.is_none()).await;
    rig.clear().await;
}

#[tokio::test]
async fn a_device_that_is_deleted_or_frozen_goes_on() {
    let rig = Rig::on(&parts::docker()).await;
    let first = rig.cloud.release(sleeper("first")).await;
    rig.poll().await;
    rig.cloud.runs(&first).await;
    until("it is well", LONG, async || rig.is_ready().await).await;
    let runs = rig.containers().await;
    rig.cloud.change_device(json!({ "frozen": true })).await;
    rig.cloud.release(sleeper("second")).await;
    // The second is asked for once all that follows from the first is done.
    assert_eq!((rig.polled().await, rig.polled().await), ("unchanged".into(), "unchanged".into()));
    assert_eq!((rig.containers().await, rig.is_ready().await), (runs, true));
    rig.cloud.change_device(json!({ "frozen": false })).await;
    rig.poll().await;
    until("it follows again", LONG, async || rig.agrees("main", "test $MODE = second").await).await;
    until("it is well", LONG, async || rig.is_ready().await).await;
    let runs = rig.containers().await;
    rig.cloud.delete_device().await;
    assert_eq!((rig.polled().await, rig.polled().await), ("unchanged".into(), "unchanged".into()));
    assert_eq!((rig.containers().await, rig.is_ready().await), (runs.clone(), true));
    // Nor does it forget what it was to run when it is started again.
    let mut rig = rig;
    rig.agent.kill();
    rig.agent = rig.device.start();
    until("all is held", LONG, async || rig.is_ready().await).await;
    assert_eq!((rig.polled().await, rig.containers().await), ("unchanged".into(), runs));
    assert!(rig.agent.stop(Duration::from_secs(10)).await.success());
    for container in rig.containers().await.into_values() {
        rig.engine.remove(&container).await.unwrap();
    }
}

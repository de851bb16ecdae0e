//! `holdfast logs`, on real engines.

use e2e::{agent::LONG, parts, until};
use serde_json::json;

use crate::rig::Rig;

async fn what_a_container_prints_is_shown(place: String) {
    let rig = Rig::on(place).await;
    let printing = |what: &str| {
        let program = format!("echo one; echo {what}; exec sleep 10000");
        json!({ "command": ["sh", "-c", program] })
    };
    rig.apply(printing("first")).await;
    rig.device.ready(&rig.fleet, 1).await;
    let shown = async |arguments: &[&str]| {
        let mut logs = rig.device.ask([&["logs", "web"], arguments].concat()).start();
        logs.wait(LONG).await;
        logs.stdout()
    };
    until("all is shown", LONG, async || shown(&[]).await == "one\nfirst\n").await;
    assert_eq!(shown(&["--tail", "1"]).await, "first\n");

    // It goes on with the next life, and with the container that takes its place.
    let follower = rig.device.ask(["logs", "web", "--follow"]).start();
    let saw = async |lines: &[&str]| {
        let all = || follower.stdout().lines().map(str::to_owned).collect::<Vec<_>>();
        until(&format!("{lines:?} is followed"), LONG, async || all() == lines).await;
    };
    saw(&["one", "first"]).await;
    let old = rig.container().await.expect("it is there");
    // Podman tells whole seconds: two lives within one are told in any order.
    let begun = old.state.started_at.expect("it was started").as_second();
    until("another second has begun", LONG, async || jiff::Timestamp::now().as_second() > begun).await;
    rig.stop(&old.id).await;
    saw(&["one", "first", "one", "first"]).await;
    rig.apply(printing("second")).await;
    saw(&["one", "first", "one", "first", "one", "second"]).await;

    rig.clear().await;
}

#[tokio::test]
async fn what_a_container_prints_is_shown_on_docker() {
    what_a_container_prints_is_shown(parts::docker()).await;
}

#[tokio::test]
async fn what_a_container_prints_is_shown_on_podman() {
    what_a_container_prints_is_shown(parts::podman()).await;
}

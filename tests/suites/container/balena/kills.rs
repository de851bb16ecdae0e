//! Agents that are killed at any moment: one device, and one set of containers.

use std::time::Duration;

use e2e::{Registry, agent::LONG, parts, until};
use reconcilers::engine::{ContainerEngine, contract::fresh};
use serde_json::json;

use super::{Rig, sleeper};
use crate::IMAGE;

/// Moments that nobody has chosen, up to so many milliseconds away: with the same seed, the same.
struct Moments(u64);

impl Moments {
    fn new() -> Self {
        let seed = fresh("").bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        // Shown where the test fails.
        println!("the moments have the seed {seed}");
        Self(seed)
    }

    fn next(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Killed again and again while it becomes somebody: it becomes one, and no more.
#[tokio::test]
async fn killed_at_any_moment_of_its_registration_it_is_one_device() {
    let mut rig = Rig::starting(&parts::docker()).await;
    let release = rig.cloud.release(sleeper("first")).await;
    rig.cloud.faults(json!([{ "on": "register", "delay": 15 }, { "on": "state", "delay": 10 }])).await;
    let mut moments = Moments::new();
    for _ in 0..parts::rounds(100) {
        // Anywhere from before the first question to after the first target state.
        tokio::time::sleep(Duration::from_millis(moments.next(160))).await;
        rig.agent.kill();
        // Sometimes the answer is lost that says that it is registered.
        let what = if moments.next(3) == 0 { json!("cutAfter") } else { json!("nothing") };
        rig.cloud.faults(json!([{ "on": "register", "delay": 15, "times": 2, "what": what }, { "on": "any", "delay": 10 }])).await;
        rig.agent = rig.device.start();
    }
    rig.cloud.faults(json!([])).await;
    rig.cloud.runs(&release).await;
    assert_eq!(rig.cloud.devices().await.len(), 1);
    assert_eq!(rig.containers().await.len(), 1);
    rig.clear().await;
}

/// Killed again and again while it follows releases, pulls among it: it has one set of containers, and the right one.
#[tokio::test]
async fn killed_at_any_moment_of_an_update_it_has_one_set_of_containers() {
    let registry = Registry::open().await;
    let name = |service: &str, round: u64| format!("shop/{service}:{}", round % 4);
    for (service, tag) in
        [("one", 0), ("one", 1), ("one", 2), ("one", 3), ("two", 0), ("two", 1), ("two", 2), ("two", 3)]
    {
        registry.push_variant(&parts::docker(), IMAGE, &name(service, tag)).await;
    }
    let release_of = |round: u64| {
        let service = |service: &str, needs: &[&str]| {
            json!({
                "image": registry.image(&name(service, round)), "command": "sleep 10000", "stop_grace_period": 0, "depends_on": needs,
                "environment": { "MODE": format!("round {round}") }
            })
        };
        json!({ "services": { "one": service("one", &[]), "two": service("two", &["one"]) } })
    };
    let mut rig = Rig::on(&parts::docker()).await;
    let (mut release, mut moments, rounds) = (String::new(), Moments::new(), parts::rounds(100));
    for round in 0..rounds {
        release = rig.cloud.release(release_of(round)).await;
        // Whoever is being started may not answer yet.
        let mut poll = rig.device.ask(["balena", "poll"]).start();
        poll.wait(LONG).await;
        tokio::time::sleep(Duration::from_millis(moments.next(900))).await;
        rig.agent.kill();
        rig.agent = rig.device.start();
    }
    rig.cloud.runs(&release).await;
    let last = format!("test \"$MODE\" = 'round {}'", rounds - 1);
    assert!(rig.agrees("one", &last).await && rig.agrees("two", &last).await);
    assert_eq!(rig.cloud.devices().await.len(), 1);
    let all = rig.engine.containers().await.unwrap();
    let own = all.iter().filter(|own| own.labels.get("io.balena.app-uuid") == Some(&rig.cloud.uuid));
    assert_eq!(own.count(), 2, "nothing is left of the former ones");
    let kept = async |service: &str| {
        let mut kept = 0;
        for tag in 0..4 {
            let image = rig.engine.image(&registry.image(&name(service, tag))).await.unwrap();
            kept += usize::from(image.is_some());
        }
        kept
    };
    until("the present and the previous images are left", LONG, async || {
        (1..=2).contains(&kept("one").await) && (1..=2).contains(&kept("two").await)
    })
    .await;
    rig.clear().await;
}

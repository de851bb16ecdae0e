//! Agents that are killed at any moment: one device, and one set of containers.

use std::time::Duration;

use e2e::{Device, Registry, agent::LONG, parts, until};
use reconcilers::engine::{
    ContainerEngine,
    contract::{fresh, listed},
};
use serde_json::json;

use super::{Cloud, Rig};
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

/// Killed while it becomes somebody, each time another device: it becomes one, and no more.
#[tokio::test]
async fn killed_at_any_moment_of_its_registration_it_is_one_device() {
    let (cloud, place, mut moments) = (Cloud::open().await, parts::docker(), Moments::new());
    for round in 1..=parts::rounds(100) {
        // Sometimes the answer is lost that says that it is registered.
        let what = if moments.next(3) == 0 { "cutAfter" } else { "nothing" };
        cloud
            .faults(json!([{ "on": "register", "delay": 15, "what": what }, { "on": "any", "delay": 10 }]))
            .await;
        let device =
            Device::new_of_balena(&fresh("pump"), &cloud.endpoint(), &place, &cloud.key, cloud.fleet);
        let mut agent = device.start();
        // Anywhere from before the first question to after the first target state.
        tokio::time::sleep(Duration::from_millis(moments.next(160))).await;
        agent.kill();
        cloud.faults(json!([])).await;
        let mut agent = device.start();
        let count = usize::try_from(round).unwrap();
        let asking = async || cloud.devices().await.iter().filter(|own| own["asked"] == true).count();
        until("it is somebody", LONG, async || asking().await == count).await;
        assert_eq!(cloud.devices().await.len(), count, "round {round}: it was somebody else before");
        agent.kill();
    }
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
    let all = listed(&rig.engine).await;
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

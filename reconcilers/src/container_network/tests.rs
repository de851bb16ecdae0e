//! Networks keep the contract in the fake engine, and what is in them is not cut off for nothing.

use std::{collections::BTreeMap, sync::Arc};

use manifest_types::{digest::Digest, kinds::ResourceSpec};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{fixture::Networks, *};
use crate::{
    engine::{
        NewContainer,
        bed::FakeBed,
        fake::{Behaviour, FakeEngine},
    },
    error::Failure,
};

crate::promises!(Networks<FakeBed>);

/// A device on which one network is held, with a container of ours that may be in it.
struct Rig {
    fake: FakeEngine,
    reconciler: ContainerNetworkReconciler<FakeEngine>,
    id: ResourceId,
}

fn spec(spec: Value) -> ContainerNetworkSpec {
    serde_json::from_value(spec).unwrap()
}

impl Rig {
    fn new() -> Self {
        let fake = FakeEngine::default();
        fake.add_image("docker.io/library/web:1", "sha256:1", Behaviour::Runs);
        let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
        Self {
            reconciler: ContainerNetworkReconciler::new(Arc::clone(&link)),
            fake,
            id: "net".parse().unwrap(),
        }
    }

    async fn put(&self, old: &ContainerNetworkSpec, new: &ContainerNetworkSpec) -> Result<(), Failure> {
        let claims = old.claims(&self.id).into_iter().chain(new.claims(&self.id));
        let held: BTreeMap<_, _> = claims.map(|claim| (claim, Before::Absent)).collect();
        let owned = Owned { spec: old, applied: true, attempted: None, held: &held };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        let put = Put { id: &self.id, spec: new, digest: Digest::of(b""), owned, restart: false };
        self.reconciler.reconcile(&cx, &put).await.map(drop).map_err(|error| error.to_failure())
    }

    async fn look(&self, wanted: &ContainerNetworkSpec) -> Sight {
        let held = wanted.claims(&self.id).into_iter().map(|claim| (claim, Before::Absent)).collect();
        let owned = Some(Owned { spec: wanted, applied: true, attempted: None, held: &held });
        let target = Target { id: &self.id, wanted: Some(wanted), owned };
        self.reconciler.observe(&[target]).await.unwrap().remove(&self.id).unwrap().unwrap()
    }

    async fn add_member(&self, network: &str) {
        let spec = json!({ "image": "web:1", "networks": [{ "name": network, "aliases": ["www"] }] });
        let spec = serde_json::from_value(spec).unwrap();
        let marks = Texts::from([(marks::AGENT.to_owned(), "pump-17".to_owned())]);
        self.fake.create(&NewContainer { name: "web", spec: &spec, marks: &marks }).await.unwrap();
    }

    async fn member_is_in(&self, network: &str) -> bool {
        let shape = self.fake.container("web").await.unwrap().unwrap().shape;
        let aliases = shape.get(&format!("networks.{network}.aliases"));
        shape.get(&format!("networks.{network}")).is_some() && aliases == Some(&json!(["www"]))
    }

    async fn network(&self, name: &str) -> Option<Network> {
        self.fake.networks().await.unwrap().into_iter().find(|network| network.name == name)
    }
}

#[tokio::test]
async fn what_the_engine_does_not_keep_is_told_and_not_asked_for_again() {
    let rig = Rig::new();
    rig.fake.forget_setting("internal");
    let wanted = spec(json!({ "internal": true }));
    let failure = rig.put(&wanted, &wanted).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("NotKeptByEngine", false));
    assert!(failure.message.contains("another internal"), "{}", failure.message);
    assert!(rig.network("net").await.is_some(), "it is left as it is");
}

#[tokio::test]
async fn a_spec_that_the_engine_does_not_take_leaves_the_network_as_it_was() {
    let rig = Rig::new();
    let old = spec(
        json!({ "internal": true, "labels": { "a": "b" }, "ipam": { "pools": [{ "subnet": "10.89.7.0/24" }] } }),
    );
    rig.put(&old, &old).await.unwrap();
    rig.add_member("net").await;
    let before = rig.network("net").await.unwrap();
    let failure = rig.put(&old, &spec(json!({ "driver": "of-nobody" }))).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.rolled_back), ("UpdateRolledBack", true));
    let after = rig.network("net").await.unwrap();
    assert_eq!(Network { id: before.id.clone(), ..after }, before);
    assert!(rig.member_is_in("net").await, "who was in it is in it again");
    rig.put(&old, &old).await.unwrap();
    assert_eq!(rig.network("net").await.unwrap().labels, before.labels);
}

#[tokio::test]
async fn after_a_kill_between_the_two_the_former_one_comes_back_too() {
    let rig = Rig::new();
    let old = spec(json!({ "internal": true, "ipam": { "pools": [{ "subnet": "10.89.7.0/24" }] } }));
    rig.put(&old, &old).await.unwrap();
    rig.fake.remove_network("net").await.unwrap();
    let failure = rig.put(&old, &spec(json!({ "driver": "of-nobody" }))).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.rolled_back), ("UpdateRolledBack", true));
    let seen = rig.look(&old).await;
    assert!(seen.is_ours && seen.drift(&old).is_empty(), "{seen:?}");
}

#[tokio::test]
async fn what_somebody_elses_container_is_in_is_not_taken_apart() {
    let rig = Rig::new();
    let old = spec(json!({}));
    rig.put(&old, &old).await.unwrap();
    rig.add_member("net").await;
    let debug = serde_json::from_value(json!({ "image": "web:1", "networks": [{ "name": "net" }] })).unwrap();
    rig.fake.create(&NewContainer { name: "debug", spec: &debug, marks: &Texts::new() }).await.unwrap();
    let failure = rig.put(&old, &spec(json!({ "internal": true }))).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("InUse", true));
    assert!(failure.message.contains("container debug is in it"), "{}", failure.message);
    assert!(rig.member_is_in("net").await, "ours was not moved for nothing");
}

#[tokio::test]
async fn who_is_taken_out_for_a_while_counts_as_in_it_and_one_that_is_put_back_by_others_is_no_hindrance() {
    let rig = Rig::new();
    let old = spec(json!({}));
    rig.put(&old, &old).await.unwrap();
    rig.add_member("net").await;
    let link = &rig.reconciler.link;
    let members = rig.reconciler.members(&old, "net").await.map_err(|error| error.to_failure()).unwrap();
    let in_it =
        async || link.container("web").await.unwrap().unwrap().shape.get("networks.net.aliases").cloned();
    let rebuilding = link.rebuild("net", &members);
    rig.fake.disconnect("web", "net").await.unwrap();
    assert_eq!(in_it().await, Some(json!(["www"])), "it is told as it was");
    drop(rebuilding);
    assert_eq!(in_it().await, None);
    rig.fake.connect("web", &members[0].1).await.unwrap();
    rig.reconciler.put_back(&members).await.unwrap();
    rig.fake.remove("web").await.unwrap();
    rig.reconciler.put_back(&members).await.unwrap();
}

#[test]
fn what_passes_is_not_held_against_the_spec() {
    let refused = |message: &str| EngineError::Refused {
        doing: "make it".into(),
        cause: Cause::of(403, message),
        message: message.into(),
    };
    assert!(!blames_the_spec(&refused("Pool overlaps with other one on this address space")));
    assert!(!blames_the_spec(&EngineError::TooSlow { doing: "make it".into(), limit: Default::default() }));
    assert!(blames_the_spec(&refused("plugin \"of-nobody\" not found")));
}

#[tokio::test]
async fn a_network_that_gets_another_name_does_not_wait_for_who_waits_for_it() {
    let rig = Rig::new();
    let (old, new) = (spec(json!({})), spec(json!({ "name": "shop" })));
    rig.put(&old, &old).await.unwrap();
    rig.add_member("net").await;
    rig.put(&old, &new).await.unwrap();
    assert!(rig.network("shop").await.is_some());
    assert!(rig.member_is_in("net").await, "its own step takes it out");
    let mut hints = rig.reconciler.drift_hints();
    assert_eq!(rig.look(&new).await.drift(&new), [], "what is still needed is no drift");
    rig.fake.remove("web").await.unwrap();
    assert_eq!(rig.look(&new).await.drift(&new), []);
    let goes = async {
        while rig.network("net").await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = goes => {}
        _ = async { while hints.next().await.is_some() {} } => panic!("the hints go on"),
    }
}

#[tokio::test]
async fn a_former_name_that_is_another_resources_now_is_left() {
    let rig = Rig::new();
    let (old, new) = (spec(json!({})), spec(json!({ "name": "shop" })));
    rig.put(&old, &old).await.unwrap();
    let heir: ResourceId = "heir".parse().unwrap();
    rig.reconciler.names.set(&heir, ["net".to_owned()]);
    rig.put(&new, &new).await.unwrap();
    let mut hints = rig.reconciler.drift_hints();
    rig.look(&new).await;
    rig.put(&new, &new).await.unwrap();
    assert!(futures_util::poll!(hints.next()).is_pending());
    assert!(rig.network("net").await.is_some());
}

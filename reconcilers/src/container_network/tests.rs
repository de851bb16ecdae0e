//! Networks keep the contract in the fake engine.

use std::collections::BTreeMap;

use manifest_types::digest::Digest;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{fixture::Networks, *};
use crate::engine::{bed::FakeBed, fake::FakeEngine};

crate::promises!(Networks<FakeBed>);

#[tokio::test]
async fn what_the_engine_does_not_keep_is_told_and_not_asked_for_again() {
    let fake = FakeEngine::default();
    fake.forget_setting("internal");
    let link = Link::new(fake.clone(), "pump-17".parse().unwrap());
    let reconciler = ContainerNetworkReconciler::new(link);
    let id: ResourceId = "net".parse().unwrap();
    let spec = serde_json::from_value(json!({ "internal": true })).unwrap();
    let held = BTreeMap::from([(Claim::Network("net".to_owned()), Before::Absent)]);
    let owned = Owned { spec: &spec, applied: true, attempted: None, held: &held };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let put = Put { id: &id, spec: &spec, digest: Digest::of(b""), owned, restart: false };
    let failure = reconciler.reconcile(&cx, &put).await.unwrap_err().to_failure();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("NotKeptByEngine", false));
    assert!(failure.message.contains("another internal"), "{}", failure.message);
    let all = fake.networks().await.unwrap();
    assert!(all.iter().any(|network| network.name == "net"), "it is left as it is");
}

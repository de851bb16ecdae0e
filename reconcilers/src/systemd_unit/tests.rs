//! Units keep the contract with an init system in memory, and what goes wrong there leaves things as they were.

use std::collections::BTreeMap;

use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::{ResourceSpec, systemd_unit::SystemdUnitSpec},
    name::ResourceId,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    fake::{FAILS, REFUSED},
    fixture::{InMemory, Units},
    init::Active,
    sight::Sight,
};
use crate::{
    contract::Fixture,
    error::Failure,
    observation::{Before, Health, Observed},
    reconciler::{Hint, Owned, Put, Reconciler, StepContext, Target},
};

crate::promises!(Units<InMemory>);

type Rig = Units<InMemory>;

fn spec(name: &str, more: Value) -> SystemdUnitSpec {
    let mut spec = json!({ "name": name });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn held(spec: &SystemdUnitSpec, id: &ResourceId) -> BTreeMap<Claim, Before> {
    spec.claims(id).into_iter().map(|claim| (claim, Before::Absent)).collect()
}

async fn put(
    rig: &Rig,
    id: &str,
    old: Option<&SystemdUnitSpec>,
    new: &SystemdUnitSpec,
) -> Result<Sight, Failure> {
    let id: ResourceId = id.parse().unwrap();
    let held = [new].into_iter().chain(old).flat_map(|spec| held(spec, &id)).collect();
    let owned = Owned { spec: old.unwrap_or(new), applied: old.is_some(), attempted: None, held: &held };
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let put = Put { id: &id, spec: new, digest: Digest::of(b""), owned, restart: false };
    let outcome = rig.reconciler().reconcile(&cx, &put).await;
    outcome.map(|told| told.expect("a step tells what it saw")).map_err(|error| error.to_failure())
}

async fn see(rig: &Rig, wanted: &SystemdUnitSpec) -> Sight {
    let id: ResourceId = "it".parse().unwrap();
    let held = held(wanted, &id);
    let owned = Owned { spec: wanted, applied: true, attempted: None, held: &held };
    let target = Target { id: &id, wanted: Some(wanted), owned: Some(owned) };
    let sight = rig.reconciler().observe(&[target]).await.unwrap().remove(&id).unwrap();
    sight.map_err(|error| error.to_failure()).unwrap()
}

#[tokio::test]
async fn a_text_that_is_refused_leaves_the_former_one_and_what_runs() {
    let rig = Rig::new().await;
    let old = rig.first();
    let before = put(&rig, "it", None, &old).await.unwrap();
    let text = format!("[Service]\nExecStart=/bin/sleep 9\n{REFUSED}\n");
    let bad = spec(&rig.unit(), json!({ "content": text, "state": "Active" }));
    let failure = put(&rig, "it", Some(&old), &bad).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.rolled_back), ("UpdateRolledBack", true));
    assert!(failure.message.contains("it has a bad setting"), "{}", failure.message);
    let after = see(&rig, &old).await;
    let pid = |sight: &Sight| sight.unit.service.as_ref().and_then(|service| service.main_pid);
    assert_eq!(pid(&after), pid(&before), "it was not restarted");
    assert!(
        after
            .files
            .iter()
            .all(|(path, file)| before.files.get(path).is_none_or(|was| was.found == file.found))
    );
}

#[tokio::test]
async fn who_change_at_the_same_time_share_reloads() {
    let rig = Rig::new().await;
    let specs: Vec<_> = (0..32)
        .map(|number| {
            let text = format!("[Service]\nExecStart=/bin/sleep {number}\n");
            spec(&format!("shared-{number}.service"), json!({ "content": text, "state": "Active" }))
        })
        .collect();
    let before = rig.init().reloads();
    let ids: Vec<_> = (0..32).map(|number| format!("u{number}")).collect();
    let steps = specs.iter().zip(&ids).map(|(spec, id)| put(&rig, id, None, spec));
    for outcome in futures_util::future::join_all(steps).await {
        assert_eq!(outcome.unwrap().unit.active, Active::Active);
    }
    let reloads = rig.init().reloads() - before;
    assert!((1..16).contains(&reloads), "{reloads} reloads for 32 units");
}

#[tokio::test]
async fn what_fails_at_once_is_told_and_rests() {
    let rig = Rig::new().await;
    let text = format!("[Service]\nExecStart=/bin/false\n{FAILS}\n");
    let bad = spec(&rig.unit(), json!({ "content": text, "state": "Active" }));
    for _ in 0..2 {
        put(&rig, "it", None, &bad).await.unwrap_err();
        assert!(matches!(see(&rig, &bad).await.health(), Health::Unhealthy { reason: "UnitFailed", .. }));
    }
    let failure = put(&rig, "it", None, &bad).await.unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.can_retry), ("JobFailed", true));
    let told = format!(
        "starting {0} ended with failed (exit-code); its journal ends with: {0} was here",
        rig.unit()
    );
    assert_eq!(failure.message, told);
    let seen = see(&rig, &bad).await;
    assert!(matches!(seen.health(), Health::Unhealthy { reason: "CrashLoop", .. }), "{:?}", seen.health());
    assert!(
        !seen.drift(&bad).iter().any(|difference| difference.path == "state"),
        "it is left alone for a while"
    );
}

#[tokio::test]
async fn what_systemd_cannot_do_is_told() {
    let rig = Rig::new().await;
    let reason = async |spec: SystemdUnitSpec| put(&rig, "it", None, &spec).await.unwrap_err().reason;
    assert_eq!(reason(spec("nowhere.service", json!({ "state": "Active" }))).await, "UnitMissing");
    let bare = json!({ "content": "[Service]\nExecStart=/bin/true\n", "enabled": true });
    assert_eq!(reason(spec("bare.service", bare)).await, "NotInstallable");
    assert_eq!(reason(spec("dbus.service", json!({ "masked": true }))).await, "Protected");
    assert_eq!(reason(spec("a.service", json!({ "scope": "User", "state": "Active" }))).await, "SystemdAway");
}

#[tokio::test]
async fn an_init_system_that_is_away_hides_its_units_and_tells_when_it_is_back() {
    let rig = Rig::new().await;
    let wanted = rig.first();
    put(&rig, "it", None, &wanted).await.unwrap();
    see(&rig, &wanted).await;
    let mut hints = rig.reconciler().drift_hints();
    rig.init().end(&rig.unit(), false);
    let next = async |hints: &mut futures_util::stream::BoxStream<'static, Hint>| {
        futures_util::StreamExt::next(hints).await.unwrap()
    };
    assert_eq!(next(&mut hints).await, Hint::Resource("it".parse().unwrap()));
    rig.init().set_away(true);
    assert_eq!(next(&mut hints).await, Hint::Kind);
    let id: ResourceId = "it".parse().unwrap();
    let target = Target { id: &id, wanted: Some(&wanted), owned: None };
    assert_eq!(rig.reconciler().observe(&[target]).await.unwrap_err().reason, "SystemdAway");
    assert_eq!(rig.reconciler().capability(), None);
    rig.init().set_away(false);
    let seen = see(&rig, &wanted).await;
    let paths: Vec<_> = seen.drift(&wanted).into_iter().map(|difference| difference.path).collect();
    assert_eq!(paths, ["state"], "it is to run again");
}

#[tokio::test]
async fn a_drop_in_that_is_wanted_no_more_goes_with_its_directory() {
    let rig = Rig::new().await;
    let with = rig.first();
    put(&rig, "it", None, &with).await.unwrap();
    let without = SystemdUnitSpec { drop_ins: BTreeMap::new(), ..with.clone() };
    let seen = see(&rig, &with).await;
    assert_eq!(seen.unit.drop_ins.len(), 1);
    let pid = |sight: &Sight| sight.unit.service.as_ref().and_then(|service| service.main_pid);
    let before = pid(&seen);
    let seen = put(&rig, "it", Some(&with), &without).await.unwrap();
    assert!(seen.unit.drop_ins.is_empty() && seen.unit.active == Active::Active, "{seen:?}");
    assert!(pid(&seen) > before, "it was restarted for that");
    let found = rig.in_all().await;
    assert!(!found.keys().any(|path| path.contains(".d")), "{found:?}");
}

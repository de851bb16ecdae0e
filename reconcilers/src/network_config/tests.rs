//! Interfaces keep the contract with a kernel in memory, and what is not confirmed is as it was before.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::future::BoxFuture;
use manifest_types::{claim::Claim, digest::Digest, kinds::ResourceSpec};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{
    backend::{fake::FakeBackend, plain::Plain},
    fixture::{InMemory, Interfaces, host},
    kernel::fake::FakeKernel,
    moves::Change as Asked,
    terms::{Addr, Made, Route},
    *,
};
use crate::{
    contract::drop_after,
    error::Failure,
    observation::{Before, Observed},
    reconciler::Owned,
};

mod back;
mod others;
mod trial;

crate::promises!(Interfaces<InMemory>);

/// A control plane beyond a gateway of one interface.
struct Beyond {
    kernel: FakeKernel,
    link: &'static str,
    gateway: IpAddr,
    is_down: AtomicBool,
}

impl Reachability for Beyond {
    fn control_plane(&self) -> BoxFuture<'static, Result<(), String>> {
        let (kernel, link, gateway) = (self.kernel.clone(), self.link, self.gateway);
        let is_down = self.is_down.load(Ordering::Relaxed);
        Box::pin(async move {
            let links = kernel.links().await.map_err(|error| error.to_string())?;
            let leads = links
                .get(link)
                .is_some_and(|link| gateways(link).contains(&gateway) && link.master.is_none());
            if leads && !is_down { Ok(()) } else { Err("no route to host".into()) }
        })
    }
}

/// A device whose only way out is `eth0`.
struct Rig<B = Plain> {
    kernel: FakeKernel,
    backend: B,
    beyond: Arc<Beyond>,
    reconciler: NetworkConfigReconciler<FakeKernel, B>,
    state: TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::with(Plain).await
    }
}

impl<B: Backend + Clone> Rig<B> {
    async fn with(backend: B) -> Self {
        let kernel = FakeKernel::default();
        kernel.plug("eth0", &["192.0.2.10/24"]);
        kernel.plug("eth1", &[]);
        let gateway: IpAddr = "192.0.2.1".parse().unwrap();
        kernel.neighbour("eth0", "192.0.2.1");
        let default = Route::of("0.0.0.0/0".parse().unwrap(), Some(gateway), 0, terms::MAIN_TABLE);
        kernel.abuse("eth0", Asked::AddRoute(default)).unwrap();
        let beyond = Arc::new(Beyond {
            kernel: kernel.clone(),
            link: "eth0",
            gateway,
            is_down: AtomicBool::new(false),
        });
        let state = TempDir::new().unwrap();
        let reconciler = Self::reconciler(&state, &kernel, &backend, &beyond);
        Self { kernel, backend, beyond, reconciler, state }
    }

    fn reconciler(
        state: &TempDir,
        kernel: &FakeKernel,
        backend: &B,
        beyond: &Arc<Beyond>,
    ) -> NetworkConfigReconciler<FakeKernel, B> {
        let reach: Arc<dyn Reachability> = beyond.clone();
        NetworkConfigReconciler::new(&host(state, reach), kernel.clone(), backend.clone())
    }

    /// The agent is killed and started again.
    fn restart(&mut self) {
        self.reconciler = Self::reconciler(&self.state, &self.kernel, &self.backend, &self.beyond);
    }

    async fn put_at(&self, id: &str, spec: &NetworkConfigSpec) -> Result<(), Failure> {
        let (id, held) = (id.parse().unwrap(), held(spec));
        let owned = Owned { spec, applied: false, attempted: None, held: &held };
        let put = Put { id: &id, spec, digest: digest(spec), owned, restart: false };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        self.reconciler.reconcile(&cx, &put).await.map(drop).map_err(|error| error.to_failure())
    }

    async fn put(&self, spec: &NetworkConfigSpec) -> Result<(), Failure> {
        self.put_at("wan", spec).await
    }

    async fn take(&self, spec: &NetworkConfigSpec) -> Result<(), Failure> {
        self.take_at("wan", spec).await
    }

    async fn take_at(&self, id: &str, spec: &NetworkConfigSpec) -> Result<(), Failure> {
        let (id, held) = (id.parse().unwrap(), held(spec));
        let owned = Owned { spec, applied: true, attempted: None, held: &held };
        let cx = StepContext::new(CancellationToken::new(), |_, _| {});
        self.reconciler.delete(&cx, &Take { id: &id, owned }).await.map_err(|error| error.to_failure())
    }

    async fn see(&self, spec: &NetworkConfigSpec) -> Sight {
        self.see_at("wan", spec).await
    }

    async fn see_at(&self, id: &str, spec: &NetworkConfigSpec) -> Sight {
        let (id, held) = (id.parse().unwrap(), held(spec));
        let owned = Owned { spec, applied: true, attempted: None, held: &held };
        let target = Target { id: &id, wanted: Some(spec), owned: Some(owned) };
        let mut sights = self.reconciler.observe(&[target]).await.unwrap();
        sights.remove(&id).unwrap().map_err(|error| error.to_failure()).unwrap()
    }

    async fn links(&self) -> Links {
        self.kernel.links().await.unwrap()
    }
}

fn held(spec: &NetworkConfigSpec) -> BTreeMap<Claim, Before> {
    spec.claims(&"wan".parse().unwrap()).into_iter().map(|claim| (claim, Before::Original)).collect()
}

fn digest(spec: &NetworkConfigSpec) -> Digest {
    Digest::of(serde_json::to_string(spec).unwrap().as_bytes())
}

fn spec(more: Value) -> NetworkConfigSpec {
    let mut spec = json!({ "match": { "name": "eth0" }, "confirm": { "within": "5s" } });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn good() -> NetworkConfigSpec {
    spec(json!({ "mtu": 1400, "ipv4": { "addresses": ["192.0.2.11/24"], "gateway": "192.0.2.1" } }))
}

/// What cuts the device off, in all the ways that there are.
fn cuts() -> [NetworkConfigSpec; 4] {
    [
        spec(json!({ "ipv4": { "addresses": ["198.51.100.7/24"], "gateway": "198.51.100.1" } })),
        spec(json!({ "ipv4": { "addresses": ["192.0.2.11/24"], "gateway": "192.0.2.99" } })),
        spec(json!({ "state": "Down" })),
        spec(
            json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth0"], "ipv4": { "addresses": ["192.0.2.11/24"] } }),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_is_right_is_kept_and_held() {
    let rig = Rig::new().await;
    rig.put(&good()).await.unwrap();
    let seen = rig.see(&good()).await;
    assert!(seen.drift(&good()).is_empty() && seen.was_there == Some(true), "{:?}", seen.drift(&good()));
    rig.kernel.abuse("eth0", Asked::RemoveAddress(Addr::of("192.0.2.11/24".parse().unwrap()))).unwrap();
    let paths: Vec<_> = rig.see(&good()).await.drift(&good()).into_iter().map(|found| found.path).collect();
    assert_eq!(paths, ["ipv4.addresses", "ipv4.gateway"]);
    // What was confirmed once is brought about again offline, too.
    rig.beyond.is_down.store(true, Ordering::Relaxed);
    rig.put(&good()).await.unwrap();
    assert!(rig.see(&good()).await.drift(&good()).is_empty());
    let changes = rig.kernel.changes();
    rig.put(&good()).await.unwrap();
    assert_eq!(rig.kernel.changes(), changes, "the second time changes nothing");
}

#[tokio::test(start_paused = true)]
async fn what_cuts_the_device_off_is_taken_back_in_time_and_says_so() {
    for cut in cuts() {
        let rig = Rig::new().await;
        let before = rig.links().await;
        let began = Instant::now();
        let failure = rig.put(&cut).await.unwrap_err();
        assert_eq!((failure.reason.as_str(), failure.rolled_back), ("RolledBack", true), "{failure:?}");
        assert!(
            failure.message.contains("ControlPlane") || failure.message.contains("not as wanted"),
            "{failure:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        assert_eq!(rig.links().await, before, "{cut:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_failed_before_does_not_count() {
    let rig = Rig::new().await;
    rig.beyond.is_down.store(true, Ordering::Relaxed);
    rig.put(&good()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_answer_is_no_gateway() {
    let rig = Rig::new().await;
    let confirm = json!({ "within": "5s", "checks": ["Gateway"] });
    let silent =
        json!({ "ipv4": { "addresses": ["192.0.2.11/24"], "gateway": "192.0.2.9" }, "confirm": confirm });
    let failure = rig.put(&spec(silent)).await.unwrap_err();
    assert!(
        failure.message.contains("check Gateway of eth0 failed (192.0.2.9 does not answer)"),
        "{failure:?}"
    );
    let answers =
        json!({ "ipv4": { "addresses": ["192.0.2.11/24"], "gateway": "192.0.2.1" }, "confirm": confirm });
    rig.put(&spec(answers)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_is_as_before_or_confirmed_and_is_not_tried_again() {
    let mut outcomes = BTreeSet::new();
    for cut in cuts().iter().chain([&good()]) {
        for wakes in 0..120 {
            let mut rig = Rig::new().await;
            let before = rig.links().await;
            let is_done = drop_after(rig.put(cut), wakes).await.is_some();
            rig.restart();
            let seen = rig.see(cut).await;
            let links = rig.links().await;
            let is_confirmed = seen.drift(cut).is_empty();
            assert!(is_confirmed || links == before, "{cut:?} after {wakes} wakes: {links:?}");
            assert!(!is_confirmed || *cut == good(), "what cuts the device off is never kept");
            if is_done || is_confirmed {
                break;
            }
            // What was begun is not tried again by itself; whoever asks once more wants that.
            let told = rig.put(cut).await;
            let is_told =
                told.as_ref().is_err_and(|failure| failure.message.contains("the agent ended before"));
            outcomes.insert(is_told);
            if is_told {
                assert_eq!(rig.links().await, before);
                assert_eq!(rig.put(cut).await.is_ok(), *cut == good());
            }
        }
    }
    assert_eq!(outcomes.len(), 2, "some kills were before the change, some in the middle of it");
}

/// A backend outlives the agent, and with it what it keeps until it hears how a change has ended.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_the_backend_hears_how_it_ended() {
    let mut kept = BTreeSet::new();
    for wanted in [good(), cuts()[0].clone()] {
        for wakes in 0..160 {
            let mut rig = Rig::with(FakeBackend::default()).await;
            let is_done = drop_after(rig.put(&wanted), wakes).await.is_some();
            rig.restart();
            let is_kept = rig.see(&wanted).await.drift(&wanted).is_empty();
            let profiles = rig.backend.settled().expect("no change is open");
            assert_eq!(profiles.contains_key("eth0"), is_kept, "{wanted:?} after {wakes} wakes");
            kept.insert((is_kept, is_done));
            if is_done {
                break;
            }
        }
    }
    assert_eq!(kept.len(), 4, "some were killed after they were confirmed");
}

#[tokio::test(start_paused = true)]
async fn what_the_kernel_refuses_is_taken_back() {
    for refused in 0..6 {
        let rig = Rig::new().await;
        let before = rig.links().await;
        rig.kernel.refuse_after(refused);
        match rig.put(&good()).await {
            Ok(()) => assert!(refused > 2),
            Err(failure) => {
                assert!(failure.rolled_back, "{failure:?}");
                assert_eq!(rig.links().await, before);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_put_back_at_once_is_put_back_as_soon_as_it_can_be() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    rig.kernel.give_no_addresses(true);
    assert_eq!(rig.put(&good()).await.unwrap_err().reason, "NotBack");
    let (id, wanted) = ("wan".parse().unwrap(), good());
    let target = Target { id: &id, wanted: Some(&wanted), owned: None };
    assert_eq!(rig.reconciler.observe(&[target]).await.unwrap_err().reason, "NotBack");
    rig.kernel.give_no_addresses(false);
    rig.see(&good()).await;
    assert_eq!(rig.links().await, before);
}

#[tokio::test(start_paused = true)]
async fn taken_away_it_is_as_it_was_before() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    rig.put(&good()).await.unwrap();
    let other = spec(json!({ "ipv4": { "addresses": ["192.0.2.12/24"], "gateway": "192.0.2.1" } }));
    rig.put(&other).await.unwrap();
    rig.take(&other).await.unwrap();
    assert_eq!(rig.links().await, before);
    rig.take(&other).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_made_goes_and_its_ports_are_as_they_were() {
    let rig = Rig::new().await;
    let before = rig.links().await;
    let bridge = spec(
        json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth1"], "ipv4": { "addresses": ["10.1.0.1/24"] } }),
    );
    rig.put(&bridge).await.unwrap();
    let links = rig.links().await;
    assert_eq!(links["eth1"].master.as_deref(), Some("br0"));
    assert!(rig.see(&bridge).await.drift(&bridge).is_empty());
    rig.take(&bridge).await.unwrap();
    assert_eq!(rig.links().await, before);
}

/// Several change together: one that wants what another one wants stands in nobody else's way.
#[tokio::test(start_paused = true)]
async fn an_address_is_wanted_once() {
    let rig = Rig::new().await;
    let on = |name: &str, address: &str| {
        spec(json!({ "match": { "name": name }, "type": "Bridge", "ipv4": { "addresses": [address] } }))
    };
    let specs = [on("br0", "10.1.0.1/24"), on("br1", "10.1.0.1/16"), on("br2", "10.9.0.1/24")];
    let ids: Vec<ResourceId> = ["one", "two", "three"].map(|id| id.parse().unwrap()).into();
    let holds: Vec<_> = specs.iter().map(held).collect();
    let changes: Vec<_> = ids
        .iter()
        .zip(&specs)
        .zip(&holds)
        .map(|((id, spec), held)| {
            let owned = Owned { spec, applied: false, attempted: None, held };
            Change::Put(Put { id, spec, digest: digest(spec), owned, restart: false })
        })
        .collect();
    let cx = StepContext::new(CancellationToken::new(), |_, _| {});
    let outcomes = rig.reconciler.transact(&cx, &changes).await;
    let reasons: Vec<_> = ids
        .iter()
        .map(|id| outcomes[id].as_ref().err().map(|error| error.reason()).unwrap_or_default())
        .collect();
    assert_eq!(reasons, ["SharedAddress", "SharedAddress", ""]);
    let links = rig.links().await;
    assert!(links.contains_key("br2") && !links.contains_key("br0") && !links.contains_key("br1"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_told_and_changes_nothing() {
    let rig = Rig::new().await;
    for (bridge, port) in [("docker0", "veth1"), ("br9", "eth5")] {
        rig.kernel.plug(port, &[]);
        rig.kernel.abuse(bridge, Asked::Make(Made::Bridge)).unwrap();
        rig.kernel.abuse(port, Asked::Master(Some(bridge.into()))).unwrap();
    }
    let before = rig.links().await;
    let mac = |name: &str| before[name].mac.unwrap().to_string();
    for (more, reason) in [
        (json!({ "match": { "name": "eth9" } }), "InterfaceMissing"),
        (json!({ "match": { "mac": "52:54:00:12:34:56" } }), "InterfaceMissing"),
        (json!({ "match": { "mac": mac("docker0") } }), "Protected"),
        (json!({ "match": { "mac": mac("br9") } }), "InterfaceMissing"),
        (json!({ "match": { "name": "veth1" } }), "Protected"),
        (json!({ "match": { "mac": mac("veth1") } }), "Protected"),
        (json!({ "match": { "name": "br0" }, "type": "Bridge", "ports": ["eth9"] }), "InterfaceMissing"),
        (
            json!({ "match": { "name": "br9" }, "type": "Vlan", "vlan": { "id": 7, "parent": "eth0" } }),
            "Conflict",
        ),
        (
            json!({ "match": { "name": "v7" }, "type": "Vlan", "vlan": { "id": 7, "parent": "eth9" } }),
            "InterfaceMissing",
        ),
        (json!({ "ipv4": { "dhcp": true } }), "Unsupported"),
        (json!({ "dns": { "servers": ["192.0.2.53"] } }), "Unsupported"),
    ] {
        let failure = rig.put(&spec(more.clone())).await.unwrap_err();
        assert_eq!(failure.reason, reason, "{more} {failure:?}");
    }
    assert_eq!(rig.links().await, before);
}

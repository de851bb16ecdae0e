//! A world of interfaces for the contract: over any kernel.

use std::{future::Future, sync::Arc};

use manifest_types::kinds::network_config::NetworkConfigSpec;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    NetworkConfigReconciler,
    backend::plain::Plain,
    kernel::{Kernel, fake::FakeKernel},
    moves::{Change, Move},
    terms::{Addr, Link, Made, Route},
};
use crate::{
    contract::{Fixture, Picture},
    host::{Host, Reachability},
};

/// Interfaces to try things with.
pub trait Ground: Sized {
    /// The kernel.
    type Kernel: Kernel;

    /// A kernel without bridges.
    fn find() -> impl Future<Output = (Self, Self::Kernel)>;
}

/// A kernel in memory.
#[derive(Debug)]
pub struct InMemory;

impl Ground for InMemory {
    type Kernel = FakeKernel;

    async fn find() -> (Self, FakeKernel) {
        (Self, FakeKernel::default())
    }
}

/// Interfaces of a kernel.
pub struct Interfaces<G: Ground> {
    kernel: G::Kernel,
    reconciler: NetworkConfigReconciler<G::Kernel, Plain>,
    state: TempDir,
    _ground: G,
}

/// A device on which nothing but its interfaces is of interest.
pub fn host(state: &TempDir, reach: Arc<dyn Reachability>) -> Host {
    Host { state_dir: state.path().to_owned(), reach, ..crate::container::fixture::host() }
}

fn spec(name: &str, more: Value) -> NetworkConfigSpec {
    let mut spec = json!({ "match": { "name": name }, "type": "Bridge", "confirm": { "checks": [] } });
    spec.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
    serde_json::from_value(spec).expect("it is a good spec")
}

impl<G: Ground> Interfaces<G> {
    /// The kernel.
    pub fn kernel(&self) -> &G::Kernel {
        &self.kernel
    }

    /// Where the reconciler remembers things.
    pub fn state(&self) -> &TempDir {
        &self.state
    }

    async fn by_hand(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let one = Move { link: "lan0".into(), change };
            self.kernel.make(&one).await.expect("the kernel does as it is asked");
        }
    }

    async fn picture(&self, is_exact: bool) -> Picture {
        let links = self.kernel.links().await.expect("the kernel answers");
        let told = |link: &Link| {
            let addresses: Vec<_> = link
                .addresses
                .iter()
                .filter(|addr| !addr.is_kernels())
                .map(|addr| addr.net.to_string())
                .collect();
            let routes: Vec<_> = link
                .routes
                .iter()
                .filter(|route| !route.follows())
                .map(|route| format!("{} {:?} {}", route.to, route.via, route.table))
                .collect();
            let exact = if is_exact { format!(" {}", link.index) } else { String::new() };
            format!("{} {} {addresses:?} {routes:?}{exact}", link.is_up, link.mtu)
        };
        links.iter().map(|(name, link)| (name.clone(), told(link))).collect()
    }
}

fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("it is one")
}

impl<G: Ground> Fixture for Interfaces<G> {
    type Reconciler = NetworkConfigReconciler<G::Kernel, Plain>;

    const TAKES_OVER: bool = true;
    const SEES_THE_IMPOSSIBLE: bool = true;

    async fn new() -> Self {
        let (ground, kernel) = G::find().await;
        let state = TempDir::new().expect("there is room");
        let host = host(&state, Arc::new(crate::host::AlwaysThere));
        let reconciler = NetworkConfigReconciler::new(&host, kernel.clone(), Plain);
        Self { kernel, reconciler, state, _ground: ground }
    }

    fn reconciler(&self) -> &Self::Reconciler {
        &self.reconciler
    }

    fn first(&self) -> NetworkConfigSpec {
        let routes = json!([{ "to": "10.9.0.0/16", "via": "192.0.2.2" }]);
        spec("lan0", json!({ "mtu": 1400, "ipv4": { "addresses": ["192.0.2.10/24"], "routes": routes } }))
    }

    fn second(&self) -> NetworkConfigSpec {
        spec("lan0", json!({ "ipv4": { "addresses": ["198.51.100.10/24"] } }))
    }

    fn elsewhere(&self) -> NetworkConfigSpec {
        spec("lan1", json!({ "ipv4": { "addresses": ["203.0.113.10/24"] } }))
    }

    fn impossible(&self) -> NetworkConfigSpec {
        spec("lan2", json!({ "ports": ["nowhere0"], "ipv4": { "addresses": ["192.0.2.10/24"] } }))
    }

    async fn put_same(&self) {
        let route = Route::of(net("10.9.0.0/16"), "192.0.2.2".parse().ok(), 0, 254);
        let address = Change::AddAddress(Addr::of(net("192.0.2.10/24")));
        let made = [Change::Make(Made::Bridge), Change::Mtu(1400), Change::Up(true)];
        self.by_hand(made.into_iter().chain([address, Change::AddRoute(route)])).await;
    }

    async fn put_other(&self) {
        let address = Change::AddAddress(Addr::of(net("192.0.2.77/24")));
        self.by_hand([Change::Make(Made::Bridge), Change::Mtu(1300), Change::Up(true), address]).await;
    }

    async fn disturb(&self) {
        self.by_hand([Change::RemoveAddress(Addr::of(net("192.0.2.10/24")))]).await;
    }

    async fn seen_by_others(&self) -> Picture {
        self.picture(false).await
    }

    async fn in_all(&self) -> Picture {
        self.picture(true).await
    }
}

//! Units and interfaces, by the agent as it is shipped, on a device with systemd.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use e2e::{Board, Fleet, NatsServer, agent::is_ready, board, fleet, until_some};
use futures_util::StreamExt;
use holdfast::clock::Now;
use manifest_types::{
    kinds::Spec,
    name::ResourceId,
    status::{AgentStatus, Phase},
};
use reconcilers::{
    host::Services,
    observation::{Before, Observation},
    registry::{AnyOwned, AnyTarget, Registry},
};
use serde_json::{Value, json};
use zbus::{Connection, MatchRule, MessageStream, connection, message, zvariant::OwnedObjectPath};

use crate::{
    pure,
    row::{Row, millis, percentile},
};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const ROUNDS: usize = 20;
const MANY: usize = 200;
/// So long anything may take.
const LONG: Duration = Duration::from_secs(60);
/// What a change of the network is given to be confirmed.
const WITHIN: f64 = 5000.0;
const NETWORK_ROUNDS: usize = 4;

/// A device whose agent runs, and a bare client of its systemd.
struct Bench {
    board: Board,
    fleet: Fleet,
    root: PathBuf,
    bus: Connection,
    _server: NatsServer,
}

impl Bench {
    async fn start() -> Self {
        let server = board::server().await;
        let fleet = fleet(&server).await;
        let board = Board::with_agent(&server).await;
        let root = board.root().await;
        let address = bus_of(&root);
        let bus = connection::Builder::address(address.as_str()).expect("it is an address").build().await;
        let bus = bus.expect("the device has a message bus");
        call(&bus, "Subscribe", &()).await;
        Self { board, fleet, root, bus, _server: server }
    }

    async fn apply(&self, resources: Vec<Value>) -> u64 {
        let manifest =
            json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "resources": resources });
        self.fleet.apply(&self.board.id, &manifest).await.generation.into()
    }

    async fn status(&self, is: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
        until_some("the status", LONG, async || self.fleet.status(&self.board.id).await.filter(&is)).await
    }

    /// What systemd tells of its jobs, from now on.
    async fn jobs(&self) -> MessageStream {
        let rule = MatchRule::builder().msg_type(message::Type::Signal).sender(SYSTEMD);
        let rule = rule.and_then(|rule| rule.interface(INTERFACE)).expect("it is a rule").build();
        MessageStream::for_match_rule(rule, &self.bus, Some(1024)).await.expect("the bus listens")
    }
}

fn bus_of(root: &std::path::Path) -> String {
    format!("unix:path={}", root.join("run/dbus/system_bus_socket").display())
}

async fn call<B>(bus: &Connection, method: &str, body: &B) -> message::Message
where
    B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
{
    let answer =
        bus.call_method(Some(SYSTEMD), "/org/freedesktop/systemd1", Some(INTERFACE), method, body).await;
    answer.unwrap_or_else(|error| panic!("{method}: {error}"))
}

/// Waits until a job of the unit begins (`JobNew`) or ends (`JobRemoved`).
async fn job(jobs: &mut MessageStream, member: &str, unit: &str) {
    while let Some(Ok(told)) = jobs.next().await {
        let is_it = told.header().member().is_some_and(|told| told.as_str() == member);
        let body = told.body();
        let of = match member {
            "JobNew" => body.deserialize::<(u32, OwnedObjectPath, String)>().map(|(_, _, unit)| unit),
            _ => body.deserialize::<(u32, OwnedObjectPath, String, String)>().map(|(_, _, unit, _)| unit),
        };
        if is_it && of.is_ok_and(|of| of == unit) {
            return;
        }
    }
    panic!("the device's bus is gone");
}

fn text(number: usize) -> String {
    format!("[Unit]\nDescription=Number {number}\n[Service]\nExecStart=/bin/sleep infinity\n")
}

fn unit(number: usize, state: &str) -> Value {
    json!({ "id": format!("u{number}"), "kind": "SystemdUnit",
            "spec": { "name": format!("bench-{number}.service"), "content": text(number), "state": state } })
}

/// A unit stopped from outside, until systemd is told to start it.
pub(crate) async fn drift_unit() -> Vec<Row> {
    let bench = Bench::start().await;
    let generation = bench.apply(vec![unit(0, "Active")]).await;
    bench.status(|status| is_ready(status, generation)).await;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        // What came before is no news any more, and 30 a minute are repaired at once.
        let mut jobs = bench.jobs().await;
        call(&bench.bus, "StopUnit", &("bench-0.service", "replace")).await;
        job(&mut jobs, "JobRemoved", "bench-0.service").await;
        let stopped = Now::read().boot;
        job(&mut jobs, "JobNew", "bench-0.service").await;
        times.push(millis(Now::read().boot - stopped));
        job(&mut jobs, "JobRemoved", "bench-0.service").await;
        bench
            .status(|status| {
                status.condition("Ready").is_some_and(|ready| ready.reason == "AllResourcesReady")
            })
            .await;
    }
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
    let row = Row::value("drift-unit: stopped → start job", p50, "ms", 20.0);
    vec![Row { count: times.len(), p99, aim: "p50 ≤ 20 ms".into(), ..row }]
}

/// A resource that is as it is wanted, and held.
fn held(entry: &Value) -> AnyTarget {
    let spec = Spec::read("SystemdUnit", &entry["spec"]).expect("there is such a kind");
    let spec = Arc::new(spec.expect("it is a good spec"));
    let id: ResourceId = entry["id"].as_str().expect("it has one").parse().expect("it is a name");
    let held = spec.claims(&id).into_iter().map(|claim| (claim, Before::Absent)).collect();
    let owned = AnyOwned { spec: Arc::clone(&spec), applied: true, attempted: None, held: Arc::new(held) };
    AnyTarget { id, wanted: Some(spec), owned: Some(owned) }
}

/// Many units observed without a change, against the one call that lists them.
pub(crate) async fn resync_units() -> Vec<Row> {
    let bench = Bench::start().await;
    let units: Vec<_> = (0..MANY).map(|number| unit(number, "Inactive")).collect();
    let generation = bench.apply(units.clone()).await;
    bench.status(|status| is_ready(status, generation)).await;
    let home = tempfile::tempdir().expect("there is room");
    let services =
        Services { root: bench.root.clone(), system_bus: bus_of(&bench.root), ..Services::default() };
    let host =
        reconcilers::host::Host { agent_id: bench.board.id.clone(), services, ..pure::host(home.path()) };
    let registry = Registry::new(&host);
    let targets: Vec<_> = units.iter().map(held).collect();
    // As the agent does it: what is heard of a unit meanwhile has it read again.
    let hints = tokio::spawn(registry.drift_hints().for_each(|_| std::future::ready(())));
    drop(registry.observe("SystemdUnit", &targets).await);
    let names: Vec<_> = (0..MANY).map(|number| format!("bench-{number}.service")).collect();
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Now::read().boot;
        let seen = registry.observe("SystemdUnit", &targets).await.expect("units can be seen");
        times.push(millis(Now::read().boot - start));
        assert!(seen.values().all(|seen| seen.as_ref().is_ok_and(Observation::on_target)), "{seen:?}");
        let start = Now::read().boot;
        drop(call(&bench.bus, "ListUnitsByNames", &(&names,)).await);
        floor.push(millis(Now::read().boot - start));
    }
    hints.abort();
    vec![Row::against(&format!("resync-units: {MANY}"), times, floor, 2.0)]
}

/// A manifest with a new unit, until that runs, against the same calls by a bare client.
pub(crate) async fn converge_unit() -> Vec<Row> {
    let bench = Bench::start().await;
    bench.apply(Vec::new()).await;
    let mut resources = Vec::new();
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("bench-{round}.service");
        let mut jobs = bench.jobs().await;
        resources.push(unit(round, "Active"));
        let start = Now::read().boot;
        let generation = bench.apply(resources.clone()).await;
        job(&mut jobs, "JobRemoved", &name).await;
        times.push(millis(Now::read().boot - start));
        bench.status(|status| is_ready(status, generation)).await;

        let name = format!("floor-{round}.service");
        let mut jobs = bench.jobs().await;
        let start = Now::read().boot;
        let path = bench.root.join("etc/systemd/system").join(&name);
        fs::write(&path, text(round))
            .and_then(|()| fs::File::open(&path)?.sync_all())
            .expect("there is room");
        call(&bench.bus, "LoadUnit", &(&name,)).await;
        call(&bench.bus, "Reload", &()).await;
        call(&bench.bus, "StartUnit", &(&name, "replace")).await;
        job(&mut jobs, "JobRemoved", &name).await;
        floor.push(millis(Now::read().boot - start));
    }
    vec![Row::against("converge-unit: manifest → active", times, floor, 1.25)]
}

/// A change that cuts the only way out, until the old one is back, against the time in which it was to be confirmed.
pub(crate) async fn rollback_network() -> Vec<Row> {
    let bench = Bench::start().await;
    let way = "ip -oneline -family inet address show dev eth0 | grep -o 'inet [0-9./]*'";
    let before = bench.board.sh(way).await;
    let mut times = Vec::new();
    for round in 0..NETWORK_ROUNDS {
        let spec = json!({
            "match": { "name": "eth0" }, "confirm": { "within": format!("{WITHIN}ms") },
            "ipv4": { "addresses": [format!("198.51.100.{}/24", round + 7)], "gateway": "198.51.100.1" }
        });
        let wan = json!({ "id": "wan", "kind": "NetworkConfig", "spec": spec });
        bench.apply(vec![wan]).await;
        bench.board.until(&format!("{way} | grep -c 198.51"), "1").await;
        let changed = Now::read().boot;
        bench.board.until(way, &before).await;
        times.push(millis(Now::read().boot - changed));
        bench.status(|status| status.resources.values().all(|it| it.phase == Phase::Failed)).await;
    }
    let within = vec![WITHIN; times.len()];
    vec![Row::against("rollback-network: cut → back", times, within, 1.1)]
}

/// The benchmarks that need a device, by name.
pub(crate) async fn measure(name: &str) -> Vec<Row> {
    match name {
        "drift-unit" => drift_unit().await,
        "resync-units" => resync_units().await,
        "converge-unit" => converge_unit().await,
        _ => rollback_network().await,
    }
}

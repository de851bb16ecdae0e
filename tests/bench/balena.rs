//! A device of balena's: what it asks of the API while nothing happens, and how soon a release runs. The API is simulated, in this process; the engine is real.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use control_plane_sim::balena::{
    client::ask,
    server::{Server, serve},
};
use e2e::{Device, parts};
use holdfast::{
    cli::client::Client,
    clock::{BootTime, Now},
    source::balena::cadence::{Cadence, USUAL},
};
use hyper::Method;
use jiff::Timestamp;
use reconcilers::engine::{ContainerEngine, docker::Docker};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    agent::{Idle, usage_at_rest},
    containers::{IMAGE, Plain, between, fresh},
    row::{Row, millis},
};

/// So many services at once, and how often.
const CONVERGED: [(usize, usize); 2] = [(1, 15), (10, 8)];
/// So many polls are counted.
const POLLS: usize = 20;
const DAY: Duration = Duration::from_secs(86_400);
/// Measurements alone are reported once in five minutes at most.
const REPORTS_A_DAY: u64 = 288;
/// Longer than the spacing that the agent is started with.
const SPACED: Duration = Duration::from_millis(1100);
/// A moment, until something is looked at again.
const MOMENT: Duration = Duration::from_millis(5);

/// A device that is registered, and its API.
struct Bench {
    address: SocketAddr,
    serving: JoinHandle<()>,
    fleet: u64,
    client: Client,
    agent: e2e::Running,
    device: Device,
    engine: Docker,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn tell(address: SocketAddr, method: Method, path: &str, body: Value) -> Value {
    ask(address, method, path, &body).await.expect("the simulation does as it is told")
}

impl Bench {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let serving = tokio::spawn(async move { drop(serve(listener, Arc::new(Server::default())).await) });
        let id = u64::from(std::process::id());
        let new = json!({ "id": id, "name": fresh("fleet"), "deviceType": "genericx86-64-ext" });
        let fleet = tell(address, Method::POST, "/admin/fleets", new).await;
        let place = parts::docker();
        let key = fleet["provisioningKey"].as_str().expect("it has one");
        let device = Device::new_of_balena(&fresh("bench"), &format!("http://{address}"), &place, key, id);
        let agent = device.start_quietly();
        let engine = Docker::new(vec![place]);
        engine.identify().await.expect("the engine is there");
        let client = Client::new(device.socket());
        let bench = Self { address, serving, fleet: id, client, agent, device, engine };
        while bench.devices().await[0]["asked"] != true {
            tokio::time::sleep(MOMENT).await;
        }
        bench
    }

    async fn devices(&self) -> Value {
        tell(self.address, Method::GET, "/admin/devices", Value::Null).await
    }

    async fn release(&self, count: usize) -> Vec<String> {
        let service = json!({ "image": IMAGE, "command": "sleep 10000", "network_mode": "none", "stop_grace_period": 0 });
        let names: Vec<_> = (0..count).map(|number| format!("s{number}")).collect();
        let services: serde_json::Map<_, _> =
            names.iter().map(|name| (name.clone(), service.clone())).collect();
        let path = format!("/admin/fleets/{}/releases", self.fleet);
        tell(self.address, Method::POST, &path, json!({ "services": services })).await;
        names.iter().map(|name| format!("{name}_{}", self.fleet)).collect()
    }

    /// When the last of these was started, by the engine's own record, once all run.
    async fn last_start(&self, names: &[String]) -> Timestamp {
        let mut last = Timestamp::MIN;
        for name in names {
            let started = loop {
                let found = self.engine.container(name).await.expect("the engine answers");
                match found.filter(|found| found.state.activity.is_up()).and_then(|up| up.state.started_at) {
                    Some(started) => break started,
                    None => tokio::time::sleep(MOMENT).await,
                }
            };
            last = last.max(started);
        }
        last
    }

    async fn poll(&self) {
        self.client.poll(false).await.expect("the agent answers");
    }

    async fn clear(&self) {
        let path = format!("/admin/fleets/{}", self.fleet);
        tell(self.address, Method::PATCH, &path, json!({ "target": "" })).await;
        tokio::time::sleep(SPACED).await;
        self.poll().await;
        let suffix = format!("_{}", self.fleet);
        loop {
            let all = self.engine.containers().await.expect("the engine answers");
            if !all.iter().any(|own| own.name.ends_with(&suffix)) {
                break;
            }
            tokio::time::sleep(MOMENT).await;
        }
        tokio::time::sleep(SPACED).await;
    }

    /// How many requests about something there were, and of how many bytes, both ways.
    async fn counted(&self, about: &str) -> (u64, u64) {
        let all = tell(self.address, Method::GET, "/admin/requests", Value::Null).await;
        let number = |name: &str| all[about][name].as_u64().unwrap_or(0);
        (number("requests"), number("received") + number("sent"))
    }
}

/// A release is made and the device is told to ask: until all of it runs. The floor is the engine's work alone, and one request to the API.
pub(crate) async fn converge() -> Vec<Row> {
    let bench = Bench::start().await;
    let mut rows = Vec::new();
    for (count, rounds) in CONVERGED {
        let (mut running, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            bench.clear().await;
            let names = bench.release(count).await;
            let begun = Timestamp::now();
            bench.poll().await;
            running.push(between(begun, bench.last_start(&names).await));
            bench.clear().await;
            let asked = Now::read().boot;
            drop(bench.devices().await);
            let round_trip = millis(Now::read().boot - asked);
            floor.push(Plain::new(&bench.engine, &bench.device.id).floor(count).await + round_trip);
        }
        rows.push(Row::against(&format!("converge-balena: {count}, running"), running, floor, 1.25));
    }
    bench.clear().await;
    rows
}

/// How often a device asks in a day on which all is well, with as much chance as there is on average.
fn polls_a_day() -> u64 {
    let mut cadence = Cadence::new(USUAL, Duration::from_secs(10));
    let (begin, mut now, mut count) = (BootTime::default(), BootTime::default(), 0);
    while now - begin < DAY {
        cadence.begun(now);
        cadence.answered(now, 0.5);
        (now, count) = (cadence.due(), count + 1);
    }
    count
}

/// What the API is asked and told while nothing happens.
pub(crate) async fn idle(seconds: u64) -> Vec<Row> {
    let bench = Bench::start().await;
    bench.release(1).await;
    bench.poll().await;
    bench.last_start(&[format!("s0_{}", bench.fleet)]).await;
    while bench.devices().await[0]["reported"]["running"].is_null() {
        tokio::time::sleep(MOMENT).await;
    }
    tokio::time::sleep(2 * SPACED).await;
    let (reports, of_reports) = bench.counted("report").await;
    let Idle { before, after } = usage_at_rest(&bench.agent, seconds).await;
    let at_rest = bench.counted("report").await.0 - reports;
    let (_, former) = bench.counted("state").await;
    for _ in 0..POLLS {
        let (count, _) = bench.counted("state").await;
        bench.poll().await;
        while bench.counted("state").await.0 == count {
            tokio::time::sleep(MOMENT).await;
        }
    }
    let (_, of_polls) = bench.counted("state").await;
    let a_poll = (of_polls - former) as f64 / POLLS as f64;
    let a_report = of_reports as f64 / reports.max(1) as f64;
    let polls = polls_a_day();
    let kib = (a_poll * polls as f64 + a_report * REPORTS_A_DAY as f64) / 1024.0;
    let share = (after.cpu - before.cpu) / seconds as f64 * 100.0;
    let told = |name: &str, value: f64, unit: &'static str| Row {
        aim: "-".into(),
        ..Row::value(&format!("balena-idle: {name}"), value, unit, f64::INFINITY)
    };
    let rows = vec![
        told("polls a day", polls as f64, "requests"),
        told("one poll, nothing new", a_poll, "bytes"),
        told(&format!("reports in {seconds} s of rest"), at_rest as f64, "requests"),
        told("reports a day, at most", REPORTS_A_DAY as f64, "requests"),
        told("one report, with its apps", a_report, "bytes"),
        told("a day, at most", kib, "KiB"),
        told("PSS", after.pss, "MiB"),
        told("of one core", share, "%"),
    ];
    bench.clear().await;
    rows
}

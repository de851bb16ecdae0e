//! Containers, by the agent as it is shipped, on a real engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use e2e::{Device, Fleet, NatsServer, agent::is_ready, fleet, parts, running::Start};
use futures_util::{StreamExt, future::join_all};
use holdfast::clock::Now;
use jiff::Timestamp;
use manifest_types::{
    digest::Digest,
    keys,
    kinds::{AsSpec, Spec, container::ContainerSpec},
    name::{AgentId, ResourceId},
    status::AgentStatus,
};
use reconcilers::{
    engine::{
        ContainerEngine, NewContainer,
        docker::Docker,
        marks,
        shape::Shape,
        terms::{Adjustment, EngineEvent, Subject},
    },
    observation::Observation,
    registry::{AnyTarget, Registry},
};
use serde_json::{Value, json};

use crate::{
    agent::{Idle, usage_at_rest},
    pure,
    row::{Row, millis, percentile},
    tap::Tap,
};

/// The image that the tests' engines have.
pub(crate) const IMAGE: &str = "localhost/holdfast/busybox:1";
/// What each may use: 256 MiB.
const MEMORY: u64 = 256 << 20;
/// So many containers at once, and how often.
const CONVERGED: [(usize, usize); 3] = [(1, 20), (10, 10), (20, 10)];
const MANY: usize = 100;
const IDLE: usize = 20;
const ROUNDS: usize = 20;
/// So long Docker's command line may take.
const KILL: Duration = Duration::from_secs(20);
/// Between two measurements, until the engine has put away what the first has left.
const REST: Duration = Duration::from_millis(500);

/// A name that nothing else in the engine has.
pub(crate) fn fresh(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn spec(name: &str) -> Value {
    json!({ "name": name, "image": IMAGE, "networkMode": "None", "stopGracePeriod": "0s", "command": ["sleep", "10000"], "resources": { "memory": MEMORY } })
}

fn entry(name: &str, number: usize) -> Value {
    json!({ "id": format!("c{number}"), "kind": "Container", "spec": spec(&format!("{name}-{number}")) })
}

/// A device whose agent runs, and its fleet.
struct Bench {
    fleet: Fleet,
    device: Device,
    agent: e2e::Running,
    engine: Docker,
    generation: u64,
    server: NatsServer,
}

impl Bench {
    /// An agent that finds the engine at `place`.
    async fn start(place: &str) -> Self {
        let server = NatsServer::start().await;
        let fleet = fleet(&server).await;
        let device =
            Device::with_flags(&fresh("bench"), &["--nats-url", &server.url(), "--docker-host", place]);
        let agent = device.start_quietly();
        let engine = Docker::new(vec![parts::docker()]);
        engine.identify().await.expect("the engine is there");
        Self { fleet, device, agent, engine, generation: 0, server }
    }

    fn name(&self) -> &str {
        self.device.id.as_str()
    }

    /// Writes a manifest. Returns when that was begun, and when its writer saw that all is Ready.
    async fn apply(&mut self, resources: Vec<Value>) -> (Timestamp, Timestamp) {
        self.generation += 1;
        let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": self.generation, "resources": resources });
        let mut watch =
            self.fleet.states.watch(keys::actual_state(&self.device.id)).await.expect("the server is there");
        let begun = Timestamp::now();
        self.fleet.put_desired(&self.device.id, manifest.to_string()).await;
        while let Some(Ok(told)) = watch.next().await {
            let status = serde_json::from_slice::<AgentStatus>(&told.value);
            if status.is_ok_and(|status| is_ready(&status, self.generation)) {
                break;
            }
        }
        (begun, Timestamp::now())
    }

    async fn clear(&mut self) {
        self.apply(Vec::new()).await;
        tokio::time::sleep(REST).await;
    }

    async fn last_start(&self, name: &str, count: usize) -> Timestamp {
        Plain::new(&self.engine, &self.device.id).last_start(name, count).await
    }
}

/// The engine alone.
pub(crate) struct Plain<'a> {
    engine: &'a Docker,
    agent: &'a AgentId,
}

impl<'a> Plain<'a> {
    /// As an agent would use it.
    pub(crate) fn new(engine: &'a Docker, agent: &'a AgentId) -> Self {
        Self { engine, agent }
    }

    /// When the last of so many containers was started, by the engine's own record.
    async fn last_start(&self, name: &str, count: usize) -> Timestamp {
        let mut last = Timestamp::MIN;
        for number in 0..count {
            let container =
                self.engine.container(&format!("{name}-{number}")).await.expect("the engine answers");
            let started = container.expect("it is there").state.started_at;
            last = last.max(started.expect("it was started"));
        }
        last
    }

    /// The same create and start calls, all at once, and nothing else.
    pub(crate) async fn floor(&self, count: usize) -> f64 {
        let name = fresh("bare");
        let begun = Timestamp::now();
        let made = (0..count).map(async |number| {
            let own = format!("{name}-{number}");
            let Ok(Some(Ok(Spec::Container(spec)))) = Ok::<_, ()>(Spec::read("Container", &spec(&own)))
            else {
                panic!("it is a good spec")
            };
            let id: ResourceId = own.parse().expect("it is a name");
            let marks = marks::marks(self.agent, &id, Digest::of(own.as_bytes()), &Shape::wanted(&spec));
            let new = NewContainer { name: &own, spec: &spec, marks: &marks };
            let id = self.engine.create(&new).await.expect("the engine does as it is asked");
            self.engine.start(&id).await.expect("the engine does as it is asked");
            id
        });
        let made = join_all(made).await;
        let time = between(begun, self.last_start(&name, count).await);
        for id in made {
            self.engine.remove(&id).await.expect("the engine does as it is asked");
        }
        tokio::time::sleep(REST).await;
        time
    }
}

pub(crate) fn between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1000.0
}

/// A manifest with new containers is written: until all run, and until its writer knows.
pub(crate) async fn converge() -> Vec<Row> {
    let mut bench = Bench::start(&parts::docker()).await;
    bench.clear().await;
    let mut rows = Vec::new();
    for (count, rounds) in CONVERGED {
        let (mut running, mut ready, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let name = bench.name().to_owned();
            let (begun, told) = bench.apply((0..count).map(|number| entry(&name, number)).collect()).await;
            running.push(between(begun, bench.last_start(&name, count).await));
            ready.push(between(begun, told));
            bench.clear().await;
            floor.push(Plain::new(&bench.engine, &bench.device.id).floor(count).await);
        }
        rows.push(Row::against(
            &format!("converge-containers: {count}, running"),
            running,
            floor.clone(),
            1.05,
        ));
        let told = Row::against(&format!("converge-containers: {count}, Ready"), ready, floor, 1.05);
        rows.push(Row { aim: "-".into(), met: true, ..told });
    }
    rows
}

/// What people do to a container behind the agent's back, and the call that begins its repair.
const ABUSES: [(&str, &str); 4] =
    [("killed", "/start"), ("removed", "/create"), ("renamed", "/rename"), ("limit changed", "/update")];

/// From the engine's event to the moment when the agent asks for the repair.
pub(crate) async fn drift() -> Vec<Row> {
    let tap = Tap::on(&parts::docker()).await;
    let mut bench = Bench::start(&tap.place()).await;
    let name = bench.name().to_owned();
    // One for each: what is repaired too often in a minute is left for a while.
    bench.apply((0..ABUSES.len()).map(|number| entry(&name, number)).collect()).await;
    let mut rows = Vec::new();
    for (number, (abuse, repair)) in ABUSES.into_iter().enumerate() {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            tokio::time::sleep(REST).await;
            times.push(bench.repair(&tap, &format!("{name}-{number}"), abuse, repair).await);
        }
        times.sort_by(f64::total_cmp);
        let row = Row::value(&format!("drift-container: {abuse}"), percentile(&times, 50), "ms", 20.0);
        rows.push(Row {
            count: times.len(), p99: percentile(&times, 99), aim: "p50 ≤ 20 ms".into(), ..row
        });
    }
    bench.clear().await;
    rows
}

impl Bench {
    async fn repair(&self, tap: &Tap, name: &str, abuse: &str, repair: &str) -> f64 {
        let id = self.engine.container(name).await.expect("the engine answers").expect("it is there").id;
        let before = Timestamp::now();
        let since = i64::try_from(before.as_nanosecond()).expect("it is not 2262 yet");
        let mut events = self.engine.events(since);
        match abuse {
            "killed" => {
                let docker = Start::new("docker", "docker").args(["--host", &parts::docker(), "kill", name]);
                assert!(docker.start().wait(KILL).await.success(), "it runs");
                Ok(())
            }
            "removed" => self.engine.remove(&id).await,
            "renamed" => self.engine.rename(&id, &format!("{name}-elsewhere")).await,
            _ => self.engine.adjust(&id, &limits("512Mi")).await,
        }
        .expect("the engine does as it is asked");
        let begun = loop {
            if let Some(begun) = tap.first_call_after(before, repair) {
                break begun;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let is_whole = async || {
            let now = self.engine.container(name).await.expect("the engine answers");
            now.is_some_and(|now| {
                now.state.activity.is_up() && now.shape.get("resources.memory") == Some(&json!(MEMORY))
            })
        };
        while !is_whole().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // A kill is told, and then the end that it brought about; a removal even more: the last one before the repair counts.
        let mut told = before;
        while let Some(Ok(EngineEvent { at, subject: Subject::Container { id: of, .. }, .. })) =
            events.next().await
        {
            let at = Timestamp::from_nanosecond(at.into()).expect("it is a time");
            if at > begun {
                break;
            }
            if of == id {
                told = at;
            }
        }
        between(told, begun)
    }
}

fn limits(memory: &str) -> Adjustment {
    let mut spec = spec("limits");
    spec["resources"] = json!({ "memory": memory });
    let spec = Spec::read("Container", &spec).expect("there is such a kind").expect("it is a good spec");
    Adjustment::of(ContainerSpec::of(&spec).expect("it is a container's"))
}

/// Many containers observed without a change, against the one call that lists them.
pub(crate) async fn resync() -> Vec<Row> {
    let mut bench = Bench::start(&parts::docker()).await;
    let name = bench.name().to_owned();
    let entries: Vec<_> = (0..MANY).map(|number| entry(&name, number)).collect();
    bench.apply(entries.clone()).await;
    let home = tempfile::tempdir().expect("there is room");
    let host = reconcilers::host::Host {
        agent_id: bench.device.id.clone(),
        engine_places: vec![parts::docker()],
        ..pure::host(home.path())
    };
    let registry = Registry::new(&host);
    let target = |entry: &Value| {
        let spec = Spec::read("Container", &entry["spec"])
            .expect("there is such a kind")
            .expect("it is a good spec");
        let id = entry["id"].as_str().expect("it has one").parse().expect("it is a name");
        AnyTarget { id, wanted: Some(Arc::new(spec)), owned: None }
    };
    let targets: Vec<_> = entries.iter().map(target).collect();
    drop(registry.observe("Container", &targets).await);
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Now::read().boot;
        let seen = registry.observe("Container", &targets).await.expect("containers can be seen");
        times.push(millis(Now::read().boot - start));
        assert!(seen.values().all(|seen| seen.as_ref().is_ok_and(Observation::on_target)));
        let start = Now::read().boot;
        drop(bench.engine.containers().await.expect("the engine answers"));
        floor.push(millis(Now::read().boot - start));
    }
    bench.clear().await;
    vec![Row::against(&format!("resync-containers: {MANY}"), times, floor, 1.5)]
}

/// What the agent needs while nothing happens.
pub(crate) async fn idle(seconds: u64) -> Vec<Row> {
    let mut bench = Bench::start(&parts::docker()).await;
    let name = bench.name().to_owned();
    bench.apply((0..IDLE).map(|number| entry(&name, number)).collect()).await;
    let Idle { before, after } = usage_at_rest(&bench.agent, seconds).await;
    let share = (after.cpu - before.cpu) / seconds as f64 * 100.0;
    let rows = vec![
        Row::value(&format!("idle-containers: PSS, {IDLE} running"), after.pss, "MiB", 8.0),
        Row::value("idle-containers: of one core", share, "%", 0.05),
    ];
    bench.clear().await;
    drop(bench.server);
    rows
}

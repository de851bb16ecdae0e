//! What the agent does as it is shipped, on a real server with real files.

use std::{fs, path::Path, time::Duration};

use e2e::{Cable, Device, Fleet, NatsServer, Running, agent::is_ready, fleet, parts};
use futures_util::StreamExt;
use holdfast::clock::Now;
use manifest_types::{keys, name::AgentId, status::AgentStatus};
use serde_json::{Value, json};

use crate::{
    floor,
    row::{Row, millis, percentile},
};

const CHANGES: u64 = 300;
const REST: Duration = Duration::from_millis(125);

fn manifest(generation: u64, files: usize, content: &str) -> Value {
    let file = |number: usize| {
        let path = format!("/etc/bench/{number}");
        json!({ "id": format!("f{number}"), "kind": "File", "spec": { "path": path, "createParents": true, "content": { "inline": content } } })
    };
    let resources: Vec<_> = (0..files).map(file).collect();
    json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": generation, "resources": resources })
}

/// From a write of the key to the moment when its writer sees what it waits for.
async fn round(fleet: &Fleet, id: &AgentId, generation: u64, done: impl Fn(&[u8]) -> bool) -> f64 {
    let mut watch = fleet.states.watch(keys::actual_state(id)).await.expect("the server is there");
    let bytes = manifest(generation, 1, &format!("content {generation}")).to_string();
    let start = Now::read().boot;
    fleet.put_desired(id, bytes).await;
    while let Some(Ok(entry)) = watch.next().await {
        if done(&entry.value) {
            break;
        }
    }
    millis(Now::read().boot - start)
}

pub(crate) async fn converge() -> Vec<Row> {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "bench");
    let _agent = device.start_quietly();
    fleet.put_desired(&device.id, manifest(1, 1, "first").to_string()).await;
    device.ready(&fleet, 1).await;
    let bare: AgentId = "bare".parse().expect("it is a name");
    let folder = tempfile::tempdir().expect("there is room");
    let floor = floor::Floor::start(&server, bare.clone(), folder.path().to_owned()).await;
    round(&fleet, &bare, 1, |_| true).await;
    let (mut times, mut floors) = (Vec::new(), Vec::new());
    for generation in 2..2 + CHANGES {
        let ready = |bytes: &[u8]| {
            serde_json::from_slice::<AgentStatus>(bytes).is_ok_and(|status| is_ready(&status, generation))
        };
        // A fleet is quiet between changes: each of the two starts on a machine at rest.
        tokio::time::sleep(REST).await;
        times.push(round(&fleet, &device.id, generation, ready).await);
        tokio::time::sleep(REST).await;
        floors.push(round(&fleet, &bare, generation, |_| true).await);
    }
    floor.end();
    vec![Row::against("converge-file", times, floors, 1.5)]
}

pub(crate) async fn drift() -> Vec<Row> {
    const FILES: usize = 100;
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "bench");
    let _agent = device.start_quietly();
    fleet.put_desired(&device.id, manifest(1, FILES, "right").to_string()).await;
    device.ready(&fleet, 1).await;
    let mut times = Vec::new();
    for number in 0..FILES {
        tokio::time::sleep(REST).await;
        let place = device.path(&format!("/etc/bench/{number}"));
        let start = Now::read().boot;
        fs::write(&place, "wrong").expect("the file is ours");
        while fs::read(&place).is_ok_and(|now| now != b"right") {
            // A loop without a rest would keep the agent from one of the machine's cores.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(millis(Now::read().boot - start));
    }
    times.sort_by(f64::total_cmp);
    let (p50, p99) = (percentile(&times, 50), percentile(&times, 99));
    let row = Row::value("drift-file", p50, "ms", 10.0);
    vec![Row {
        count: times.len(),
        p99,
        aim: "p50 ≤ 10 ms, p99 ≤ 50 ms".into(),
        met: p50 <= 10.0 && p99 <= 50.0,
        ..row
    }]
}

/// What the kernel counts of a process.
pub(crate) struct Usage {
    pub(crate) pss: f64,
    resident: f64,
    pub(crate) cpu: f64,
    switches: f64,
}

/// The same, before and after a time in which nothing happened.
pub(crate) struct Idle {
    pub(crate) before: Usage,
    pub(crate) after: Usage,
}

/// Until outcomes are written and idle threads are gone.
async fn come_to_rest() {
    tokio::time::sleep(Duration::from_secs(12)).await;
}

pub(crate) async fn usage_at_rest(agent: &Running, seconds: u64) -> Idle {
    come_to_rest().await;
    let before = usage(agent);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    Idle { before, after: usage(agent) }
}

fn usage(agent: &Running) -> Usage {
    let proc = Path::new("/proc").join(agent.pid().to_string());
    let read = |name: &str| fs::read_to_string(proc.join(name)).expect("the agent runs");
    let field = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let (memory, status) = (read("smaps_rollup"), read("status"));
    let stat = read("stat");
    let times: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    Usage {
        pss: field(&memory, "Pss:") / 1024.0,
        resident: field(&memory, "Rss:") / 1024.0,
        // utime and stime, the 14th and 15th field, in hundredths of a second; the state before them is no number.
        cpu: (times[10] + times[11]) / 100.0,
        switches: field(&status, "voluntary_ctxt_switches:") + field(&status, "nonvoluntary_ctxt_switches:"),
    }
}

pub(crate) async fn idle(seconds: u64) -> Vec<Row> {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let cable = Cable::to(server.port()).await;
    let device = Device::with_flags("bench", &["--nats-url", &cable.url()]);
    let agent = device.start_quietly();
    fleet.put_desired(&device.id, manifest(1, 100, "content").to_string()).await;
    device.ready(&fleet, 1).await;
    come_to_rest().await;
    let written =
        || async { fleet.states.stream.get_info().await.expect("the server is there").state.last_sequence };
    let (before, sequence, carried) = (usage(&agent), written().await, cable.carried());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (after, sent) = (usage(&agent), written().await - sequence);
    let bytes = cable.carried() - carried;
    let beats = 1.0 + seconds as f64 / 30.0;
    let share = (after.cpu - before.cpu) / seconds as f64 * 100.0;
    vec![
        Row::value("idle: PSS, 100 resources", after.pss, "MiB", 10.0),
        Row { aim: "-".into(), met: true, ..Row::value("idle: resident", after.resident, "MiB", 0.0) },
        Row::value("idle: of one core", share, "%", 0.05),
        Row {
            aim: "-".into(),
            met: true,
            ..Row::value("idle: context switches", after.switches - before.switches, "", 0.0)
        },
        Row { aim: "-".into(), met: true, ..Row::value("idle: CPU", after.cpu - before.cpu, "s", 0.0) },
        Row::value("idle: statuses sent", sent as f64, "", 0.0),
        // A heartbeat has some 350 bytes with its subject, its headers and what asks for its answer; a ping has 6.
        Row::value("idle: bytes sent", bytes as f64, "B", beats * 1024.0),
    ]
}

pub(crate) fn size() -> Row {
    let bytes = fs::metadata(parts::holdfast()).map_or(f64::NAN, |file| file.len() as f64);
    Row::value("size", bytes / 1024.0 / 1024.0, "MiB", 8.0)
}

pub(crate) async fn write_amplification() -> Vec<Row> {
    let server = NatsServer::start().await;
    let fleet = fleet(&server).await;
    let device = Device::new(&server, "bench");
    let agent = device.start_quietly();
    fleet.put_desired(&device.id, manifest(1, 1, "first").to_string()).await;
    device.ready(&fleet, 1).await;
    let settle = || tokio::time::sleep(Duration::from_secs(4));
    settle().await;
    let written = || {
        let io = fs::read_to_string(format!("/proc/{}/io", agent.pid())).expect("the agent runs");
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        line.and_then(|bytes| bytes.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    let before = written();
    let changes = 10;
    for generation in 2..2 + changes {
        fleet
            .put_desired(&device.id, manifest(generation, 1, &format!("content {generation}")).to_string())
            .await;
        device.ready(&fleet, generation).await;
        settle().await;
    }
    let per_change = (written() - before) / changes as f64 / 1024.0;
    let before = written();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let per_hour = (written() - before) * 60.0 / 1024.0;
    vec![
        Row::value("write-amplification: per change", per_change, "KiB", 64.0),
        Row::value("write-amplification: per idle hour", per_hour, "KiB", 0.0),
    ]
}

//! What needs no agent: planning, and looking at many files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use holdfast::{
    admit::{Admitted, Form, Terms, admit},
    clock::{BootTime, Now},
    engine::{
        Engine,
        command::Command,
        event::{Event, LookResult},
        settings::Settings,
    },
    ledger::memory::Memory,
};
use manifest_types::{kinds::Spec, name::AgentId};
use reconcilers::{
    host::{Blob, BlobError, BlobSource, Blobs, Host},
    observation::{Difference, Health, Observation},
    registry::{AnyTarget, Registry},
};
use serde_json::{Value, json};

use crate::row::{Row, millis};

const MANY: usize = 10_000;
const ROUNDS: usize = 20;

fn entry(number: usize, content: &str) -> Value {
    let path = format!("/etc/{}/{number}", number / 100);
    json!({ "id": format!("f{number}"), "kind": "File", "spec": { "path": path, "content": { "inline": content } } })
}

fn admitted(generation: u64, changed: &str) -> Admitted {
    let resources: Vec<_> =
        (0..MANY).map(|number| entry(number, if number == 0 { changed } else { "x" })).collect();
    let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": generation, "resources": resources });
    let agent_id: AgentId = "bench".parse().expect("it is a name");
    let terms = Terms { agent_id: &agent_id, source: "nats", form: Form::Yaml, last: None };
    let text = manifest.to_string();
    admit(text.as_bytes(), &terms).unwrap_or_else(|rejection| panic!("{rejection:?}"))
}

/// What `engine.plan` takes at each of its two turns, what to look at and what to begin; and beside it, what taking the manifest in costs.
pub(crate) fn plan() -> Vec<Row> {
    let (mut new, mut one) = (Times::default(), Times::default());
    let now = Now { boot: BootTime::since_boot(Duration::from_secs(100)), ..Now::read() };
    let fresh = || {
        let settings = Settings::new("bench".parse().expect("it is a name"), "bench".into());
        Engine::new(settings, Memory::default(), now)
    };
    for _ in 0..ROUNDS {
        new.round(&mut fresh(), admitted(1, "x"), now, absent);
        let mut engine = fresh();
        Times::default().round(&mut engine, admitted(1, "x"), now, on_target);
        one.round(&mut engine, admitted(2, "y"), now, off_target);
    }
    let mut rows = new.rows("10,000 new");
    rows.extend(one.rows("10,000, 1 changed"));
    rows
}

/// Milliseconds, one a round.
#[derive(Default)]
struct Times {
    taking_in: Vec<f64>,
    looking: Vec<f64>,
    beginning: Vec<f64>,
}

impl Times {
    fn round(&mut self, engine: &mut Engine, admitted: Admitted, now: Now, sight: impl Fn() -> Observation) {
        let event = Event::Admitted { admitted: Box::new(admitted), revision: 1 };
        let start = Now::read().boot;
        engine.apply(event, now);
        let taken_in = Now::read().boot;
        let looks = engine.plan(now);
        let planned = Now::read().boot;
        self.taking_in.push(millis(taken_in - start));
        self.looking.push(millis(planned - taken_in));
        for command in looks.commands {
            if let Command::Observe { ticket, kind, targets } = command {
                let seen = targets.into_iter().map(|target| (target.id, Ok(sight()))).collect();
                engine.apply(Event::Observed { ticket, kind, result: LookResult::Seen(seen) }, now);
            }
        }
        let seen = Now::read().boot;
        let begun = engine.plan(now);
        self.beginning.push(millis(Now::read().boot - seen));
        for command in begun.commands {
            if let Command::Remember { seq, .. } = command {
                engine.apply(Event::Remembered { seq }, now);
            }
        }
    }

    fn rows(self, of: &str) -> Vec<Row> {
        let taking_in =
            Row { aim: "-".into(), met: true, ..row(format!("plan: {of}, taken in"), self.taking_in) };
        let looks = row(format!("plan: {of}, looks"), self.looking);
        vec![looks, row(format!("plan: {of}, intents"), self.beginning), taking_in]
    }
}

fn row(name: String, mut times: Vec<f64>) -> Row {
    times.sort_by(f64::total_cmp);
    let p50 = crate::row::percentile(&times, 50);
    Row { count: times.len(), p99: crate::row::percentile(&times, 99), ..Row::value(&name, p50, "ms", 16.0) }
}

fn absent() -> Observation {
    Observation { present: false, ..off_target() }
}

fn off_target() -> Observation {
    Observation {
        differences: vec![Difference::in_place("content", "sha256:aa", "sha256:bb")],
        ..on_target()
    }
}

fn on_target() -> Observation {
    Observation {
        present: true,
        differences: Vec::new(),
        health: Health::Healthy,
        details: None,
        running: false,
        holder: None,
        marked_ours: false,
        keeps_original: false,
        fingerprint: 1,
    }
}

struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, source: &BlobSource) -> BoxFuture<'static, Result<Blob, BlobError>> {
        let from = source.clone();
        async move { Err(BlobError::Unreachable { from, why: "none is needed".into() }) }.boxed()
    }
}

/// A host of reconcilers whose files are below `home`.
pub(crate) fn host(home: &Path) -> Host {
    Host {
        root: home.join("root"),
        state_dir: home.join("state"),
        protected: Vec::new(),
        agent_id: "pump-17".parse().expect("it is a name"),
        engine_places: Vec::new(),
        services: Default::default(),
        blobs: Arc::new(NoBlobs),
        reach: Arc::new(reconcilers::host::AlwaysThere),
    }
}

/// 10,000 unchanged files observed, against an lstat of each.
pub(crate) async fn resync() -> Vec<Row> {
    let home = tempfile::tempdir().expect("there is room");
    let host = host(home.path());
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut targets = Vec::new();
    for number in 0..MANY {
        let value = entry(number, "x");
        let spec =
            Spec::read("File", &value["spec"]).expect("there is such a kind").expect("it is a good spec");
        let path = host.root.join(format!("etc/{}/{number}", number / 100));
        fs::create_dir_all(path.parent().expect("it has one"))
            .and_then(|()| fs::write(&path, "x"))
            .expect("it is ours");
        let id = format!("f{number}").parse().expect("it is a name");
        targets.push(AnyTarget { id, wanted: Some(Arc::new(spec)), owned: None });
        paths.push(path);
    }
    let registry = Registry::new(&host);
    // The digests of files that were just written are not trusted yet.
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(registry.observe("File", &targets).await);
    let (mut times, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Now::read().boot;
        let seen = registry.observe("File", &targets).await.expect("files can be seen");
        times.push(millis(Now::read().boot - start));
        assert!(seen.values().all(|seen| seen.as_ref().is_ok_and(Observation::on_target)));
        let start = Now::read().boot;
        paths.iter().for_each(|path| drop(fs::symlink_metadata(path)));
        floor.push(millis(Now::read().boot - start));
    }
    vec![Row::against("resync-file: 10,000 unchanged", times, floor, 2.0)]
}

use std::time::Duration;

use jiff::Timestamp;
use manifest_types::{name::AgentId, status::Phase};
use reconcilers::{
    error::{Failure, Unseen},
    observation::{Difference, Health, Observation},
    reconciler::Hint,
    registry::{Observations, StepResults, Work},
};
use serde_json::{Value, json};

use super::{
    command::Command,
    event::{LookResult, StepEnd},
    outbox::{Fact, Held},
    *,
};
use crate::admit::{Form, Terms, admit};

mod looks;
mod waits;

/// An engine at a time, with what it has begun and is not answered yet.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    pub(crate) begun: Vec<Command>,
}

pub(crate) fn at(seconds: f64) -> Now {
    let boot = BootTime::since_boot(Duration::from_secs_f64(seconds));
    Now { boot, wall: Timestamp::from_second(1_000_000 + seconds as i64).unwrap() }
}

pub(crate) fn agent() -> AgentId {
    "pump-17".parse().unwrap()
}

pub(crate) fn file(id: &str, path: &str, content: &str) -> Value {
    json!({ "id": id, "kind": "File", "spec": { "path": path, "content": { "inline": content } } })
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Memory::default())
    }

    pub(crate) fn with(memory: Memory) -> Self {
        let settings = Settings::new(agent(), "this".into());
        let mut bench =
            Self { engine: Engine::new(settings, memory, at(100.0)), now: at(100.0), begun: Vec::new() };
        bench.plan();
        bench
    }

    pub(crate) fn plan(&mut self) -> Option<BootTime> {
        let plan = self.engine.plan(self.now);
        self.begun.extend(plan.commands);
        plan.wake_at
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.engine.apply(event, self.now);
        self.plan();
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.now = at(self.now.boot.as_duration().as_secs_f64() + seconds);
        self.plan();
    }

    /// What was begun, in the words of the log.
    pub(crate) fn told(&self) -> Vec<String> {
        self.begun.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn bring(&mut self, generation: u64, resources: &[Value]) {
        let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": generation, "resources": resources });
        let agent_id = agent();
        let last = self.engine.last_admission("nats");
        let terms = Terms { agent_id: &agent_id, source: "nats", form: Form::Json, last };
        let revision = generation * 10;
        let event = match admit(manifest.to_string().as_bytes(), &terms) {
            Ok(admitted) => Event::Admitted { admitted: Box::new(admitted), revision },
            Err(rejection) => Event::Refused { rejection: Box::new(rejection), revision },
        };
        self.tell(event);
    }

    /// Answers the first look under way with `sight` for each target.
    pub(crate) fn see(&mut self, sight: impl Fn(&str) -> Result<Observation, Failure>) {
        let index = self
            .begun
            .iter()
            .position(|command| matches!(command, Command::Observe { .. }))
            .expect("a look is under way");
        let Command::Observe { ticket, kind, targets } = self.begun.remove(index) else { unreachable!() };
        let seen: Observations =
            targets.iter().map(|target| (target.id.clone(), sight(target.id.as_str()))).collect();
        self.tell(Event::Observed { ticket, kind, result: LookResult::Seen(seen) });
    }

    /// Answers the ledger write under way.
    pub(crate) fn remembered(&mut self) {
        let index = self
            .begun
            .iter()
            .position(|command| matches!(command, Command::Remember { .. }))
            .expect("a write is under way");
        let Command::Remember { seq, .. } = self.begun.remove(index) else { unreachable!() };
        self.tell(Event::Remembered { seq });
    }

    /// Ends the first step under way with `result`, after which `sight` is seen.
    pub(crate) fn end(&mut self, result: Result<(), Failure>, sight: &Observation) {
        let index = self
            .begun
            .iter()
            .position(|command| matches!(command, Command::Start { .. }))
            .expect("a step is under way");
        let Command::Start { step, changes, .. } = self.begun.remove(index) else { unreachable!() };
        let results: StepResults = changes.iter().map(|change| (change.id.clone(), result.clone())).collect();
        let seen = changes.iter().map(|change| (change.id.clone(), Ok(sight.clone()))).collect();
        self.tell(Event::StepEnded { step, ended: StepEnd::Done { results, seen: LookResult::Seen(seen) } });
    }

    /// Goes all the way to Ready with everything that is under way.
    pub(crate) fn converge(&mut self) {
        for _ in 0..1000 {
            let answerable =
                |command: &&Command| !matches!(command, Command::Publish { .. } | Command::ReadStatus);
            match self.begun.iter().find(answerable) {
                Some(Command::Observe { .. }) => self.see(|_| Ok(absent())),
                Some(Command::Remember { .. }) => self.remembered(),
                Some(Command::Start { changes, .. }) if matches!(changes[0].work, Work::Take) => {
                    self.end(Ok(()), &absent())
                }
                Some(Command::Start { .. }) => self.end(Ok(()), &right(1)),
                Some(_) => drop(self.begun.remove(0)),
                None => return,
            }
        }
        panic!("it does not converge: {:?}", self.told());
    }

    pub(crate) fn phase(&self, id: &str) -> (Phase, String) {
        let standing = &self.engine.resources[id].standing;
        let reason =
            standing.error.as_ref().map(|error| error.reason.clone()).or(standing.reason.map(str::to_owned));
        (standing.phase, reason.unwrap_or_default())
    }
}

pub(crate) fn right(fingerprint: u64) -> Observation {
    Observation {
        present: true,
        differences: Vec::new(),
        health: Health::Healthy,
        details: None,
        running: false,
        holder: None,
        marked_ours: false,
        keeps_original: false,
        fingerprint,
    }
}

pub(crate) fn wrong(fingerprint: u64) -> Observation {
    let difference = Difference::in_place("content", "sha256:aa", "sha256:bb");
    Observation { differences: vec![difference], ..right(fingerprint) }
}

pub(crate) fn absent() -> Observation {
    Observation { present: false, ..wrong(0) }
}

#[test]
fn a_new_resource_is_looked_at_remembered_made_and_seen() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    assert_eq!(bench.told(), ["observe File a"]);
    bench.see(|_| Ok(absent()));
    assert_eq!(
        bench.told(),
        ["remember generation 1 a: intent"],
        "manifest and first intents share one commit"
    );
    bench.remembered();
    assert_eq!(bench.told(), ["start File put a"], "no effect before its intent is durable");
    bench.end(Ok(()), &right(1));
    assert_eq!(bench.phase("a"), (Phase::Ready, String::new()));
    assert!(bench.told().is_empty(), "the outcome can wait");
    bench.wait(2.0);
    assert_eq!(bench.told(), ["remember a"]);
}

#[test]
fn what_matches_already_is_adopted_without_a_change() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(right(1)));
    assert_eq!(bench.phase("a").0, Phase::Ready);
    assert_eq!(bench.told(), ["remember generation 1 a"]);
}

#[test]
fn to_hold_all_again_is_to_hold_each_again() {
    let mut bench = Bench::new();
    let a = || Some("a".parse().unwrap());
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.tell(Event::Pause { id: a(), until: Some(at(2000.0).boot) });
    bench.see(|_| Ok(absent()));
    assert_eq!(bench.phase("a"), (Phase::Pending, "Paused".into()));
    bench.tell(Event::Pause { id: None, until: None });
    assert_ne!(bench.phase("a").1, "Paused");
}

#[test]
fn with_the_key_what_was_refused_is_gone() {
    let mut bench = Bench::new();
    bench.bring(5, &[]);
    bench.bring(4, &[]);
    assert!(bench.engine.manifest.refused.is_some());
    bench.tell(Event::KeyAbsent { revision: 60 });
    assert_eq!(bench.engine.manifest.refused, None);
}

#[test]
fn a_newer_spec_cancels_the_older_ones_step() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(absent()));
    bench.remembered();
    bench.bring(2, &[file("a", "/a", "y")]);
    let Command::Start { step, .. } = &bench.begun[0] else { panic!("{:?}", bench.told()) };
    assert_eq!(bench.told()[1], format!("cancel step {step}"));
    bench.end(Err(Failure::new("Cancelled", "", true)), &absent());
    assert!(bench.told().contains(&"observe File a".to_owned()), "{:?}", bench.told());
    assert_eq!(bench.engine.resources["a"].trouble, None);
}

#[test]
fn a_failure_backs_off_until_something_gives_hope() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(absent()));
    bench.remembered();
    bench.end(Err(Failure::new("Io", "it went wrong", true)), &wrong(7));
    assert_eq!(bench.phase("a"), (Phase::Failed, "Io".into()));
    let retry_at = bench.engine.resources["a"].standing.retry_at.unwrap();
    assert!(retry_at <= bench.now.boot + Duration::from_secs(1));
    // The same sight changes nothing, another one does.
    bench.tell(Event::Hint { kind: "File", hint: Hint::Kind });
    bench.see(|_| Ok(wrong(7)));
    assert_eq!(bench.phase("a").0, Phase::Failed);
    bench.tell(Event::Hint { kind: "File", hint: Hint::Kind });
    bench.see(|_| Ok(wrong(8)));
    assert_eq!(bench.phase("a").0, Phase::Reconciling);
}

#[test]
fn what_retrying_cannot_help_waits_for_a_new_spec() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(absent()));
    bench.remembered();
    bench.end(Err(Failure::new("Protected", "it is the agent's own", false)), &absent());
    bench.wait(4000.0);
    assert_eq!(bench.phase("a"), (Phase::Failed, "Protected".into()));
    bench.bring(2, &[file("a", "/b", "x")]);
    assert_ne!(bench.phase("a").0, Phase::Failed);
}

#[test]
fn drift_is_counted_and_repaired_or_reported() {
    for (policy, phase, action) in
        [("Enforce", Phase::Reconciling, "Repairing"), ("Report", Phase::Ready, "Reported")]
    {
        let mut bench = Bench::new();
        let mut entry = file("a", "/a", "x");
        entry["drift"] = json!(policy);
        bench.bring(1, &[entry]);
        bench.converge();
        bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("a".parse().unwrap()) });
        bench.see(|_| Ok(wrong(9)));
        let row = bench.engine.resources["a"].row.clone().unwrap();
        assert_eq!(
            (row.drift.count, format!("{:?}", row.drift.last.as_ref().unwrap().action)),
            (1, action.into())
        );
        assert_eq!(bench.phase("a").0, phase);
        // The same once more is the same drift.
        bench.tell(Event::Hint { kind: "File", hint: Hint::Kind });
        assert_eq!(bench.engine.resources["a"].row.as_ref().unwrap().drift.count, 1);
    }
}

#[test]
fn only_the_id_changes_so_what_is_owned_is_handed_over() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("old", "/a", "x")]);
    bench.converge();
    bench.bring(2, &[file("new", "/a", "x")]);
    bench.see(|_| Ok(right(1)));
    bench.converge();
    assert!(!bench.told().iter().any(|told| told.contains("take")), "{:?}", bench.told());
    assert_eq!(bench.engine.resources.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["new"]);
    assert_eq!(bench.phase("new").0, Phase::Ready);
}

#[test]
fn a_retry_long_after_the_failure_is_made() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(absent()));
    bench.remembered();
    bench.end(Err(Failure::new("Io", "it went wrong", false)), &wrong(7));
    bench.wait(3.0);
    bench.remembered();
    assert_eq!(bench.phase("a"), (Phase::Failed, "Io".into()));
    bench.tell(Event::Retry { id: None });
    bench.see(|_| Ok(wrong(7)));
    bench.remembered();
    assert_eq!(bench.told(), ["start File put a"]);
}

#[test]
fn the_same_number_from_another_source_is_another_manifest() {
    let mut bench = Bench::new();
    let bring = |bench: &mut Bench, source: &str, content: &str| {
        let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": 1, "resources": [file("a", "/a", content)] });
        let agent_id = agent();
        let last = bench.engine.last_admission(source);
        let terms = Terms { agent_id: &agent_id, source, form: Form::Json, last };
        let admitted = admit(manifest.to_string().as_bytes(), &terms).unwrap();
        bench.tell(Event::Admitted { admitted: Box::new(admitted), revision: 1 });
    };
    bring(&mut bench, "file", "x");
    bench.converge();
    let of_file = bench.engine.resources["a"].aim().unwrap().digest;
    bring(&mut bench, "nats", "y");
    bench.converge();
    bring(&mut bench, "file", "x");
    assert_eq!(bench.engine.resources["a"].aim().unwrap().digest, of_file);
}

#[test]
fn a_drift_that_lasts_over_a_restart_is_counted_once() {
    let mut bench = Bench::new();
    let mut reported = file("a", "/a", "x");
    reported["drift"] = json!("Report");
    bench.bring(1, std::slice::from_ref(&reported));
    bench.converge();
    bench.tell(Event::Resync);
    bench.see(|_| Ok(wrong(7)));
    let row = bench.engine.resources["a"].row.clone().unwrap();
    assert_eq!(row.drift.count, 1);
    let manifest = json!({ "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": 1, "resources": [reported] });
    let saved = crate::ledger::memory::SavedManifest {
        source: "nats".into(),
        generation: 1.try_into().unwrap(),
        text: manifest.to_string(),
    };
    let rows = BTreeMap::from([("a".parse().unwrap(), row)]);
    let memory = Memory { manifest: Some(saved), rows, ..Memory::default() };
    let mut bench = Bench::with(memory);
    bench.see(|_| Ok(wrong(7)));
    assert_eq!(bench.engine.resources["a"].row.as_ref().unwrap().drift.count, 1);
}

#[test]
fn paused_means_left_as_it_is() {
    let mut bench = Bench::new();
    bench.tell(Event::Pause { id: None, until: Some(at(200.0).boot) });
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.see(|_| Ok(absent()));
    assert_eq!(bench.phase("a"), (Phase::Pending, "Paused".into()));
    bench.wait(101.0);
    assert_ne!(bench.phase("a").1, "Paused");
}

#[test]
fn a_converged_quiet_engine_only_looks_now_and_then() {
    let mut bench = Bench::new();
    bench.tell(Event::Outbox(Fact::LinkUp));
    bench.tell(Event::Outbox(Fact::Read { revision: 0, held: Held::Nothing }));
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.tell(Event::Outbox(Fact::Delivered { revision: 1 }));
    bench.converge();
    bench.wait(2.0);
    bench.remembered();
    bench.tell(Event::Outbox(Fact::Delivered { revision: 2 }));
    bench.wait(2.0);
    bench.tell(Event::Outbox(Fact::Delivered { revision: 3 }));
    bench.begun.clear();
    let mut looks = 0;
    for _ in 0..600 {
        bench.wait(1.0);
        while !bench.begun.is_empty() {
            assert!(bench.told().iter().all(|told| told == "observe File a"), "{:?}", bench.told());
            looks += 1;
            bench.see(|_| Ok(right(1)));
        }
    }
    assert!((8..=12).contains(&looks), "{looks}");
}

mod disks;
mod together;

/// A repair with the spec that is held already, which proves bad: there is no former spec to go back to.
#[test]
fn a_repair_that_proves_bad_is_left_until_something_changes() {
    let mut bench = Bench::new();
    bench.bring(1, &[file("a", "/a", "x")]);
    bench.converge();
    let hint = |bench: &mut Bench| {
        bench.tell(Event::Hint { kind: "File", hint: Hint::Resource("a".parse().unwrap()) });
    };
    let bad = Failure { rolled_back: true, ..Failure::new("UpdateRolledBack", "it is unwell", false) };
    hint(&mut bench);
    bench.see(|_| Ok(wrong(2)));
    bench.remembered();
    bench.end(Err(bad.clone()), &wrong(2));
    assert_eq!(bench.phase("a"), (Phase::Failed, "UpdateRolledBack".into()));
    for round in 0..20 {
        bench.wait(60.0);
        while bench.begun.iter().any(|command| matches!(command, Command::Observe { .. })) {
            // What is back fares better and better.
            bench.see(|_| Ok(wrong(2 + round)));
        }
        if bench.begun.iter().any(|command| matches!(command, Command::Remember { .. })) {
            bench.remembered();
        }
        let starts = bench.begun.iter().filter(|command| matches!(command, Command::Start { .. })).count();
        assert_eq!(starts, 0, "nothing has changed: {:?}", bench.told());
    }
    hint(&mut bench);
    bench.see(|_| {
        Ok(Observation { differences: vec![Difference::in_place("content", "a", "c")], ..wrong(3) })
    });
    // Its intent is durable still.
    bench.end(Ok(()), &right(4));
    assert_eq!(bench.phase("a"), (Phase::Ready, String::new()), "{:?}", bench.told());
}

//! The driver, played by chance: every command may be slow, lost, answered late or cut off halfway.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use holdfast::{
    clock::{BootTime, Now},
    engine::{
        Engine,
        command::Command,
        event::{Event, LookResult, StepEnd},
        outbox::{Fact, Held},
        sabotage::Sabotage,
        settings::Settings,
    },
    ledger::memory::{LedgerWrite, Memory},
};
use jiff::Timestamp;
use manifest_types::{manifest::AgentManifest, name::AgentId, status::AgentStatus};
use reconcilers::{
    error::{Failure, Unseen},
    reconciler::Batch,
    registry::{AnyChange, AnyTarget, Observations},
};

use crate::{
    chance::Chance,
    check,
    fleet::Fleet,
    world::{World, file},
};

mod fate;

/// Something that was begun and not answered yet.
pub(crate) enum Pending {
    Observe { ticket: u64, kind: String, targets: Vec<AnyTarget>, seen: Option<Observations> },
    Step { step: u64, changes: Vec<AnyChange>, at: usize, phase: u32, cancelled: bool, until: BootTime },
    Remember { seq: u64, write: Arc<LedgerWrite> },
    Publish { status: Box<AgentStatus>, over: u64, answer: Option<Fact> },
    Read,
    HungLook { ticket: u64 },
}

/// What the sink holds.
pub(crate) struct Sink {
    pub(crate) revision: u64,
    pub(crate) held: Option<(u64, String, Option<AgentStatus>)>,
}

/// One run of a seed.
pub(crate) struct Play {
    pub(crate) chance: Chance,
    pub(crate) world: World,
    pub(crate) fleet: Fleet,
    pub(crate) sink: Sink,
    pub(crate) memory: Memory,
    pub(crate) engine: Engine,
    pub(crate) pending: Vec<Pending>,
    pub(crate) now: BootTime,
    pub(crate) wake_at: Option<BootTime>,
    pub(crate) link: bool,
    pub(crate) calm: bool,
    /// So many statuses are lost on their way, from the next one on.
    pub(crate) losses: usize,
    /// The gates that somebody holds closed, and who does.
    pub(crate) gates: BTreeMap<String, String>,
    /// Whose steps hang until their deadline.
    pub(crate) stuck: Option<String>,
    pub(crate) evidence: check::Evidence,
    pub(crate) steps: u64,
    pub(crate) wanted: Option<AgentManifest>,
    sabotage: Sabotage,
    lives: u32,
    stream_life: u64,
    pub(crate) verbose: bool,
}

fn settings(lives: u32, sabotage: Sabotage, seed: u64) -> Settings {
    let id: AgentId = "sim".parse().expect("it is a name");
    let mut settings = Settings::new(id, format!("life-{lives}"));
    settings.sabotage = sabotage;
    settings.seed = seed;
    settings.batch = Box::new(|spec| file(spec).path.is_at_or_below("/batch").then(|| Batch("batch".into())));
    settings
}

impl Play {
    pub(crate) fn new(seed: u64, sabotage: Sabotage, verbose: bool) -> Self {
        let now = BootTime::since_boot(Duration::from_secs(100));
        let memory = Memory::default();
        Self {
            chance: Chance::new(seed),
            world: World::default(),
            fleet: Fleet::new(),
            sink: Sink { revision: 0, held: None },
            engine: Engine::new(settings(0, sabotage, seed), memory.clone(), wall(now)),
            memory,
            pending: Vec::new(),
            now,
            wake_at: None,
            link: false,
            calm: false,
            losses: 0,
            gates: BTreeMap::new(),
            stuck: None,
            evidence: check::Evidence::default(),
            steps: 0,
            wanted: None,
            sabotage,
            lives: 0,
            stream_life: 0,
            verbose,
        }
    }

    pub(crate) fn now(&self) -> Now {
        wall(self.now)
    }

    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            println!("{:>9.3} {}", self.now.as_duration().as_secs_f64(), line());
        }
    }

    /// Takes in a fact, plans, and begins what follows.
    pub(crate) fn tell(&mut self, event: Event) -> Result<(), String> {
        self.log(|| format!("event {}", brief(&event)));
        let now = self.now();
        self.engine.apply(event, now);
        self.plan()
    }

    /// A gate is closed, or opened.
    pub(crate) fn gate(&mut self, group: &str, holder: Option<String>) -> Result<(), String> {
        match holder.clone() {
            Some(holder) => self.gates.insert(group.to_owned(), holder),
            None => self.gates.remove(group),
        };
        self.tell(Event::Gate { group: group.to_owned(), holder })
    }

    pub(crate) fn plan(&mut self) -> Result<(), String> {
        self.steps += 1;
        let plan = self.engine.plan(self.now());
        self.wake_at = plan.wake_at;
        for (id, standing) in &plan.changes {
            self.log(|| format!("  {id}: {} {}", standing.phase, standing.reason.unwrap_or_default()));
        }
        for command in plan.commands {
            self.log(|| format!("  -> {command}"));
            self.evidence.commands += 1;
            check::command(self, &command)?;
            self.begin(command);
        }
        check::after_plan(self)
    }

    fn begin(&mut self, command: Command) {
        let pending = match command {
            Command::Observe { ticket, kind, targets } => {
                Pending::Observe { ticket, kind, targets, seen: None }
            }
            Command::Start { step, changes, deadline, .. } => {
                Pending::Step { step, changes, at: 0, phase: 0, cancelled: false, until: self.now + deadline }
            }
            Command::Cancel { step } => {
                for pending in &mut self.pending {
                    if let Pending::Step { step: own, cancelled, until, .. } = pending
                        && *own == step
                    {
                        *cancelled = true;
                        *until = (self.now + Duration::from_secs(30)).min(*until);
                    }
                }
                return;
            }
            Command::Remember { seq, write } => Pending::Remember { seq, write },
            Command::Publish { status, over } => Pending::Publish { status, over, answer: None },
            Command::ReadStatus => Pending::Read,
        };
        self.pending.push(pending);
    }

    /// Lets one thing that is under way go on.
    pub(crate) fn advance(&mut self, index: usize) -> Result<(), String> {
        match self.pending.swap_remove(index) {
            Pending::Observe { ticket, kind, targets, seen } => self.observe(ticket, kind, targets, seen),
            Pending::Step { step, changes, at, phase, cancelled, until } => {
                self.step(step, changes, at, phase, cancelled, until)
            }
            Pending::Remember { seq, write } => self.remember(seq, write),
            Pending::Publish { status, over, answer } => self.publish(status, over, answer),
            Pending::HungLook { ticket } => self.tell(Event::LookReturned { ticket }),
            Pending::Read => {
                let (revision, held) = match &self.sink.held {
                    Some((revision, instance, _)) => (*revision, Held::By(instance.clone())),
                    None => (0, Held::Nothing),
                };
                self.tell(Event::Outbox(Fact::Read { revision, held }))
            }
        }
    }

    fn observe(
        &mut self,
        ticket: u64,
        kind: String,
        targets: Vec<AnyTarget>,
        seen: Option<Observations>,
    ) -> Result<(), String> {
        if !self.calm && seen.is_none() {
            match self.chance.below(40) {
                0 => {
                    let away = Unseen { reason: "Away", message: "it is away".into() };
                    return self.tell(Event::Observed { ticket, kind, result: LookResult::Unseen(away) });
                }
                1 => {
                    self.pending.push(Pending::HungLook { ticket });
                    return self.tell(Event::Observed { ticket, kind, result: LookResult::TimedOut });
                }
                _ => {}
            }
        }
        match seen {
            // What was seen may be told later, when it is not true any more.
            None if !self.calm && self.chance.percent(30) => {
                let seen = Some(self.look(&targets));
                self.pending.push(Pending::Observe { ticket, kind, targets, seen });
                Ok(())
            }
            seen => {
                let seen = seen.unwrap_or_else(|| self.look(&targets));
                if self.doubles() {
                    let (kind, result) = (kind.clone(), LookResult::Seen(seen.clone()));
                    self.tell(Event::Observed { ticket, kind, result })?;
                }
                self.tell(Event::Observed { ticket, kind, result: LookResult::Seen(seen) })
            }
        }
    }

    fn look(&mut self, targets: &[AnyTarget]) -> Observations {
        let mut seen = Observations::new();
        for target in targets {
            self.evidence.looked_at.insert(target.id.clone());
            let fails = !self.calm && self.chance.percent(2);
            let sight = if fails {
                Err(Failure::new("Io", "it cannot be read", true))
            } else {
                let sight = self.world.observe(target, self.now);
                self.evidence.saw(target, &sight);
                Ok(sight)
            };
            seen.insert(target.id.clone(), sight);
        }
        seen
    }

    fn step(
        &mut self,
        step: u64,
        changes: Vec<AnyChange>,
        at: usize,
        phase: u32,
        cancelled: bool,
        until: BootTime,
    ) -> Result<(), String> {
        if self.now >= until {
            let ended = StepEnd::GivenUp { at: self.now().wall };
            return self.tell(Event::StepEnded { step, ended });
        }
        let stuck = changes.iter().any(|change| Some(change.id.as_str()) == self.stuck.as_deref());
        if stuck {
            self.pending.push(Pending::Step { step, changes, at, phase, cancelled, until });
            return Ok(());
        }
        let fails = !self.calm && phase < 2 && self.chance.percent(5);
        let ended = |outcome: Result<(), Failure>, changes: &[AnyChange]| {
            changes
                .iter()
                .enumerate()
                .map(|(index, change)| {
                    let own = if index < at { Ok(()) } else { outcome.clone() };
                    (change.id.clone(), own)
                })
                .collect::<BTreeMap<_, _>>()
        };
        let results = match changes.get(at) {
            None => ended(Ok(()), &changes),
            Some(_) if cancelled && phase < 2 => {
                ended(Err(Failure::new("Cancelled", "cancelled", true)), &changes)
            }
            Some(_) if fails => {
                let retry = self.chance.percent(70);
                ended(Err(Failure::new("Io", "it went wrong", retry)), &changes)
            }
            Some(change) => {
                let loads = check::loads(&self.engine, &change.id);
                let healthy_at = self.now + Duration::from_millis(self.chance.below(5000) as u64);
                let more = self.world.effect(change, phase, &loads, healthy_at);
                self.evidence.effect(&change.id);
                let (at, phase) = if more { (at, phase + 1) } else { (at + 1, 0) };
                self.pending.push(Pending::Step { step, changes, at, phase, cancelled, until });
                return Ok(());
            }
        };
        let targets: Vec<_> = changes.iter().map(target_of).collect();
        let seen = match self.chance.below(30) {
            0 if !self.calm => LookResult::TimedOut,
            _ => LookResult::Seen(self.look(&targets)),
        };
        self.tell(Event::StepEnded { step, ended: StepEnd::Done { results, seen } })
    }

    fn remember(&mut self, seq: u64, write: Arc<LedgerWrite>) -> Result<(), String> {
        if !self.calm && self.chance.percent(5) {
            let full = self.chance.percent(50);
            // What lets go may use the reserve.
            if full && write.lets_go && self.chance.percent(80) {
                self.memory.commit(&write);
                return self.tell(Event::Remembered { seq });
            }
            return self.tell(Event::LedgerFailed { seq, message: "it failed".into(), full });
        }
        if !self.calm && self.chance.percent(2) {
            self.tell(Event::LedgerSlow { seq })?;
        }
        self.memory.commit(&write);
        if self.doubles() {
            self.tell(Event::Remembered { seq })?;
        }
        self.tell(Event::Remembered { seq })
    }

    /// Whether a fact is told twice.
    fn doubles(&mut self) -> bool {
        !self.calm && self.chance.percent(5)
    }

    fn publish(&mut self, status: Box<AgentStatus>, over: u64, answer: Option<Fact>) -> Result<(), String> {
        if let Some(answer) = answer {
            return self.tell(Event::Outbox(answer));
        }
        if self.losses > 0 {
            self.losses -= 1;
            return self.tell(Event::Outbox(Fact::Unknown { message: "lost".into() }));
        }
        let answer = self.store_status(&status, over);
        if !self.calm && self.chance.percent(20) {
            self.pending.push(Pending::Publish { status, over, answer: Some(answer) });
            return Ok(());
        }
        let lost = !self.calm && self.chance.percent(10);
        let answer = if lost { Fact::Unknown { message: "no answer".into() } } else { answer };
        self.tell(Event::Outbox(answer))
    }

    fn store_status(&mut self, status: &AgentStatus, over: u64) -> Fact {
        if !self.link {
            return Fact::Unknown { message: "no link".into() };
        }
        let held = self.sink.held.as_ref().map_or(0, |(revision, ..)| *revision);
        if held != over {
            return Fact::Conflict;
        }
        self.sink.revision += 1;
        let revision = self.sink.revision;
        self.sink.held = Some((revision, status.instance_id.clone(), Some(status.clone())));
        Fact::Delivered { revision }
    }

    /// Time goes on to `at`.
    pub(crate) fn wait_until(&mut self, at: BootTime) -> Result<(), String> {
        self.now = self.now.max(at);
        self.plan()
    }
}

/// What is looked at right after a change.
pub(crate) fn target_of(change: &AnyChange) -> AnyTarget {
    use reconcilers::registry::Work;
    let wanted = match &change.work {
        Work::Put { spec, .. } => Some(spec.clone()),
        Work::Take => None,
    };
    AnyTarget { id: change.id.clone(), wanted, owned: Some(change.owned.clone()) }
}

fn wall(boot: BootTime) -> Now {
    let start = Timestamp::from_second(1_700_000_000).expect("it is a time");
    Now { boot, wall: start.checked_add(boot.as_duration()).expect("it is a time") }
}

fn brief(event: &Event) -> String {
    let text = format!("{event:?}");
    text.chars().take(160).collect()
}

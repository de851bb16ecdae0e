//! The loop: drain the inbox, apply every fact, plan once, execute.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use manifest_types::{
    manifest::API_VERSION,
    status::{AgentHeartbeat, DriftRecord, HEARTBEAT_KIND},
};
use reconcilers::{reconciler::Hint, registry::Registry};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use super::{Fatal, notify};
use crate::{
    admit::{Rejection, Terms, admit},
    alarm::Alarm,
    ask::{Ask, Metrics},
    clock::Now,
    config::Config,
    engine::{
        Engine,
        command::{Command, Plan},
        event::Event,
        outbox::Fact,
    },
    execute,
    ledger::{
        memory::LedgerWrite,
        store::Store,
        writer::{Committed, Writer},
    },
    preview::Looks,
    report,
    sink::{Answer, Order},
    source::{self, News},
};

mod asked;
mod telling;

use telling::{outcomes, phases, tell};

/// What comes to the inbox.
pub(super) enum Input {
    News(News),
    Answer(Answer),
    Ask(Ask),
    Hint(&'static str, Hint),
    Fact(Event),
    Stop,
}

/// At SIGTERM, steps have so long to end or let go.
const STOPPING: Duration = Duration::from_secs(2);
/// A commit that takes longer is told as that.
const SLOW: Duration = Duration::from_secs(30);
/// A watchdog or heartbeat that is not asked for.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The engine, and all that it needs to have its will done.
pub(super) struct Driver {
    engine: Engine,
    registry: Arc<Registry>,
    ledger: Writer,
    orders: mpsc::Sender<Order>,
    facts: mpsc::Sender<Event>,
    /// A source that asks, and can be told to.
    source: Option<mpsc::Sender<source::Order>>,
    config: Config,
    started: Now,
    steps: HashMap<u64, (String, CancellationToken)>,
    metrics: Metrics,
    /// Why the last status was not delivered, once that was told.
    undelivered: Option<String>,
    /// The looks of previews.
    previews: Arc<Looks>,
    /// What the source brought last and was refused.
    refused: Option<(Vec<u8>, u64)>,
    stopping: bool,
}

impl Driver {
    pub(super) fn new(
        engine: Engine,
        registry: Arc<Registry>,
        store: Store,
        (orders, source): (mpsc::Sender<Order>, Option<mpsc::Sender<source::Order>>),
        inbox: mpsc::Sender<Input>,
        config: Config,
    ) -> io::Result<Self> {
        let (facts, told) = mpsc::channel(64);
        super::forward(told, &inbox, Input::Fact);
        Ok(Self {
            engine,
            registry,
            ledger: Writer::start(store)?,
            orders,
            facts,
            source,
            config,
            started: Now::read(),
            steps: HashMap::new(),
            metrics: Metrics::default(),
            undelivered: None,
            previews: Arc::default(),
            refused: None,
            stopping: false,
        })
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(mut self, mut input: mpsc::Receiver<Input>) -> Result<(), Fatal> {
        let mut alarm = Alarm::new()?;
        let mut heartbeat = every(self.config.heartbeat);
        let mut watchdog = every(notify::watchdog().unwrap_or(NEVER));
        self.follow(&mut alarm)?;
        notify::ready();
        while !self.stopping {
            tokio::select! {
                biased;
                received = input.recv() => {
                    let mut next = received;
                    while let Some(one) = next {
                        match one {
                            Input::Stop => self.stopping = true,
                            other => self.take(other),
                        }
                        next = input.try_recv().ok();
                    }
                }
                rung = alarm.rings() => rung?,
                _ = heartbeat.tick() => self.heartbeat(),
                _ = watchdog.tick() => notify::alive(),
            }
            self.follow(&mut alarm)?;
        }
        self.stop(&mut input).await;
        Ok(())
    }

    fn take(&mut self, input: Input) {
        let now = Now::read();
        match input {
            Input::News(news) => self.news(news, now),
            Input::Answer(Answer::Fact(fact)) => {
                self.note(&fact);
                self.engine.apply(Event::Outbox(fact), now);
            }
            Input::Answer(Answer::Limit(limit)) => self.engine.set_status_limit(limit),
            Input::Hint(kind, hint) => self.engine.apply(Event::Hint { kind, hint }, now),
            Input::Fact(event) => {
                self.count(&event);
                self.engine.apply(event, now);
            }
            Input::Ask(ask) => self.answer(ask, now),
            Input::Stop => self.stopping = true,
        }
    }

    fn news(&mut self, news: News, now: Now) {
        let event = match news {
            News::Content { bytes: None, revision } => {
                self.refused = None;
                Event::KeyAbsent { revision }
            }
            News::Content { bytes: Some(bytes), revision } => self.judge(&bytes, revision),
            News::Unusable { message, revision } => {
                tracing::warn!(
                    revision,
                    message,
                    "what the source has is refused; nothing is changed for it"
                );
                self.refused = None;
                Event::Refused { rejection: Box::new(Rejection::unusable(message)), revision }
            }
            News::Connected => Event::Source { away: None },
            News::Disconnected(why) => Event::Source { away: Some(why) },
        };
        self.engine.apply(event, now);
    }

    /// The generations were forgotten: what was refused for its generation may be accepted now.
    fn judge_again(&mut self, now: Now) {
        if let Some((bytes, revision)) = self.refused.take() {
            let event = self.judge(&bytes, revision);
            self.engine.apply(event, now);
        }
    }

    fn judge(&mut self, bytes: &[u8], revision: u64) -> Event {
        let source = self.config.source.to_string();
        let terms = Terms {
            agent_id: &self.config.agent_id,
            source: &source,
            form: self.config.source.form(),
            last: self.engine.last_admission(&source),
        };
        let verdict = admit(bytes, &terms);
        self.refused = None;
        match verdict {
            Ok(admitted) => {
                tracing::info!(generation = %admitted.generation, revision, resources = admitted.manifest.resources.len(), "manifest admitted");
                Event::Admitted { admitted: Box::new(admitted), revision }
            }
            Err(rejection) => {
                tracing::warn!(reason = %rejection.reason, revision, message = rejection.message, "manifest refused; nothing is changed for it");
                self.refused = Some((bytes.to_vec(), revision));
                Event::Refused { rejection: Box::new(rejection), revision }
            }
        }
    }

    /// Plans, and begins what follows.
    fn follow(&mut self, alarm: &mut Alarm) -> Result<(), Fatal> {
        let Plan { commands, wake_at, changes, gone, drifts } = self.engine.plan(Now::read());
        let (generation, _) = self.engine.generations();
        for (id, DriftRecord { action, fields, .. }) in &drifts {
            let fields: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
            tracing::warn!(resource = %id, generation, reason = ?action, fields = fields.join(","), "drift");
        }
        for (id, standing) in &changes {
            tell(id, standing, generation);
        }
        for id in &gone {
            tracing::info!(resource = %id, generation, "Gone");
        }
        for command in commands {
            self.execute(command);
        }
        alarm.set(wake_at)?;
        Ok(())
    }

    fn execute(&mut self, command: Command) {
        tracing::debug!(%command, "command");
        match command {
            Command::Observe { ticket, kind, targets } => {
                *self.metrics.observations.entry(kind.clone()).or_default() += targets.len() as u64;
                execute::observe(self.registry.clone(), self.facts.clone(), ticket, kind, targets);
            }
            Command::Start { step, kind, changes, deadline } => {
                let (registry, facts) = (self.registry.clone(), self.facts.clone());
                let token = execute::start(registry, facts, step, kind.clone(), changes, deadline);
                self.steps.insert(step, (kind, token));
            }
            Command::Cancel { step } => {
                if let Some((_, token)) = self.steps.get(&step) {
                    token.cancel();
                }
            }
            Command::Remember { seq, write } => self.remember(seq, write),
            Command::Publish { status, over } => {
                self.order(Order::Write { bytes: report::to_bytes(&status), over })
            }
            Command::ReadStatus => self.order(Order::Read),
        }
    }

    fn remember(&self, seq: u64, write: Arc<LedgerWrite>) {
        let (facts, mut committed) = (self.facts.clone(), self.ledger.commit(write));
        tokio::spawn(async move {
            let event = match tokio::time::timeout(SLOW, &mut committed).await {
                Ok(result) => told(seq, result),
                Err(_) => {
                    drop(facts.send(Event::LedgerSlow { seq }).await);
                    told(seq, committed.await)
                }
            };
            drop(facts.send(event).await);
        });
    }

    /// A sink that still has its hands full does not know what became of an order that it could not take.
    fn order(&mut self, order: Order) {
        let is_sign_of_life = matches!(order, Order::Heartbeat { .. } | Order::Listen);
        if self.orders.try_send(order).is_err() && !is_sign_of_life {
            let message = "the sink takes no orders".to_owned();
            self.engine.apply(Event::Outbox(Fact::Unknown { message }), Now::read());
        }
    }

    fn heartbeat(&mut self) {
        if !self.metrics.link_up {
            return;
        }
        if self.engine.is_fenced() {
            return self.order(Order::Listen);
        }
        let now = Now::read();
        let (manifest_generation, observed_generation) = self.engine.generations();
        let settings = self.engine.settings();
        let heartbeat = AgentHeartbeat {
            api_version: API_VERSION.into(),
            kind: HEARTBEAT_KIND.into(),
            agent_id: settings.agent_id.clone(),
            agent_version: settings.agent_version.clone(),
            instance_id: settings.instance_id.clone(),
            manifest_generation,
            observed_generation,
            uptime_seconds: (now.boot - self.started.boot).as_secs(),
            sent_at: now.wall,
        };
        let bytes = serde_json::to_vec(&heartbeat).expect("a heartbeat is plain JSON");
        self.order(Order::Heartbeat { bytes });
    }

    fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::LinkUp => {
                self.metrics.link_up = true;
                self.heartbeat();
            }
            Fact::LinkDown => self.metrics.link_up = false,
            Fact::Delivered { .. } => {
                self.metrics.statuses_sent += 1;
                self.undelivered = None;
            }
            Fact::Unknown { message } => {
                if self.undelivered.replace(message.clone()).as_ref() != Some(message) {
                    tracing::warn!(message, "the status is not delivered yet; it is tried again");
                }
            }
            Fact::Conflict | Fact::Read { .. } | Fact::OtherAlive => {}
        }
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Remembered { .. } => self.metrics.ledger_commits += 1,
            Event::LedgerFailed { message, .. } => {
                tracing::error!(message, "the ledger cannot be written; nothing is changed until it can")
            }
            Event::StepEnded { step, ended } => {
                let Some((kind, _)) = self.steps.remove(step) else { return };
                let (done, failed) = outcomes(ended);
                *self.metrics.steps_done.entry(kind.clone()).or_default() += done;
                *self.metrics.steps_failed.entry(kind).or_default() += failed;
            }
            _ => {}
        }
    }

    /// Lets steps end or let go, writes what the ledger has not got yet, and leaves the workloads running.
    async fn stop(&mut self, input: &mut mpsc::Receiver<Input>) {
        notify::stopping();
        tracing::info!("holdfast stops; what it holds stays as it is");
        for (_, token) in self.steps.values() {
            token.cancel();
        }
        let ended = async {
            while !self.steps.is_empty() {
                match input.recv().await {
                    Some(Input::Fact(event)) => {
                        self.count(&event);
                        self.engine.apply(event, Now::read());
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        };
        drop(tokio::time::timeout(STOPPING, ended).await);
        self.engine.apply(Event::Flush, Now::read());
        for command in self.engine.plan(Now::read()).commands {
            if let Command::Remember { write, .. } = command {
                drop(tokio::time::timeout(Duration::from_secs(1), self.ledger.commit(write)).await);
            }
        }
    }
}

/// How a commit ended, as a fact. A thread that has gone has committed nothing.
fn told(seq: u64, result: Result<Committed, oneshot::error::RecvError>) -> Event {
    match result {
        Ok(Ok(())) => Event::Remembered { seq },
        Ok(Err((message, full))) => Event::LedgerFailed { seq, message, full },
        Err(error) => Event::LedgerFailed { seq, message: error.to_string(), full: false },
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

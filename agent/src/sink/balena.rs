//! The balena sink: the status as a report to the API that the target state comes from.
//!
//! It holds the last status, and sends what differs from what was accepted last: not more often than the spacing, and measurements alone once in five minutes.
//! A report that is refused for its apps is sent without them, and they again later.

use std::{path::PathBuf, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, OptionFuture},
};
use manifest_types::status::AgentStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};

use self::{
    apps::Running,
    device::{Changes, Report, changes},
    measure::Meter,
    refused::Refused,
};
use super::{Answer, Order};
use crate::{
    clock::{BootTime, Now},
    engine::outbox::{Fact, Held},
    source::balena::{
        api::{Refusal, Reported, Trouble},
        cadence::{Cadence, flag},
        host, keep,
        options::Options,
        task::Known,
        translate::SUPERVISOR_VERSION,
    },
};

mod apps;
mod device;
mod measure;
mod refused;

/// Measurements alone are sent so often at most.
const MEASUREMENTS: Duration = Duration::from_secs(300);
/// Addresses and measurements are read so often.
const MEASURED: Duration = Duration::from_secs(60);
/// After a refusal it is tried again no later than this.
const LATEST: Duration = Duration::from_secs(900);

/// What is remembered of reports, across restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// The device that it is about.
    uuid: String,
    /// What was accepted last. What was sent since, and is not known to have arrived, is not in it.
    accepted: Report,
    /// The releases that were whole last.
    running: Running,
}

impl Memory {
    /// What is remembered of this device: nothing, if it is another's.
    fn of(self, uuid: &str) -> Self {
        match self.uuid == uuid {
            true => self,
            false => Self { uuid: uuid.to_owned(), ..Self::default() },
        }
    }

    /// Whether it arrives may never be known: until it is, the API may have the new as well as the old.
    fn is_sent(&mut self, changes: &Changes) {
        self.accepted.0.retain(|name, _| !changes.report.contains_key(name));
    }
}

/// What is to be done.
enum Next {
    /// Nothing for so long.
    Wait(Duration),
    /// A report is under way.
    Send(BoxFuture<'static, Sent>),
}

/// A report that was sent, and what became of it.
struct Sent {
    changes: Changes,
    answer: Reported,
}

/// The sink.
struct Sink {
    options: Options,
    known: watch::Receiver<Known>,
    status: Option<AgentStatus>,
    memory: Memory,
    /// Whose the memory is.
    of: Option<PathBuf>,
    meter: Meter,
    device: Map<String, Value>,
    measured: Option<BootTime>,
    cadence: Cadence,
    /// When measurements were sent last.
    sent: Option<BootTime>,
    /// The apps that were refused.
    refused: Option<Refused>,
    /// What was told last of why reports do not arrive.
    trouble: Option<String>,
}

/// Carries out orders until there are no more.
pub async fn run(
    options: Options,
    known: watch::Receiver<Known>,
    mut orders: mpsc::Receiver<Order>,
    answers: mpsc::Sender<Answer>,
) {
    let cadence = Cadence::new(LATEST, options.spacing);
    let mut sink = Sink {
        options,
        known,
        status: None,
        memory: Memory::default(),
        of: None,
        meter: Meter::default(),
        device: Map::new(),
        measured: None,
        cadence,
        sent: None,
        refused: None,
        trouble: None,
    };
    let mut revision = 0;
    if answers.send(Answer::Fact(Fact::LinkUp)).await.is_err() {
        return;
    }
    let mut sending: Option<BoxFuture<'static, Sent>> = None;
    loop {
        let mut wait = MEASURED;
        if sending.is_none() {
            sink.measure().await;
            match sink.next().await {
                Next::Wait(time) => wait = time,
                Next::Send(request) => sending = Some(request),
            }
        }
        let order = tokio::select! {
            order = orders.recv() => order,
            Some(sent) = OptionFuture::from(sending.as_mut()) => {
                sending = None;
                sink.answered(sent).await;
                continue;
            }
            changed = sink.known.changed() => match changed {
                Ok(()) => continue,
                Err(_) => orders.recv().await,
            },
            () = tokio::time::sleep(wait) => continue,
        };
        let fact = match order {
            None => return,
            Some(Order::Read) => Fact::Read { revision, held: Held::Unreadable },
            Some(Order::Write { bytes, .. }) => {
                revision += 1;
                sink.status = serde_json::from_slice(&bytes).ok();
                Fact::Delivered { revision }
            }
            // Asking for the target state is the sign of life here.
            Some(Order::Heartbeat { .. } | Order::Listen) => continue,
        };
        if answers.send(Answer::Fact(fact)).await.is_err() {
            return;
        }
    }
}

impl Sink {
    /// Reads what the device says of itself, if that was some time ago.
    async fn measure(&mut self) {
        let now = Now::read().boot;
        if self.measured.is_some_and(|measured| now - measured < MEASURED) {
            return;
        }
        self.measured = Some(now);
        let (mut meter, storage) = (std::mem::take(&mut self.meter), self.options.dir.clone());
        let read = tokio::task::spawn_blocking(move || {
            let storage = storage.ancestors().find(|path| path.exists()).map(PathBuf::from);
            let mut fields = meter.read(storage.as_deref().unwrap_or(std::path::Path::new("/")));
            fields.extend(measure::addresses());
            fields.insert("os_version".into(), json!(host::os_version()));
            fields.insert("os_variant".into(), json!(host::os_variant()));
            // It is somebody by now, whatever the one before it has told of becoming so.
            fields.insert("provisioning_state".into(), "".into());
            fields.insert("provisioning_progress".into(), Value::Null);
            fields.insert("supervisor_version".into(), SUPERVISOR_VERSION.into());
            fields.insert("status".into(), "Idle".into());
            fields.extend(measure::processor_id().map(|id| ("cpu_id".to_owned(), id)));
            (meter, fields)
        });
        if let Ok((meter, fields)) = read.await {
            (self.meter, self.device) = (meter, fields);
        }
    }

    /// What is to be sent now, or when to look again.
    async fn next(&mut self) -> Next {
        let known = self.known.borrow_and_update().clone();
        let Some(session) = known.session.filter(|session| session.identity.is_registered) else {
            return Next::Wait(MEASURED);
        };
        let path = session.dir.join("report.json");
        let uuid = &session.identity.uuid;
        if self.of.as_ref() != Some(&path) || self.memory.uuid != *uuid {
            self.memory = load(path.clone()).await.of(uuid);
            self.of = Some(path);
            // When they were sent before this start is not known: it may have been just now.
            self.sent = self.memory.accepted.has_measurements().then(|| Now::read().boot);
        }
        let mut report = Report(self.device.clone());
        let former = self.memory.clone();
        if let Some(translation) = &known.translation {
            if flag(&translation.config, "SUPERVISOR_HARDWARE_METRICS") == Some(false) {
                device::forget_measurements(&mut report);
            }
            let told =
                self.status.as_ref().and_then(|status| apps::apps(translation, status, &former.running));
            if let Some((told, running)) = told {
                report.0.insert("apps".into(), told);
                self.memory.running = running;
            }
        }
        let now = Now::read().boot;
        let mut due = changes(&self.memory.accepted, &report);
        let held_back = self.hold_back_refused(&mut due, now);
        let at = when(&due, self.cadence.due(), self.sent);
        let is_due = at.is_some_and(|at| at <= now);
        if is_due {
            self.memory.is_sent(&due);
        }
        if self.memory != former {
            self.save().await;
        }
        if !is_due {
            let times = [at, held_back].into_iter().flatten();
            return Next::Wait(times.map(|at| at - now).fold(MEASURED, Duration::min));
        }
        self.cadence.begun(now);
        let request = async move {
            let answer = session.api.report(&session.identity, &due.report.clone().into()).await;
            Sent { changes: due, answer }
        };
        Next::Send(request.boxed())
    }

    /// Apps that were refused are not sent again at once: when they are, if they are held back.
    fn hold_back_refused(&self, due: &mut Changes, now: BootTime) -> Option<BootTime> {
        let until = self.refused?.until();
        if now >= until || due.report.remove("apps").is_none() {
            return None;
        }
        due.is_urgent = due.report.keys().any(|name| !device::is_measurement(name));
        Some(until)
    }

    async fn answered(&mut self, Sent { changes: sent, answer }: Sent) {
        let now = Now::read().boot;
        match answer {
            Reported::Taken => {
                if sent.report.keys().any(|name| device::is_measurement(name)) {
                    self.sent = Some(now);
                }
                self.memory.accepted.0.extend(sent.report.clone());
                self.cadence.answered(now, 0.0);
                // What changes meanwhile need not wait for longer than the spacing.
                self.cadence.hurry(now);
                if sent.report.contains_key("apps") {
                    self.refused = None;
                }
                self.trouble = None;
                self.save().await;
            }
            // It may be the apps that it does not know: without them it is told soon whether it is the key.
            Reported::Refused(refusal) if sent.report.contains_key("apps") => {
                self.refused = Some(Refused::again(self.refused, now));
                self.tell(format!("the API refuses the report with its apps: {refusal}"));
                self.cadence.hurry(now);
            }
            Reported::Refused(refusal @ (Refusal::Unauthorized | Refusal::Other { .. })) => {
                self.tell(format!("the API refuses the report: {refusal}"));
                self.cadence.failed(now, None, 1.0);
            }
            Reported::Unknown(Trouble { why, wait }) => {
                self.tell(format!("the report is not delivered: {why}"));
                self.cadence.failed(now, wait, 1.0);
            }
        }
    }

    async fn save(&self) {
        if let Some(path) = self.of.clone() {
            save(path, self.memory.clone()).await;
        }
    }

    fn tell(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(trouble, "no report; it is tried again");
            self.trouble = Some(trouble);
        }
    }
}

/// When changes are to be sent, if they are: no sooner than `due`, and measurements alone not soon after the last ones.
fn when(changes: &Changes, due: BootTime, measured: Option<BootTime>) -> Option<BootTime> {
    match changes {
        Changes { report, .. } if report.is_empty() => None,
        Changes { is_urgent: true, .. } => Some(due),
        Changes { .. } => Some(measured.map_or(due, |measured| due.max(measured + MEASUREMENTS))),
    }
}

/// What cannot be read is as if nothing had been reported: all is reported again.
async fn load(path: PathBuf) -> Memory {
    let read = tokio::task::spawn_blocking(move || keep::load(&path)).await;
    read.ok().and_then(Result::ok).flatten().unwrap_or_default()
}

async fn save(path: PathBuf, memory: Memory) {
    let saved = tokio::task::spawn_blocking(move || keep::save(&path, &memory)).await;
    if let Ok(Err(error)) = saved {
        tracing::debug!(%error, "what was reported cannot be kept; after a restart it is reported again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_alone_wait_for_longer_than_what_has_happened() {
        let at = |seconds| BootTime::default() + Duration::from_secs(seconds);
        let changes = |name: &str, is_urgent| Changes {
            report: Map::from_iter([(name.to_owned(), json!(1))]),
            is_urgent,
        };
        let (status, usage) = (changes("status", true), changes("cpu_usage", false));
        assert_eq!(when(&Changes::default(), at(10), None), None);
        assert_eq!(when(&status, at(10), Some(at(9))), Some(at(10)));
        assert_eq!(
            (when(&usage, at(10), None), when(&usage, at(10), Some(at(9)))),
            (Some(at(10)), Some(at(309)))
        );
    }

    #[test]
    fn what_may_have_arrived_is_told_again_and_another_device_tells_all() {
        let report = |word: &str| Report(Map::from_iter([("apps".to_owned(), json!({ "a": word }))]));
        let mut memory = Memory { uuid: "a".into(), accepted: report("running"), ..Memory::default() };
        memory.is_sent(&changes(&memory.accepted, &report("exited")));
        // No answer has come, and it is as it was before: the API may have the other.
        assert_eq!(changes(&memory.accepted, &report("running")).report, report("running").0);
        let memory = Memory { accepted: report("running"), ..memory };
        assert_eq!(memory.clone().of("a"), memory);
        assert_eq!(memory.of("b"), Memory { uuid: "b".into(), ..Memory::default() });
    }
}

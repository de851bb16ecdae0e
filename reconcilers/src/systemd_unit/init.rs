//! The seam to an init system: what this kind asks of systemd, in its own terms.

use std::{future::Future, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use manifest_types::kinds::systemd_unit::LoadState;
use tokio::sync::broadcast::{self, error::RecvError};

use super::error::BusError;

/// An answer, unless it is away or refuses.
pub type Answer<T> = Result<T, BusError>;

/// What is asked of an init system. Every call may be made again.
pub trait InitSystem: Clone + Send + Sync + 'static {
    /// Connects and listens, unless that is so already; its version.
    fn open(&self) -> impl Future<Output = Answer<String>> + Send;

    /// How units fare, in one call. A unit that is not there is told as that.
    fn list(&self, names: &[String]) -> impl Future<Output = Answer<Vec<Listed>>> + Send;

    /// All that is asked about one unit. One that is not there is told as that.
    fn unit(&self, name: &str) -> impl Future<Output = Answer<Unit>> + Send;

    /// Reads all unit files again.
    fn reload(&self) -> impl Future<Output = Answer<()>> + Send;

    /// Queues a job and waits for its end.
    fn run(&self, job: Job, unit: &str) -> impl Future<Output = Answer<JobEnd>> + Send;

    /// Makes or removes the links of a unit's `[Install]`; whether it has one.
    fn enable(&self, unit: &str, change: Enablement) -> impl Future<Output = Answer<bool>> + Send;

    /// Lets nobody start a unit, or takes that back.
    fn mask(&self, unit: &str, masked: bool) -> impl Future<Output = Answer<()>> + Send;

    /// Forgets that a unit has failed.
    fn reset_failed(&self, unit: &str) -> impl Future<Output = Answer<()>> + Send;

    /// The last lines of a unit's journal, for a message; empty where there are none.
    fn last_lines(&self, unit: &str) -> impl Future<Output = String> + Send;

    /// What may have changed, from now on, also while it is away.
    fn events(&self) -> BoxStream<'static, UnitEvent>;
}

/// What is done to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is restarted if it runs.
    TryRestart,
    /// It reads its configuration again.
    Reload,
    /// It reads its configuration again, or is restarted where it cannot, if it runs.
    ReloadOrTryRestart,
}

/// How a job ended: systemd's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd(pub String);

impl JobEnd {
    /// It was not done, because a condition of the unit is not met. systemd calls that a success.
    pub fn held_off() -> Self {
        Self("condition".to_owned())
    }

    /// Whether it did what was asked; `skipped` is what an `ExecCondition=` has said.
    pub fn is_well(&self) -> bool {
        matches!(self.0.as_str(), "done" | "skipped")
    }
}

/// What is done about a unit's start at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enablement {
    /// It is started at boot.
    Enable,
    /// The same, with links that others or a former text have made removed first.
    Reenable,
    /// It is not started at boot.
    Disable,
}

/// How a unit fares, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, as it was asked for or as systemd has it.
    pub name: String,
    /// Whether it could be read.
    pub load_state: LoadState,
    /// How it fares.
    pub active: Active,
    /// The same in the words of its type.
    pub sub: String,
    /// The job that is queued for it; 0 for none.
    pub job: u32,
}

/// How a unit fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Active {
    /// It runs.
    Active,
    /// It runs, and reads its configuration again.
    Reloading,
    /// It does not run.
    #[default]
    Inactive,
    /// It does not run, and its last run went wrong.
    Failed,
    /// It is being started, or is started again in a moment.
    Activating,
    /// It is being stopped.
    Deactivating,
    /// It is being cleaned up, or something that this build does not know.
    Other,
}

impl Active {
    const WORDS: [(&'static str, Self); 6] = [
        ("active", Self::Active),
        ("reloading", Self::Reloading),
        ("inactive", Self::Inactive),
        ("failed", Self::Failed),
        ("activating", Self::Activating),
        ("deactivating", Self::Deactivating),
    ];

    /// What systemd calls so.
    pub fn of(word: &str) -> Self {
        Self::WORDS.iter().find(|(known, _)| *known == word).map_or(Self::Other, |(_, active)| *active)
    }

    /// systemd's word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, active)| *active == self).map_or("maintenance", |(word, _)| word)
    }

    /// Whether it runs, or is about to.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Active | Self::Reloading | Self::Activating)
    }
}

/// All that is asked about a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its own name, of which the one that was asked for may be an alias.
    pub id: String,
    /// Whether it could be read.
    pub load_state: LoadState,
    /// Why it could not.
    pub load_error: Option<String>,
    /// How it fares.
    pub active: Active,
    /// The same in the words of its type.
    pub sub: String,
    /// Whether it is started at boot: systemd's word, empty where there is no file.
    pub file_state: String,
    /// Where its unit file is.
    pub fragment: Option<String>,
    /// Its drop-ins, in the order in which they count.
    pub drop_ins: Vec<String>,
    /// Whether its files have changed since systemd has read them.
    pub needs_reload: bool,
    /// Whether a condition of its text was not met when it was to be started last: systemd leaves it alone then, and calls that a success.
    pub is_held_off: bool,
    /// Since when it is in its active state.
    pub since: Option<Timestamp>,
    /// How long it has run, if its last run is over.
    pub ran_for: Option<Duration>,
    /// Whether it was started since the device booted.
    pub has_run: bool,
    /// Whether it can read its configuration again.
    pub can_reload: bool,
    /// How its last run ended: systemd's word, empty for types that do not tell.
    pub result: String,
    /// A service's own facts.
    pub service: Option<Service>,
    /// The memory that it uses, in bytes.
    pub memory: Option<u64>,
    /// How its last run ended, if not well; of one that is restarted again and again, also while it runs.
    pub last_end: Option<String>,
    /// The last lines of its journal, where it has failed.
    pub printed: String,
}

/// A service's own facts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its type.
    pub of: String,
    /// Whether it counts as active once its processes are gone.
    pub remains: bool,
    /// The process id of its main process.
    pub main_pid: Option<u32>,
    /// How often systemd has restarted it by itself.
    pub restarts: u32,
    /// The exit code of the main process' last run, or the signal that ended it.
    pub exit_status: Option<i32>,
}

/// Memory comes and goes, and lines are printed, without anything having happened.
impl std::hash::Hash for Unit {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let Self {
            id,
            load_state,
            load_error,
            active,
            sub,
            file_state,
            fragment,
            drop_ins,
            needs_reload,
            is_held_off,
            since,
            ran_for,
            has_run,
            can_reload,
            result,
            service,
            memory: _,
            last_end: _,
            printed: _,
        } = self;
        (id, load_state, load_error, active, sub, file_state, fragment).hash(state);
        (drop_ins, needs_reload, is_held_off, since, ran_for, has_run, can_reload, result, service)
            .hash(state);
    }
}

impl Unit {
    /// Whether it has run to its end with success, and that is all it was to do.
    pub fn is_complete(&self) -> bool {
        let ends = self.service.as_ref().is_some_and(|service| service.of == "oneshot" && !service.remains);
        ends && self.active == Active::Inactive && self.has_run && self.result == "success"
    }

    /// How its last run ended, if not well.
    pub fn end(&self) -> Option<String> {
        let result = Some(self.result.as_str()).filter(|result| !["", "success"].contains(result))?;
        let status = self.service.as_ref().and_then(|service| service.exit_status);
        Some(status.map_or_else(|| result.to_owned(), |status| format!("{result}, {status}")))
    }

    /// Whether it has failed, or systemd starts it again because it has ended.
    pub fn has_failed(&self) -> bool {
        self.active == Active::Failed || self.sub.starts_with("auto-restart")
    }

    /// Whether there is such a unit.
    pub fn is_there(&self) -> bool {
        self.load_state != LoadState::NotFound
    }
}

/// What may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitEvent {
    /// This unit.
    Unit(String),
    /// Any: unit files were changed or read again, or the init system came or went.
    Any,
}

impl UnitEvent {
    /// What is told from now on. What was missed may have been anything.
    pub(super) fn heard_by(events: broadcast::Receiver<Self>) -> BoxStream<'static, Self> {
        let heard = stream::unfold(events, |mut events| async move {
            match events.recv().await {
                Ok(event) => Some((event, events)),
                Err(RecvError::Lagged(_)) => Some((Self::Any, events)),
                Err(RecvError::Closed) => None,
            }
        });
        heard.boxed()
    }
}

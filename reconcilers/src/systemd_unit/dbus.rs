//! systemd over D-Bus: one connection, made when it is needed and again after it broke. Signals are told as events, and the ends of jobs to who waits for them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::BoxStream;
use manifest_types::kinds::systemd_unit::{LoadState, Scope};
use tokio::{sync::broadcast, time::timeout};
use tokio_util::task::AbortOnDropHandle;
use zbus::{
    message::Message,
    zvariant::{DynamicType, OwnedObjectPath},
};

use super::{
    error::BusError,
    init::{Active, Answer, Enablement, InitSystem, Job, JobEnd, Listed, Unit, UnitEvent},
    journal,
};
use crate::bus::{Bus, CallError, Object};

mod jobs;
mod loads;
mod read;
mod signals;

use jobs::Jobs;
use loads::Loads;

const SERVICE: &str = "org.freedesktop.systemd1";
const SYSTEMD: Object<'static> = Object {
    service: SERVICE,
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// What a call is about that names no unit.
const ALL: &str = "all units";

/// An answer takes no longer, but for that of a reload.
const ANSWER: Duration = Duration::from_secs(25);
/// Reading all unit files again may run generators, which have as long.
const RELOAD: Duration = Duration::from_secs(90);
/// A journal that takes longer to read is not waited for.
const JOURNAL: Duration = Duration::from_secs(5);
/// So many events are kept for whoever is slow to hear them.
const KEPT: usize = 1024;

/// An init system at the other end of a message bus. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Systemd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bus: Bus,
    /// Whose units it manages.
    scope: Scope,
    /// The directories of its journals.
    journals: Vec<PathBuf>,
    heard: tokio::sync::Mutex<Option<Heard>>,
    jobs: Arc<Mutex<Jobs>>,
    loads: Arc<Mutex<Loads>>,
    events: broadcast::Sender<UnitEvent>,
}

/// What systemd tells is heard, as long as the connection lasts.
#[derive(Debug)]
struct Heard {
    version: String,
    /// Ends with this.
    listener: AbortOnDropHandle<()>,
}

impl Systemd {
    /// The one at the bus of this address, `unix:path=/run/dbus/system_bus_socket`, of a device whose files are below `root`. Nothing is asked yet.
    pub fn new(address: impl Into<String>, scope: Scope, root: &Path) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        let shared = Shared {
            bus: Bus::new(address),
            scope,
            journals: journal::places(root),
            heard: Default::default(),
            jobs: Arc::default(),
            loads: Arc::default(),
            events,
        };
        Self(Arc::new(shared))
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loads(&self) -> MutexGuard<'_, Loads> {
        self.0.loads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its version, once what it tells is heard; the connection is made anew if the last one broke.
    async fn heard(&self) -> Answer<String> {
        let mut heard = self.0.heard.lock().await;
        if let Some(known) = heard.as_ref().filter(|known| !known.listener.is_finished()) {
            return Ok(known.version.clone());
        }
        if heard.take().is_some() {
            self.0.bus.forsake().await;
        }
        let made = match self.listen().await {
            Ok(made) => made,
            Err(error) => {
                // Whatever it was, the same connection may not do better.
                self.0.bus.forsake().await;
                return Err(told(error, "Subscribe", ALL));
            }
        };
        let version = made.version.clone();
        *heard = Some(made);
        Ok(version)
    }

    async fn listen(&self) -> Result<Heard, CallError> {
        let bus = &self.0.bus;
        let connection = bus.connection().await?;
        let signals = timeout(ANSWER, signals::listen(&connection)).await;
        let signals =
            signals.map_err(|_| bus.away("it does not answer"))?.map_err(|error| bus.away(error))?;
        // Read from now on: the connection stands still while signals wait that nobody reads, and answers come behind them.
        let tells = signals::Tells {
            jobs: Arc::clone(&self.0.jobs),
            loads: Arc::clone(&self.0.loads),
            events: self.0.events.clone(),
        };
        let listener = AbortOnDropHandle::new(tokio::spawn(tells.tell(signals)));
        let subscribed = async {
            // Without that, systemd tells nobody of what happens to its units.
            bus.call(SYSTEMD, "Subscribe", &()).await?;
            bus.property(SYSTEMD, "Version").await
        };
        let version = subscribed.await?;
        Ok(Heard { version: String::try_from(version).unwrap_or_default(), listener })
    }

    fn away(&self, why: impl std::fmt::Display) -> BusError {
        told(self.0.bus.away(why), "", ALL)
    }

    /// Asks the init system.
    async fn init<B>(&self, call: &'static str, unit: &str, limit: Duration, body: &B) -> Answer<Message>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        self.ask(SYSTEMD, call, unit, limit, body).await
    }

    async fn ask<B>(
        &self,
        of: Object<'_>,
        call: &'static str,
        unit: &str,
        limit: Duration,
        body: &B,
    ) -> Answer<Message>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        self.heard().await?;
        self.0.bus.call_within(limit, of, call, body).await.map_err(|error| told(error, call, unit))
    }

    fn garbled(&self, error: zbus::Error) -> BusError {
        self.away(format_args!("its answer cannot be read: {error}"))
    }

    /// A template is never loaded itself: all there is to know is whether it has a file, and where that is linked.
    async fn template(&self, name: &str) -> Answer<Unit> {
        let told = match self.init("GetUnitFileState", name, ANSWER, &(name,)).await {
            Ok(told) => told,
            Err(error) if error.is_no_such_unit() => {
                return Ok(Unit { id: name.to_owned(), ..Unit::default() });
            }
            Err(error) => return Err(error),
        };
        let file_state: String = told.body().deserialize().map_err(|error| self.garbled(error))?;
        let load_state = if file_state.starts_with("masked") { LoadState::Masked } else { LoadState::Loaded };
        Ok(Unit { id: name.to_owned(), load_state, file_state, ..Unit::default() })
    }

    /// Has a unit started. What does not run is forgotten at once, unless somebody refers to it; an older systemd has no such call.
    async fn start(&self, call: &'static str, unit: &str) -> Answer<JobEnd> {
        let is_kept = self.init("RefUnit", unit, ANSWER, &(unit,)).await.is_ok();
        let end = self.end_of(call, unit).await;
        let is_well = end.as_ref().is_ok_and(JobEnd::is_well);
        let held_off = is_kept && is_well && self.is_held_off(unit).await.unwrap_or(false);
        if is_kept {
            // The connection that it would fail with lets go of it, too.
            drop(self.init("UnrefUnit", unit, ANSWER, &(unit,)).await);
        }
        if held_off { Ok(JobEnd::held_off()) } else { end }
    }

    /// Has a job done, and says how it ended.
    async fn end_of(&self, call: &'static str, unit: &str) -> Answer<JobEnd> {
        let answer = self.init(call, unit, ANSWER, &(unit, "replace")).await?;
        let path: OwnedObjectPath = answer.body().deserialize().map_err(|error| self.garbled(error))?;
        let end = self.jobs().end_of(path.as_str());
        let end = end.await.map_err(|_| self.away("the connection broke while it was waited for a job"))?;
        Ok(JobEnd(end))
    }

    /// Whether a unit was just not started, because a condition of its text is not met.
    async fn is_held_off(&self, unit: &str) -> Answer<bool> {
        let seen = self.unit(unit).await?;
        Ok(seen.is_held_off && !seen.active.is_up())
    }

    /// The object of a unit, which is loaded for that if need be.
    async fn object(&self, unit: &str) -> Answer<OwnedObjectPath> {
        self.loads().ask([unit]);
        let answer = self.init("LoadUnit", unit, ANSWER, &(unit,)).await?;
        answer.body().deserialize().map_err(|error| self.garbled(error))
    }
}

/// What a bus says, as said of systemd.
fn told(error: CallError, call: &'static str, unit: &str) -> BusError {
    match error {
        CallError::Away { address, why } => BusError::Away { address, why },
        CallError::Silent { seconds, .. } => BusError::Silent { call, seconds },
        CallError::Refused { name, message, .. } => {
            BusError::Refused { call, unit: unit.to_owned(), name, message }
        }
    }
}

type WireListed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl InitSystem for Systemd {
    async fn open(&self) -> Answer<String> {
        self.heard().await
    }

    async fn list(&self, names: &[String]) -> Answer<Vec<Listed>> {
        self.loads().ask(names.iter().map(String::as_str));
        let answer = self.init("ListUnitsByNames", ALL, ANSWER, &(names,)).await?;
        let listed: Vec<WireListed> = answer.body().deserialize().map_err(|error| self.garbled(error))?;
        let told = |(name, _, load, active, sub, _, _, job, ..): WireListed| Listed {
            name,
            load_state: read::load_state(&load),
            active: Active::of(&active),
            sub,
            job,
        };
        Ok(listed.into_iter().map(told).collect())
    }

    async fn unit(&self, name: &str) -> Answer<Unit> {
        if name.contains("@.") {
            return self.template(name).await;
        }
        let object = self.object(name).await?;
        // An empty name of an interface asks for the properties of all that the object has.
        let of = Object { service: SERVICE, path: &object, interface: PROPERTIES };
        let answer = self.ask(of, "GetAll", name, ANSWER, &("",)).await?;
        read::unit(&answer).map_err(|error| self.garbled(error))
    }

    async fn reload(&self) -> Answer<()> {
        self.init("Reload", ALL, RELOAD, &()).await.map(drop)
    }

    async fn run(&self, job: Job, unit: &str) -> Answer<JobEnd> {
        let call = match job {
            Job::Start => "StartUnit",
            Job::Stop => "StopUnit",
            Job::TryRestart => "TryRestartUnit",
            Job::Reload => "ReloadUnit",
            Job::ReloadOrTryRestart => "ReloadOrTryRestartUnit",
        };
        if job != Job::Start {
            return self.end_of(call, unit).await;
        }
        // In a task of its own: a unit that is referred to must be let go of, whoever waits for it.
        let (own, unit) = (Self(Arc::clone(&self.0)), unit.to_owned());
        let ended = tokio::spawn(async move { own.start(call, &unit).await });
        ended.await.map_err(|error| self.away(format_args!("the call broke off: {error}")))?
    }

    async fn enable(&self, unit: &str, change: Enablement) -> Answer<bool> {
        let units = vec![unit];
        let (is_installable, changes) = match change {
            Enablement::Enable | Enablement::Reenable => {
                let call = if change == Enablement::Enable { "EnableUnitFiles" } else { "ReenableUnitFiles" };
                let answer = self.init(call, unit, ANSWER, &(&units, false, false)).await?;
                let told: (bool, Vec<(String, String, String)>) =
                    answer.body().deserialize().map_err(|error| self.garbled(error))?;
                told
            }
            Enablement::Disable => {
                // Links of this boot only are links, too.
                for runtime in [false, true] {
                    self.init("DisableUnitFiles", unit, ANSWER, &(&units, runtime)).await?;
                }
                (true, Vec::new())
            }
        };
        Ok(is_installable || !changes.is_empty())
    }

    async fn mask(&self, unit: &str, masked: bool) -> Answer<()> {
        let units = vec![unit];
        if masked {
            return self.init("MaskUnitFiles", unit, ANSWER, &(&units, false, false)).await.map(drop);
        }
        for runtime in [false, true] {
            self.init("UnmaskUnitFiles", unit, ANSWER, &(&units, runtime)).await?;
        }
        Ok(())
    }

    async fn reset_failed(&self, unit: &str) -> Answer<()> {
        match self.init("ResetFailedUnit", unit, ANSWER, &(unit,)).await {
            Err(error) if error.is_no_such_unit() => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn last_lines(&self, unit: &str) -> String {
        let (shared, unit) = (Arc::clone(&self.0), unit.to_owned());
        let read =
            tokio::task::spawn_blocking(move || journal::last_lines(&shared.journals, shared.scope, &unit));
        // Why something failed is worth no failure.
        timeout(JOURNAL, read).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn events(&self) -> BoxStream<'static, UnitEvent> {
        UnitEvent::heard_by(self.0.events.subscribe())
    }
}

//! systemd over D-Bus: one connection, made when it is needed and again after it broke. Signals are told as events, and the ends of jobs to who waits for them.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::BoxStream;
use manifest_types::kinds::systemd_unit::{LoadState, Scope};
use tokio::{sync::broadcast, task::AbortHandle, time::timeout};
use zbus::{
    Connection, connection,
    message::Message,
    zvariant::{DynamicType, OwnedObjectPath},
};

use super::{
    error::BusError,
    init::{Active, Answer, Enablement, InitSystem, Job, JobEnd, Listed, Unit, UnitEvent},
    journal,
};

mod jobs;
mod loads;
mod read;
mod signals;

use jobs::Jobs;
use loads::Loads;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

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
    address: String,
    /// Whose units it manages.
    scope: Scope,
    /// The directories of its journals.
    journals: Vec<PathBuf>,
    connected: tokio::sync::Mutex<Option<Connected>>,
    jobs: Arc<Mutex<Jobs>>,
    loads: Arc<Mutex<Loads>>,
    events: broadcast::Sender<UnitEvent>,
}

#[derive(Debug, Clone)]
struct Connected {
    connection: Connection,
    version: String,
    listener: AbortHandle,
}

impl Systemd {
    /// The one at the bus of this address, `unix:path=/run/dbus/system_bus_socket`, of a device whose files are below `root`. Nothing is asked yet.
    pub fn new(address: impl Into<String>, scope: Scope, root: &Path) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        let shared = Shared {
            address: address.into(),
            scope,
            journals: journal::places(root),
            connected: Default::default(),
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

    /// The connection, made anew if the last one broke.
    async fn connected(&self) -> Answer<Connected> {
        let mut connected = self.0.connected.lock().await;
        if let Some(known) = connected.as_ref().filter(|known| !known.listener.is_finished()) {
            return Ok(known.clone());
        }
        *connected = None;
        let made = timeout(ANSWER, self.connect()).await;
        let made = made.map_err(|_| self.away("the bus does not answer"))?;
        let made = made.map_err(|error| self.away(error))?;
        *connected = Some(made.clone());
        Ok(made)
    }

    async fn connect(&self) -> zbus::Result<Connected> {
        let connection = connection::Builder::address(self.0.address.as_str())?.build().await?;
        let signals = signals::listen(&connection).await?;
        // Read from now on: the connection stands still while signals wait that nobody reads, and answers come behind them.
        let heard = signals::Heard {
            jobs: Arc::clone(&self.0.jobs),
            loads: Arc::clone(&self.0.loads),
            events: self.0.events.clone(),
        };
        let listener = tokio::spawn(heard.tell(signals)).abort_handle();
        // Without that, systemd tells nobody of what happens to its units.
        connection.call_method(Some(SYSTEMD), SYSTEMD_PATH, Some(INTERFACE), "Subscribe", &()).await?;
        let asked = ("org.freedesktop.systemd1.Manager", "Version");
        let version =
            connection.call_method(Some(SYSTEMD), SYSTEMD_PATH, Some(PROPERTIES), "Get", &asked).await?;
        let version: zbus::zvariant::OwnedValue = version.body().deserialize()?;
        let version = String::try_from(version).unwrap_or_default();
        Ok(Connected { connection, version, listener })
    }

    fn away(&self, why: impl std::fmt::Display) -> BusError {
        BusError::Away { address: self.0.address.clone(), why: why.to_string() }
    }

    /// Asks the init system.
    async fn init<B>(&self, call: &'static str, unit: &str, limit: Duration, body: &B) -> Answer<Message>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        self.ask(SYSTEMD_PATH, INTERFACE, call, unit, limit, body).await
    }

    async fn ask<B>(
        &self,
        path: &str,
        interface: &str,
        call: &'static str,
        unit: &str,
        limit: Duration,
        body: &B,
    ) -> Answer<Message>
    where
        B: serde::Serialize + DynamicType + Sync,
    {
        let connected = self.connected().await?;
        let asked = connected.connection.call_method(Some(SYSTEMD), path, Some(interface), call, body);
        match timeout(limit, asked).await {
            Err(_) => Err(BusError::Silent { call, seconds: limit.as_secs() }),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(zbus::Error::MethodError(name, message, _))) => {
                Err(self.refused(call, unit, &name, message))
            }
            Ok(Err(error)) => {
                connected.listener.abort();
                Err(self.away(error))
            }
        }
    }

    /// What a bus answers for a service that is not there is not that service's word.
    fn refused(&self, call: &'static str, unit: &str, name: &str, message: Option<String>) -> BusError {
        let message = message.unwrap_or_else(|| name.to_owned());
        let of_the_bus = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"];
        if of_the_bus.iter().any(|end| name.strip_prefix("org.freedesktop.DBus.Error.") == Some(end)) {
            return self.away(message);
        }
        BusError::Refused { call, unit: unit.to_owned(), name: name.to_owned(), message }
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

    /// The object of a unit, which is loaded for that if need be.
    async fn object(&self, unit: &str) -> Answer<OwnedObjectPath> {
        self.loads().ask([unit]);
        let answer = self.init("LoadUnit", unit, ANSWER, &(unit,)).await?;
        answer.body().deserialize().map_err(|error| self.garbled(error))
    }
}

type WireListed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl InitSystem for Systemd {
    async fn open(&self) -> Answer<String> {
        self.connected().await.map(|connected| connected.version)
    }

    async fn list(&self, names: &[String]) -> Answer<Vec<Listed>> {
        self.loads().ask(names.iter().map(String::as_str));
        let answer = self.init("ListUnitsByNames", "all units", ANSWER, &(names,)).await?;
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
        let answer = self.ask(&object, PROPERTIES, "GetAll", name, ANSWER, &("",)).await?;
        read::unit(&answer).map_err(|error| self.garbled(error))
    }

    async fn reload(&self) -> Answer<()> {
        self.init("Reload", "all units", RELOAD, &()).await.map(drop)
    }

    async fn run(&self, job: Job, unit: &str) -> Answer<JobEnd> {
        let call = match job {
            Job::Start => "StartUnit",
            Job::Stop => "StopUnit",
            Job::TryRestart => "TryRestartUnit",
            Job::Reload => "ReloadUnit",
            Job::ReloadOrTryRestart => "ReloadOrTryRestartUnit",
        };
        let answer = self.init(call, unit, ANSWER, &(unit, "replace")).await?;
        let path: OwnedObjectPath = answer.body().deserialize().map_err(|error| self.garbled(error))?;
        let end = self.jobs().end_of(path.as_str());
        let end = end.await.map_err(|_| self.away("the connection broke while it was waited for a job"))?;
        Ok(JobEnd(end))
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

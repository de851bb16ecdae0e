//! systemd over D-Bus: one connection, made when it is needed and again after it broke. Signals are told as events, and the ends of jobs to who waits for them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::stream::BoxStream;
use tokio::{sync::broadcast, task::AbortHandle, time::timeout};
use zbus::{
    Connection, connection,
    message::Message,
    zvariant::{DynamicType, OwnedObjectPath},
};

use super::{
    error::BusError,
    init::{Active, Answer, Enablement, InitSystem, Job, JobEnd, Listed, Unit, UnitEvent},
};

mod jobs;
mod read;
mod signals;

use jobs::Jobs;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// An answer takes no longer, but for that of a reload.
const ANSWER: Duration = Duration::from_secs(25);
/// Reading all unit files again may run generators, which have as long.
const RELOAD: Duration = Duration::from_secs(90);
/// So many events are kept for whoever is slow to hear them.
const KEPT: usize = 1024;

/// An init system at the other end of a message bus. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Systemd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: String,
    connected: tokio::sync::Mutex<Option<Connected>>,
    jobs: Arc<Mutex<Jobs>>,
    events: broadcast::Sender<UnitEvent>,
}

#[derive(Debug, Clone)]
struct Connected {
    connection: Connection,
    version: String,
    listener: AbortHandle,
}

impl Systemd {
    /// The one at the bus of this address, `unix:path=/run/dbus/system_bus_socket`. Nothing is asked yet.
    pub fn new(address: impl Into<String>) -> Self {
        let (events, _) = broadcast::channel(KEPT);
        let shared =
            Shared { address: address.into(), connected: Default::default(), jobs: Arc::default(), events };
        Self(Arc::new(shared))
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (jobs, events) = (Arc::clone(&self.0.jobs), self.0.events.clone());
        let listener = tokio::spawn(signals::tell(signals, jobs, events)).abort_handle();
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

    /// The object of a unit, which is loaded for that if need be.
    async fn object(&self, unit: &str) -> Answer<OwnedObjectPath> {
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

    fn events(&self) -> BoxStream<'static, UnitEvent> {
        UnitEvent::heard_by(self.0.events.subscribe())
    }
}

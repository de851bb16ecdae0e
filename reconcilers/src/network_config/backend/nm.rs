//! NetworkManager, over D-Bus: a profile for each interface, in memory until it is confirmed, and a checkpoint of its own that it goes back to by itself if nobody says otherwise in time.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};
use serde_json::{Value, json};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value as Variant};

use super::{Backend, BackendError, Kept, Saved, Trial, Unsupported, Wanted};
use crate::{
    bus::{Bus, CallError, Object},
    observation::Difference,
};

mod profile;

use profile::{AUTOMATIC, Profile, YES, profiles, uuid_of};

pub(super) const NAME: &str = "NetworkManager";
const SERVICE: &str = "org.freedesktop.NetworkManager";
const ROOT: Object<'static> =
    Object { service: SERVICE, path: "/org/freedesktop/NetworkManager", interface: SERVICE };
const SETTINGS: Object<'static> = Object {
    service: SERVICE,
    path: "/org/freedesktop/NetworkManager/Settings",
    interface: "org.freedesktop.NetworkManager.Settings",
};
const CONNECTION: &str = "org.freedesktop.NetworkManager.Settings.Connection";
const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
/// The profile is kept on the disk, or in memory only (`NM_SETTINGS_UPDATE2_FLAG_…`).
const TO_DISK: u32 = 0x1;
const IN_MEMORY: u32 = 0x2;
/// A checkpoint of our interfaces only: what others do meanwhile is theirs.
const CHECKPOINT: u32 = 0;
/// Its own checkpoint outlives ours a little: that one is told by its name.
const MARGIN: Duration = Duration::from_secs(15);

/// Settings by their groups, as they are told.
type Told = HashMap<String, HashMap<String, OwnedValue>>;

impl Trial {
    /// The checkpoint that it names.
    fn path(&self) -> Option<OwnedObjectPath> {
        OwnedObjectPath::try_from(self.0.as_str()).ok()
    }
}

/// NetworkManager on the device.
#[derive(Debug)]
pub struct Nm {
    bus: Bus,
}

impl Nm {
    /// The one at this bus.
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Fails if it is not there: what it has kept nobody else understands.
    async fn is_there(&self) -> Result<(), BackendError> {
        let away = |why: String| BackendError::Away { backend: NAME, why };
        match self.bus.has(SERVICE).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(away("it is not running, and has configured interfaces before".into())),
            Err(error) => Err(away(error.to_string())),
        }
    }

    fn refused(doing: &str) -> impl Fn(CallError) -> BackendError + '_ {
        move |error| BackendError::Refused { backend: NAME, doing: doing.to_owned(), why: error.to_string() }
    }

    async fn device(&self, interface: &str) -> Option<OwnedObjectPath> {
        self.bus.ask(ROOT, "GetDeviceByIpIface", &(interface,)).await.ok()
    }

    /// The profile of this name for programs.
    async fn connection(&self, uuid: &str) -> Option<OwnedObjectPath> {
        self.bus.ask(SETTINGS, "GetConnectionByUuid", &(uuid,)).await.ok()
    }

    async fn settings(&self, connection: &OwnedObjectPath) -> Result<Told, CallError> {
        let of = Object { service: SERVICE, path: connection.as_str(), interface: CONNECTION };
        self.bus.ask(of, "GetSettings", &()).await
    }

    /// The profile that an interface is run by.
    async fn active(&self, interface: &str) -> Option<String> {
        let device = self.device(interface).await?;
        let of = Object { service: SERVICE, path: device.as_str(), interface: DEVICE };
        let active = self.bus.property(of, "ActiveConnection").await.ok()?;
        let active = OwnedObjectPath::try_from(active).ok()?;
        let of = Object { service: SERVICE, path: active.as_str(), interface: ACTIVE };
        String::try_from(self.bus.property(of, "Uuid").await.ok()?).ok()
    }

    /// Takes a profile in, to the disk or in memory only.
    async fn keep(&self, profile: &Profile, flags: u32) -> Result<OwnedObjectPath, BackendError> {
        let none = HashMap::<&str, Variant<'_>>::new();
        match self.connection(&profile.uuid).await {
            Some(known) => {
                let of = Object { service: SERVICE, path: known.as_str(), interface: CONNECTION };
                let told = self.bus.call(of, "Update2", &(&profile.settings, flags, none)).await;
                told.map_err(Self::refused("change a profile"))?;
                Ok(known)
            }
            None => {
                let added: (OwnedObjectPath, HashMap<String, OwnedValue>) = self
                    .bus
                    .ask(SETTINGS, "AddConnection2", &(&profile.settings, flags, none))
                    .await
                    .map_err(Self::refused("add a profile"))?;
                Ok(added.0)
            }
        }
    }

    async fn activate(&self, connection: &OwnedObjectPath, interface: &str) -> Result<(), BackendError> {
        let nothing = || OwnedObjectPath::try_from("/").expect("it is a path");
        let device = self.device(interface).await.unwrap_or_else(nothing);
        let told = self.bus.call(ROOT, "ActivateConnection", &(connection, device, nothing())).await;
        told.map(drop).map_err(Self::refused("activate a profile"))
    }
}

/// What is noted in a profile of ours.
fn noted(settings: &Told) -> Option<HashMap<String, String>> {
    settings.get("user")?.get("data")?.try_clone().ok()?.try_into().ok()
}

impl Backend for Nm {
    async fn find(&self) -> Result<Option<Capability>, BackendError> {
        let away = |error: CallError| BackendError::Away { backend: NAME, why: error.to_string() };
        if !self.bus.has(SERVICE).await.map_err(away)? {
            return Ok(None);
        }
        let version = self.bus.property(ROOT, "Version").await.ok();
        let version = version.and_then(|version| String::try_from(version).ok()).unwrap_or_default();
        Ok(Some(Capability { name: NAME.into(), version, api_version: None }))
    }

    async fn unsupported(&self, spec: &NetworkConfigSpec) -> Option<Unsupported> {
        profile::homeless_server(spec).then_some(Unsupported {
            field: "dns.servers",
            why: "it asks a name server only over a family (ipv4, ipv6) that the interface has addresses of",
        })
    }

    async fn differences(&self, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        let mut differences = Vec::new();
        for profile in profiles(wanted.spec, &wanted.setup.name) {
            let seen = match self.connection(&profile.uuid).await {
                Some(connection) => self.settings(&connection).await.ok().and_then(|told| noted(&told)),
                None => None,
            };
            let seen = seen.and_then(|noted| noted.get(profile::DIGEST).cloned());
            if seen.as_deref() != Some(&profile.digest) {
                let got = seen.map_or(Value::Null, Value::from);
                let path = format!("configuration.{}", profile.interface);
                differences.push(Difference::in_place(path, profile.digest.as_str(), got));
            }
        }
        Ok(differences)
    }

    async fn save(&self, interfaces: &[String]) -> Result<Saved, BackendError> {
        let mut saved = BTreeMap::new();
        for interface in interfaces {
            let active = self.active(interface).await;
            saved.insert(interface.clone(), Kept { by: NAME.into(), was: json!({ "active": active }) });
        }
        Ok(Saved(saved))
    }

    async fn begin(&self, interfaces: &Saved, within: Duration) -> Result<Option<Trial>, BackendError> {
        let mut devices = Vec::new();
        for interface in interfaces.interfaces() {
            devices.extend(self.device(interface).await);
        }
        // Without a device, a checkpoint would be one of all.
        if devices.is_empty() {
            return Ok(None);
        }
        let seconds = u32::try_from((within + MARGIN).as_secs()).unwrap_or(u32::MAX);
        let made: Result<OwnedObjectPath, _> =
            self.bus.ask(ROOT, "CheckpointCreate", &(&devices, seconds, CHECKPOINT)).await;
        Ok(Some(Trial(made.map_err(Self::refused("make a checkpoint"))?.to_string())))
    }

    async fn apply(&self, wanted: &[Wanted<'_>], on_trial: bool) -> Result<(), BackendError> {
        let flags = if on_trial { IN_MEMORY } else { TO_DISK };
        for profile in wanted.iter().flat_map(|wanted| profiles(wanted.spec, &wanted.setup.name)) {
            let profile = if on_trial { profile.on_trial() } else { profile };
            let connection = self.keep(&profile, flags).await?;
            if profile.is_active {
                self.activate(&connection, &profile.interface).await?;
            } else if let Some(device) = self.device(&profile.interface).await {
                let of = Object { service: SERVICE, path: device.as_str(), interface: DEVICE };
                // One that is down already cannot be put down.
                let _ = self.bus.call(of, "Disconnect", &()).await;
            }
        }
        Ok(())
    }

    async fn confirm(&self, interfaces: &Saved, trial: Option<&Trial>) -> Result<(), BackendError> {
        self.is_there().await?;
        if let Some(checkpoint) = trial.and_then(Trial::path) {
            // It may have ended by itself: then there is drift.
            if let Err(error) = self.bus.call(ROOT, "CheckpointDestroy", &(&checkpoint,)).await {
                tracing::warn!(%error, "NetworkManager's checkpoint");
            }
        }
        for interface in interfaces.interfaces() {
            let Some(own) = self.connection(&uuid_of(interface)).await else { continue };
            let keep = Self::refused("save a profile");
            let mut settings = self.settings(&own).await.map_err(&keep)?;
            let is_automatic =
                noted(&settings).is_some_and(|noted| noted.get(AUTOMATIC).is_some_and(|is| is == YES));
            let group = settings.entry("connection".into()).or_default();
            group.insert("autoconnect".into(), OwnedValue::from(is_automatic));
            let of = Object { service: SERVICE, path: own.as_str(), interface: CONNECTION };
            let none = HashMap::<&str, Variant<'_>>::new();
            self.bus.call(of, "Update2", &(&settings, TO_DISK, none)).await.map_err(&keep)?;
        }
        Ok(())
    }

    async fn abandon(&self, _: &Saved, trial: Option<&Trial>) -> Result<(), BackendError> {
        self.is_there().await?;
        if let Some(checkpoint) = trial.and_then(Trial::path) {
            // It may have gone back by itself.
            if let Err(error) = self.bus.call(ROOT, "CheckpointRollback", &(&checkpoint,)).await {
                tracing::debug!(%error, "NetworkManager's checkpoint");
            }
        }
        Ok(())
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        self.is_there().await?;
        for (interface, kept) in &saved.0 {
            let own = uuid_of(interface);
            let before = kept.was["active"].as_str();
            if before == Some(&own) {
                continue;
            }
            if let Some(connection) = self.connection(&own).await {
                let of = Object { service: SERVICE, path: connection.as_str(), interface: CONNECTION };
                let told = self.bus.call(of, "Delete", &()).await;
                told.map_err(Self::refused("remove a profile"))?;
            }
            let is_back = self.active(interface).await;
            if let Some(before) = before.filter(|before| is_back.as_deref() != Some(*before))
                && let Some(connection) = self.connection(before).await
            {
                self.activate(&connection, interface).await?;
            }
        }
        Ok(())
    }

    fn acts(&self) -> bool {
        true
    }
}

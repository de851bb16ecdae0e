//! NetworkManager, over D-Bus: a profile for each interface, in memory until it is confirmed, and a checkpoint of its own that it goes back to by itself if nobody says otherwise in time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};
use serde_json::{Value, json};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value as Variant};

use super::{Backend, BackendError, Saved, Unsupported, Wanted};
use crate::{
    bus::{Bus, CallError, Object},
    observation::Difference,
};

mod profile;

use profile::{Profile, profiles, uuid_of};

const NAME: &str = "NetworkManager";
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
/// With a rollback, profiles that are new go (`NM_CHECKPOINT_CREATE_FLAG_DELETE_NEW_CONNECTIONS`).
const CHECKPOINT: u32 = 0x2;
/// Its own checkpoint outlives ours a little: that one is told by its name.
const MARGIN: Duration = Duration::from_secs(15);

/// NetworkManager on the device.
#[derive(Debug)]
pub struct Nm {
    bus: Bus,
    /// While a change is to be confirmed: its checkpoints.
    trial: Mutex<Option<Vec<OwnedObjectPath>>>,
}

impl Nm {
    /// The one at this bus.
    pub fn new(bus: Bus) -> Self {
        Self { bus, trial: Mutex::default() }
    }

    fn trial(&self) -> MutexGuard<'_, Option<Vec<OwnedObjectPath>>> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What is noted in a profile of ours.
    async fn digest(&self, connection: &OwnedObjectPath) -> Option<String> {
        let of = Object { service: SERVICE, path: connection.as_str(), interface: CONNECTION };
        let settings: HashMap<String, HashMap<String, OwnedValue>> =
            self.bus.ask(of, "GetSettings", &()).await.ok()?;
        let user: HashMap<String, String> =
            settings.get("user")?.get("data")?.try_clone().ok()?.try_into().ok()?;
        user.get(profile::DIGEST).cloned()
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

    /// The checkpoints of the change that ends now, begun by this run of the agent or by another one.
    async fn end_trial(&self, interfaces: &[String]) -> Vec<OwnedObjectPath> {
        let own = self.trial().take();
        match own {
            Some(own) => own,
            None => self.left(interfaces).await,
        }
    }

    async fn devices(&self, interfaces: &[String]) -> Vec<OwnedObjectPath> {
        let mut devices = Vec::new();
        for interface in interfaces {
            devices.extend(self.device(interface).await);
        }
        devices
    }

    /// The checkpoints there are of these interfaces.
    async fn left(&self, interfaces: &[String]) -> Vec<OwnedObjectPath> {
        let told = self.bus.property(ROOT, "Checkpoints").await.ok();
        let all: Vec<OwnedObjectPath> = told.and_then(|told| told.try_into().ok()).unwrap_or_default();
        let own = self.devices(interfaces).await;
        let mut left = Vec::new();
        for checkpoint in all {
            let of = Object {
                service: SERVICE,
                path: checkpoint.as_str(),
                interface: "org.freedesktop.NetworkManager.Checkpoint",
            };
            let devices = self.bus.property(of, "Devices").await.ok();
            let devices: Vec<OwnedObjectPath> =
                devices.and_then(|told| told.try_into().ok()).unwrap_or_default();
            if devices.iter().any(|device| own.contains(device)) {
                left.push(checkpoint);
            }
        }
        left
    }
}

impl Backend for Nm {
    async fn find(&self) -> Option<Capability> {
        if !self.bus.has(SERVICE).await {
            return None;
        }
        let version = self.bus.property(ROOT, "Version").await.ok();
        let version = version.and_then(|version| String::try_from(version).ok()).unwrap_or_default();
        Some(Capability { name: NAME.into(), version, api_version: None })
    }

    async fn unsupported(&self, _: &NetworkConfigSpec) -> Option<Unsupported> {
        None
    }

    async fn differences(&self, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        let mut differences = Vec::new();
        for profile in profiles(wanted.spec, &wanted.setup.name) {
            let seen = match self.connection(&profile.uuid).await {
                Some(connection) => self.digest(&connection).await,
                None => None,
            };
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
            saved.insert(interface.clone(), json!({ "active": active }));
        }
        Ok(Saved(saved))
    }

    async fn begin(&self, interfaces: &[String], within: Duration) -> Result<(), BackendError> {
        let devices = self.devices(interfaces).await;
        let mut checkpoints = Vec::new();
        // Without a device, a checkpoint would be one of all.
        if !devices.is_empty() {
            let seconds = u32::try_from((within + MARGIN).as_secs()).unwrap_or(u32::MAX);
            let made = self.bus.ask(ROOT, "CheckpointCreate", &(&devices, seconds, CHECKPOINT)).await;
            checkpoints.push(made.map_err(Self::refused("make a checkpoint"))?);
        }
        *self.trial() = Some(checkpoints);
        Ok(())
    }

    async fn apply(&self, wanted: &[Wanted<'_>]) -> Result<(), BackendError> {
        let flags = if self.trial().is_some() { IN_MEMORY } else { TO_DISK };
        for profile in wanted.iter().flat_map(|wanted| profiles(wanted.spec, &wanted.setup.name)) {
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

    async fn confirm(&self, interfaces: &[String]) -> Result<(), BackendError> {
        for checkpoint in self.end_trial(interfaces).await {
            // It may have ended by itself: then there is drift.
            if let Err(error) = self.bus.call(ROOT, "CheckpointDestroy", &(&checkpoint,)).await {
                tracing::warn!(%error, "NetworkManager's checkpoint");
            }
        }
        for interface in interfaces {
            let Some(own) = self.connection(&uuid_of(interface)).await else { continue };
            let of = Object { service: SERVICE, path: own.as_str(), interface: CONNECTION };
            self.bus.call(of, "Save", &()).await.map_err(Self::refused("save a profile"))?;
        }
        Ok(())
    }

    async fn abandon(&self, interfaces: &[String]) -> Result<(), BackendError> {
        for checkpoint in self.end_trial(interfaces).await {
            // It may have gone back by itself.
            if let Err(error) = self.bus.call(ROOT, "CheckpointRollback", &(&checkpoint,)).await {
                tracing::debug!(%error, "NetworkManager's checkpoint");
            }
        }
        Ok(())
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        for (interface, was) in &saved.0 {
            let own = uuid_of(interface);
            let before = was["active"].as_str();
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

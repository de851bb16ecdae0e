//! systemd-networkd: files with our mark in its directory, read again over D-Bus.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use manifest_types::{
    digest::Digest,
    kinds::network_config::{LinkType, NetworkConfigSpec},
    name::AgentId,
    status::Capability,
};
use serde_json::Value;

use super::{Backend, BackendError, Kept, Saved, Trial, Unsupported, Wanted};
use crate::{
    bus::{Bus, CallError, Object},
    durable,
    observation::Difference,
};

mod text;

pub(super) const NAME: &str = "systemd-networkd";
const SERVICE: &str = "org.freedesktop.network1";
const DAEMON: Object<'static> = Object {
    service: SERVICE,
    path: "/org/freedesktop/network1",
    interface: "org.freedesktop.network1.Manager",
};
const SYSTEMD: Object<'static> = Object {
    service: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
/// Who keeps the name servers that networkd is told.
const RESOLVER: &str = "org.freedesktop.resolve1";
/// Where its files are that an administrator has made.
const DIRECTORY: &str = "etc/systemd/network";

/// systemd-networkd on the device.
#[derive(Debug)]
pub struct Networkd {
    bus: Bus,
    directory: PathBuf,
    agent: AgentId,
}

impl Networkd {
    /// The one at this bus, whose files are below `root`.
    pub fn new(bus: Bus, root: &Path, agent: AgentId) -> Self {
        Self { bus, directory: root.join(DIRECTORY), agent }
    }

    /// The files of an interface, by their names, with what is to be in each.
    fn files(&self, wanted: &Wanted<'_>) -> Vec<(String, String)> {
        text::files(&self.agent, wanted.spec, &wanted.setup.name)
    }

    fn away(error: CallError) -> BackendError {
        BackendError::Away { backend: NAME, why: error.to_string() }
    }

    fn failed(doing: &str) -> impl Fn(io::Error) -> BackendError + '_ {
        move |error| BackendError::Refused { backend: NAME, doing: doing.to_owned(), why: error.to_string() }
    }

    /// Has all files read again, and the interfaces configured whose files have changed.
    async fn reload(&self) -> Result<(), BackendError> {
        let reloaded = self.bus.call(DAEMON, "Reload", &()).await;
        reloaded.map(drop).map_err(|error| BackendError::Refused {
            backend: NAME,
            doing: "read its files again".into(),
            why: error.to_string(),
        })
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(file)).ok()
    }
}

impl Backend for Networkd {
    async fn find(&self) -> Result<Option<Capability>, BackendError> {
        if !self.bus.has(SERVICE).await.map_err(Self::away)? {
            return Ok(None);
        }
        let version = self.bus.property(SYSTEMD, "Version").await.ok();
        let version = version.and_then(|version| String::try_from(version).ok()).unwrap_or_default();
        Ok(Some(Capability { name: NAME.into(), version, api_version: None }))
    }

    async fn unsupported(&self, spec: &NetworkConfigSpec) -> Option<Unsupported> {
        if spec.link_type == LinkType::Vlan {
            // It would have to be named in the file of its parent, which is another's.
            return Some(Unsupported {
                field: "type",
                why: "a VLAN is named in the configuration of its parent",
            });
        }
        if spec.dns.is_some() && !self.bus.has(RESOLVER).await.unwrap_or(false) {
            let why =
                "nobody keeps the name servers: start systemd-resolved, or hold /etc/resolv.conf as a File";
            return Some(Unsupported { field: "dns", why });
        }
        None
    }

    async fn differences(&self, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        let found = self.files(wanted).into_iter().filter_map(|(file, text)| {
            let seen = self.read(&file);
            let got = seen.as_deref().map_or(Value::Null, |seen| digest(seen).into());
            (seen.as_deref() != Some(&text))
                .then(|| Difference::in_place(format!("configuration.{file}"), digest(&text), got))
        });
        Ok(found.collect())
    }

    async fn save(&self, interfaces: &[String]) -> Result<Saved, BackendError> {
        let saved = interfaces.iter().map(|name| {
            let files = text::names(name).map(|file| {
                let text = self.read(&file);
                (file, text.map_or(Value::Null, Value::from))
            });
            (name.clone(), Kept { by: NAME.into(), was: Value::Object(files.into_iter().collect()) })
        });
        Ok(Saved(saved.collect()))
    }

    async fn apply(&self, wanted: &[Wanted<'_>], _: bool) -> Result<(), BackendError> {
        fs::create_dir_all(&self.directory).map_err(Self::failed("keep files"))?;
        for (file, text) in wanted.iter().flat_map(|wanted| self.files(wanted)) {
            if self.read(&file).as_deref() != Some(&text) {
                let path = self.directory.join(&file);
                durable::write(&path, text.as_bytes()).map_err(Self::failed("keep its file"))?;
                text::let_read(&path).map_err(Self::failed("let its file be read"))?;
            }
        }
        self.reload().await
    }

    /// Between its files and the daemon, the agent may have ended.
    async fn abandon(&self, _: &Saved, _: Option<&Trial>) -> Result<(), BackendError> {
        if self.bus.has(SERVICE).await.map_err(Self::away)? { self.reload().await } else { Ok(()) }
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        let mut has_changed = false;
        let files = saved.0.values().filter_map(|kept| kept.was.as_object()).flatten();
        for (file, was) in files {
            let path = self.directory.join(file);
            let is = self.read(file);
            match was.as_str() {
                None if is.is_some() => {
                    fs::remove_file(&path).map_err(Self::failed("remove its file"))?;
                    has_changed = true;
                }
                Some(text) if is.as_deref() != Some(text) => {
                    durable::write(&path, text.as_bytes()).map_err(Self::failed("keep its file"))?;
                    text::let_read(&path).map_err(Self::failed("let its file be read"))?;
                    has_changed = true;
                }
                _ => {}
            }
        }
        // One that is not there reads them when it comes.
        if has_changed && self.bus.has(SERVICE).await.map_err(Self::away)? {
            self.reload().await
        } else {
            Ok(())
        }
    }

    fn acts(&self) -> bool {
        true
    }
}

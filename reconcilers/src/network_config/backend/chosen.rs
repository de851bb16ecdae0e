//! What manages the interfaces of this device: NetworkManager where it is there, else systemd-networkd, else nobody. What one of them has kept is given back to that one.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use manifest_types::{kinds::network_config::NetworkConfigSpec, name::AgentId, status::Capability};

use super::{
    Backend, BackendError, Saved, Trial, Unsupported, Wanted,
    networkd::{self, Networkd},
    nm::{self, Nm},
    plain::Plain,
};
use crate::{bus::Bus, observation::Difference};

/// One of the backends, looked for again with each look.
#[derive(Debug)]
pub struct Chosen {
    nm: Nm,
    networkd: Networkd,
    plain: Plain,
    which: Mutex<Which>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Which {
    Nm,
    Networkd,
    #[default]
    Plain,
}

/// Asks the one that was found last.
macro_rules! ask {
    ($self:ident, $backend:ident => $call:expr) => {
        match $self.which() {
            Which::Nm => {
                let $backend = &$self.nm;
                $call
            }
            Which::Networkd => {
                let $backend = &$self.networkd;
                $call
            }
            Which::Plain => {
                let $backend = &$self.plain;
                $call
            }
        }
    };
}

impl Chosen {
    /// Those that may be there, at the message bus of this address, with files below `root`.
    pub fn new(bus: &str, root: &Path, agent: &AgentId) -> Self {
        let bus = Bus::new(bus);
        Self {
            nm: Nm::new(bus.clone()),
            networkd: Networkd::new(bus, root, agent.clone()),
            plain: Plain,
            which: Mutex::default(),
        }
    }

    fn which(&self) -> Which {
        *self.which.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells each of the backends about those interfaces that it understands, however many there are.
macro_rules! each {
    ($self:ident, $saved:ident, $backend:ident, $own:ident => $call:expr) => {{
        for name in $saved.0.values().map(|kept| kept.by.as_str()).collect::<BTreeSet<_>>() {
            let $own = &$saved.of(name);
            match name {
                nm::NAME => {
                    let $backend = &$self.nm;
                    $call?;
                }
                networkd::NAME => {
                    let $backend = &$self.networkd;
                    $call?;
                }
                _ => {
                    let $backend = &$self.plain;
                    $call?;
                }
            }
        }
        Ok(())
    }};
}

impl Backend for Chosen {
    async fn find(&self) -> Result<Option<Capability>, BackendError> {
        let (which, found) = match self.nm.find().await? {
            Some(found) => (Which::Nm, Some(found)),
            None => match self.networkd.find().await? {
                Some(found) => (Which::Networkd, Some(found)),
                None => (Which::Plain, self.plain.find().await?),
            },
        };
        *self.which.lock().unwrap_or_else(PoisonError::into_inner) = which;
        Ok(found)
    }

    async fn unsupported(&self, spec: &NetworkConfigSpec) -> Option<Unsupported> {
        ask!(self, backend => backend.unsupported(spec).await)
    }

    async fn differences(&self, wanted: &Wanted<'_>) -> Result<Vec<Difference>, BackendError> {
        ask!(self, backend => backend.differences(wanted).await)
    }

    async fn save(&self, interfaces: &[String]) -> Result<Saved, BackendError> {
        ask!(self, backend => backend.save(interfaces).await)
    }

    async fn begin(&self, interfaces: &Saved, within: Duration) -> Result<Option<Trial>, BackendError> {
        ask!(self, backend => backend.begin(interfaces, within).await)
    }

    async fn apply(&self, wanted: &[Wanted<'_>], on_trial: bool) -> Result<(), BackendError> {
        ask!(self, backend => backend.apply(wanted, on_trial).await)
    }

    async fn confirm(&self, interfaces: &Saved, trial: Option<&Trial>) -> Result<(), BackendError> {
        each!(self, interfaces, backend, own => backend.confirm(own, trial).await)
    }

    async fn abandon(&self, interfaces: &Saved, trial: Option<&Trial>) -> Result<(), BackendError> {
        each!(self, interfaces, backend, own => backend.abandon(own, trial).await)
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        each!(self, saved, backend, own => backend.restore(own).await)
    }

    fn acts(&self) -> bool {
        ask!(self, backend => backend.acts())
    }
}

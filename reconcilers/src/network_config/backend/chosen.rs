//! What manages the interfaces of this device: NetworkManager where it is there, else systemd-networkd, else nobody.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use manifest_types::{kinds::network_config::NetworkConfigSpec, name::AgentId, status::Capability};

use super::{Backend, BackendError, Saved, Unsupported, Wanted, networkd::Networkd, nm::Nm, plain::Plain};
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

impl Backend for Chosen {
    async fn find(&self) -> Option<Capability> {
        let (which, found) = match (self.nm.find().await, self.networkd.find().await) {
            (Some(found), _) => (Which::Nm, Some(found)),
            (None, Some(found)) => (Which::Networkd, Some(found)),
            (None, None) => (Which::Plain, self.plain.find().await),
        };
        *self.which.lock().unwrap_or_else(PoisonError::into_inner) = which;
        found
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

    async fn begin(&self, interfaces: &[String], within: Duration) -> Result<(), BackendError> {
        ask!(self, backend => backend.begin(interfaces, within).await)
    }

    async fn apply(&self, wanted: &[Wanted<'_>]) -> Result<(), BackendError> {
        ask!(self, backend => backend.apply(wanted).await)
    }

    async fn confirm(&self, interfaces: &[String]) -> Result<(), BackendError> {
        ask!(self, backend => backend.confirm(interfaces).await)
    }

    async fn abandon(&self, interfaces: &[String]) -> Result<(), BackendError> {
        ask!(self, backend => backend.abandon(interfaces).await)
    }

    async fn restore(&self, saved: &Saved) -> Result<(), BackendError> {
        ask!(self, backend => backend.restore(saved).await)
    }

    fn acts(&self) -> bool {
        ask!(self, backend => backend.acts())
    }
}

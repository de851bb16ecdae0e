//! What manages the interfaces of a device beside the kernel, and how it is told.

use std::{collections::BTreeMap, future::Future, time::Duration};

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{moves, setup::Setup, terms::Links};
use crate::observation::Difference;

pub mod chosen;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod networkd;
pub mod nm;
pub mod plain;

/// A backend does not do as it is asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackendError {
    /// There is no way to it.
    #[error("{backend} cannot be reached: {why}")]
    Away {
        /// Which one.
        backend: &'static str,
        /// Why not.
        why: String,
    },
    /// It refused.
    #[error("{backend} refuses to {doing}: {why}")]
    Refused {
        /// Which one.
        backend: &'static str,
        /// What it was asked.
        doing: String,
        /// Its words.
        why: String,
    },
}

/// A field of a spec that a backend cannot bring about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// The field.
    pub field: &'static str,
    /// What is missing.
    pub why: &'static str,
}

/// What was configured of interfaces: enough to put it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved(pub BTreeMap<String, Kept>);

/// What was configured of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What manages it: it alone understands the rest.
    pub by: String,
    /// In its own words.
    pub was: Value,
}

impl Saved {
    /// The names of the interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The part that one backend understands.
    pub fn of(&self, backend: &str) -> Self {
        let own = self.0.iter().filter(|(_, kept)| kept.by == backend);
        Self(own.map(|(name, kept)| (name.clone(), kept.clone())).collect())
    }
}

/// What is wanted of one interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted<'a> {
    /// The spec.
    pub spec: &'a NetworkConfigSpec,
    /// The same for the kernel.
    pub setup: Setup,
    /// What was wanted of it before.
    pub former: Option<Setup>,
}

/// What manages interfaces.
pub trait Backend: Send + Sync + 'static {
    /// What it is, if it is there. An error: that cannot be said now.
    fn find(&self) -> impl Future<Output = Result<Option<Capability>, BackendError>> + Send;

    /// What of a spec it cannot bring about.
    fn unsupported(&self, spec: &NetworkConfigSpec) -> impl Future<Output = Option<Unsupported>> + Send;

    /// Where its own configuration of an interface is not as wanted.
    fn differences(
        &self,
        wanted: &Wanted<'_>,
    ) -> impl Future<Output = Result<Vec<Difference>, BackendError>> + Send;

    /// What it has configured of these interfaces.
    fn save(&self, interfaces: &[String]) -> impl Future<Output = Result<Saved, BackendError>> + Send;

    /// Is told that these interfaces are about to be changed, for so long unless that is confirmed. What it says is told to it in the end. Default: that is nothing to it.
    fn begin(
        &self,
        interfaces: &Saved,
        within: Duration,
    ) -> impl Future<Output = Result<Option<Trial>, BackendError>> + Send {
        let _ = (interfaces, within);
        async { Ok(None) }
    }

    /// Is told what is wanted; on trial until that is confirmed, or for good. What the kernel then lacks is for the caller.
    fn apply(
        &self,
        wanted: &[Wanted<'_>],
        on_trial: bool,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Is told that a change of these interfaces stays, by whichever run of the agent it was begun. Default: that is nothing to it.
    fn confirm(
        &self,
        interfaces: &Saved,
        trial: Option<&Trial>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = (interfaces, trial);
        async { Ok(()) }
    }

    /// Is told that a change does not stay, by whichever run of the agent it was begun. Default: that is nothing to it.
    fn abandon(
        &self,
        interfaces: &Saved,
        trial: Option<&Trial>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = (interfaces, trial);
        async { Ok(()) }
    }

    /// Is told what it had configured before.
    fn restore(&self, saved: &Saved) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Whether it changes the kernel's interfaces by itself once it is told, so that it must be given time.
    fn acts(&self) -> bool;
}

/// A backend's own name for a change that is on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial(pub String);

/// What the kernel is asked itself for some interfaces.
pub fn all_moves(links: &Links, wanted: &[Wanted<'_>]) -> Vec<moves::Move> {
    wanted.iter().flat_map(|wanted| moves::to(links, &wanted.setup, wanted.former.as_ref())).collect()
}

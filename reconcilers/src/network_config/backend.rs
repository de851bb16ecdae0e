//! What manages the interfaces of a device beside the kernel, and how it is told.

use std::{collections::BTreeMap, future::Future, time::Duration};

use manifest_types::{kinds::network_config::NetworkConfigSpec, status::Capability};
use serde::{Deserialize, Serialize};

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

/// What a backend remembers of an interface, in words of its own: enough to put it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved(pub BTreeMap<String, serde_json::Value>);

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
    /// What it is, if it is there.
    fn find(&self) -> impl Future<Output = Option<Capability>> + Send;

    /// What of a spec it cannot bring about.
    fn unsupported(&self, spec: &NetworkConfigSpec) -> impl Future<Output = Option<Unsupported>> + Send;

    /// Where its own configuration of an interface is not as wanted.
    fn differences(
        &self,
        wanted: &Wanted<'_>,
    ) -> impl Future<Output = Result<Vec<Difference>, BackendError>> + Send;

    /// What it has configured of these interfaces.
    fn save(&self, interfaces: &[String]) -> impl Future<Output = Result<Saved, BackendError>> + Send;

    /// Is told that these interfaces are about to be changed, for so long unless that is confirmed. Default: that is nothing to it.
    fn begin(
        &self,
        interfaces: &[String],
        within: Duration,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = (interfaces, within);
        async { Ok(()) }
    }

    /// Is told what is wanted. What the kernel then lacks is for the caller.
    fn apply(&self, wanted: &[Wanted<'_>]) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Is told that a change of these interfaces stays, by whichever run of the agent it was begun. Default: that is nothing to it.
    fn confirm(&self, interfaces: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = interfaces;
        async { Ok(()) }
    }

    /// Is told that a change of these interfaces does not stay, by whichever run of the agent it was begun. Default: that is nothing to it.
    fn abandon(&self, interfaces: &[String]) -> impl Future<Output = Result<(), BackendError>> + Send {
        let _ = interfaces;
        async { Ok(()) }
    }

    /// Is told what it had configured before.
    fn restore(&self, saved: &Saved) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Whether it changes the kernel's interfaces by itself once it is told, so that it must be given time.
    fn acts(&self) -> bool;
}

/// What the kernel is asked itself for some interfaces.
pub fn all_moves(links: &Links, wanted: &[Wanted<'_>]) -> Vec<moves::Move> {
    wanted.iter().flat_map(|wanted| moves::to(links, &wanted.setup, wanted.former.as_ref())).collect()
}

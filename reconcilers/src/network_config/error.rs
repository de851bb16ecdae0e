//! What goes wrong with interfaces.

use std::time::Duration;

use manifest_types::quantity::Span;

use super::{backend::BackendError, kernel::KernelError, transaction::Planned};
use crate::{
    books::NotRemembered,
    error::{Fault, Unseen},
};

/// An interface that cannot be brought to its spec, or not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What manages interfaces.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// What was there before cannot be remembered.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// The step was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// There is no such interface.
    #[error("there is no interface {0} on this device")]
    Missing(String),
    /// Something else has the name.
    #[error("{name} is there and is {found}, not {wanted}; somebody else made it")]
    Conflict {
        /// The name.
        name: String,
        /// What it is.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// It is one of those that something else stands on.
    #[error("{name} is {what}: it is changed only if its spec names it")]
    Protected {
        /// The interface.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// Another one has or wants one of its addresses.
    #[error("the address {address} is that of {with}, too")]
    SharedAddress {
        /// The address.
        address: std::net::IpAddr,
        /// The other one: a resource, or an interface.
        with: String,
    },
    /// The backend cannot do that.
    #[error("{field} cannot be brought about by {backend}: {why}")]
    Unsupported {
        /// The field of the spec.
        field: &'static str,
        /// What manages interfaces here.
        backend: String,
        /// Why not.
        why: &'static str,
    },
    /// It has not come about in time, though nobody was to confirm it.
    #[error("it has not come about within {}: {what}", Span(*.within))]
    TooSlow {
        /// What is not as wanted.
        what: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The change was taken back.
    #[error("{tried} was tried for {}, and {why}; everything is as it was before", Span(Duration::from_millis(u64::try_from(.away.as_millis()).unwrap_or(u64::MAX))))]
    RolledBack {
        /// What was changed.
        tried: String,
        /// What failed: a check, or what the kernel did not take.
        why: String,
        /// For how long the device was in the changed state.
        away: Duration,
    },
    /// A change is taken back, and not all of what was there before is there yet.
    #[error("a change is being taken back, and not all interfaces are as they were ({0}); it is tried again")]
    NotBack(String),
    /// It was taken back at the start of the agent, or of the device.
    #[error("{0}; everything is as it was before")]
    Undone(String),
    /// It was taken back with others that changed with it, and may be good without them.
    #[error("{0}")]
    TakenBackWithOthers(String),
    /// Another resource holds the interface.
    #[error("{name} is held by the resource {by}, too")]
    Taken {
        /// The interface.
        name: String,
        /// The other resource.
        by: String,
    },
    /// What is there now could not be put back.
    #[error("{name} has {what}, which could not be put back as it was; take it away first")]
    Beyond {
        /// The interface.
        name: String,
        /// What it has.
        what: String,
    },
    /// What stands in the way of all that change together.
    #[error("{0}")]
    Together(String),
}

impl NetworkError {
    /// The same for one of several that change together: what is given back may be given back without the others.
    pub(super) fn of(&self, planned: &Planned<'_>, together: usize) -> Self {
        match self {
            Self::RolledBack { .. } if planned.is_removal() && together > 1 => {
                Self::TakenBackWithOthers(self.to_string())
            }
            other => other.again(),
        }
    }

    /// The same for another of those that change together.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Kernel(error) => Self::Kernel(error.clone()),
            Self::Backend(error) => Self::Backend(error.clone()),
            Self::Cancelled => Self::Cancelled,
            Self::NotBack(what) => Self::NotBack(what.clone()),
            Self::RolledBack { tried, why, away } => {
                Self::RolledBack { tried: tried.clone(), why: why.clone(), away: *away }
            }
            Self::TooSlow { what, within } => Self::TooSlow { what: what.clone(), within: *within },
            other => Self::Together(other.to_string()),
        }
    }
}

impl Fault for NetworkError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Kernel(KernelError::Away(_)) => "KernelAway",
            Self::Kernel(KernelError::Refused { errno, .. }) if *errno == nix::libc::EPERM => {
                "PermissionDenied"
            }
            Self::Kernel(KernelError::Refused { .. }) => "KernelRefused",
            Self::Kernel(KernelError::NoLink(_)) | Self::Missing(_) => "InterfaceMissing",
            Self::Backend(BackendError::Away { .. }) => "BackendAway",
            Self::Backend(BackendError::Refused { .. }) => "BackendRefused",
            Self::NotRemembered(error) => error.reason(),
            Self::Cancelled => "Cancelled",
            Self::Conflict { .. } => "Conflict",
            Self::SharedAddress { .. } => "SharedAddress",
            Self::Protected { .. } => "Protected",
            Self::Unsupported { .. } => "Unsupported",
            Self::TooSlow { .. } => "NotConverged",
            Self::RolledBack { .. } | Self::Undone(_) => "RolledBack",
            Self::NotBack(_) => "NotBack",
            Self::TakenBackWithOthers(_) => "RolledBack",
            Self::Taken { .. } => "Conflict",
            Self::Beyond { .. } => "CannotBePutBack",
            Self::Together(_) => "TransactionFailed",
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            Self::Conflict { .. }
            | Self::Beyond { .. }
            | Self::Protected { .. }
            | Self::Unsupported { .. } => false,
            Self::RolledBack { .. } | Self::Undone(_) => false,
            Self::NotRemembered(error) => error.can_retry(),
            Self::Kernel(_)
            | Self::Backend(_)
            | Self::Cancelled
            | Self::Missing(_)
            | Self::TooSlow { .. }
            | Self::NotBack(_)
            | Self::SharedAddress { .. }
            | Self::Taken { .. }
            | Self::TakenBackWithOthers(_)
            | Self::Together(_) => true,
        }
    }

    fn was_rolled_back(&self) -> bool {
        matches!(self, Self::RolledBack { .. } | Self::Undone(_))
    }
}

impl From<crate::error::Cancelled> for NetworkError {
    fn from(_: crate::error::Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<NetworkError> for Unseen {
    fn from(error: NetworkError) -> Self {
        Self { reason: error.reason(), message: error.to_string() }
    }
}

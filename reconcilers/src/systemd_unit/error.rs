//! What goes wrong with units.

use crate::{
    books::NotRemembered,
    error::{Fault, ReconcileError, Unseen},
};

/// An init system that is away, or that refuses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// There is no way to it.
    #[error("systemd cannot be reached over D-Bus at {address}: {why}")]
    Away {
        /// Where it was looked for.
        address: String,
        /// Why not.
        why: String,
    },
    /// It does not answer.
    #[error("systemd has not answered {call} within {seconds} s")]
    Silent {
        /// What it was asked.
        call: &'static str,
        /// For how long.
        seconds: u64,
    },
    /// It answered that it will not.
    #[error("systemd refused {call} of {unit}: {message}")]
    Refused {
        /// What it was asked.
        call: &'static str,
        /// Of which unit; `all units` for a call that has none.
        unit: String,
        /// D-Bus's name for the error.
        name: String,
        /// Its words.
        message: String,
    },
}

impl BusError {
    /// Whether a unit of that name is not there.
    pub fn is_no_such_unit(&self) -> bool {
        // Of a file that is not there, it is told in the words of files.
        let names = ["org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.FileNotFound"];
        matches!(self, Self::Refused { name, .. } if names.contains(&name.as_str()))
    }
}

impl Fault for BusError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Away { .. } => "SystemdAway",
            Self::Silent { .. } => "SystemdSilent",
            Self::Refused { name, .. } => match name.rsplit('.').next().unwrap_or_default() {
                "NoSuchUnit" => "UnitMissing",
                "UnitMasked" => "UnitMasked",
                "AccessDenied" | "InteractiveAuthorizationRequired" => "PermissionDenied",
                "JobTypeNotApplicable" => "JobNotApplicable",
                "TransactionIsDestructive" | "TransactionJobsConflicting" | "TransactionOrderIsCyclic" => {
                    "TransactionFailed"
                }
                _ => "SystemdRefused",
            },
        }
    }

    fn can_retry(&self) -> bool {
        true
    }
}

impl From<BusError> for Unseen {
    fn from(error: BusError) -> Self {
        Self { reason: error.reason(), message: error.to_string() }
    }
}

/// A unit that cannot be brought to its spec, or not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// systemd.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A file of the unit.
    #[error("a file of the unit: {}", .0.to_failure().message)]
    Step(ReconcileError),
    /// The files of units cannot be looked at.
    #[error("{0}")]
    Unseen(String),
    /// What was there before cannot be remembered.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// The step was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// It is one of those that the agent itself stands on.
    #[error("{unit} is {what}: {why}")]
    Protected {
        /// The unit.
        unit: String,
        /// What it is.
        what: &'static str,
        /// What is not done with it.
        why: &'static str,
    },
    /// The name is another unit's.
    #[error("{name} is an alias of {id}; name {id} in the spec")]
    Alias {
        /// The name that was asked for.
        name: String,
        /// Its own name.
        id: String,
    },
    /// There is no such unit.
    #[error("there is no unit {0} on this device: give its `content`, or install what brings it")]
    Missing(String),
    /// systemd does not take its text.
    #[error("systemd does not take the text of {unit}: {message}{}", if *.rolled_back { "; the former text is back" } else { "" })]
    BadText {
        /// The unit.
        unit: String,
        /// systemd's words.
        message: String,
        /// Whether the former text is back.
        rolled_back: bool,
    },
    /// It has nothing that says when it is started at boot.
    #[error(
        "{0} cannot be enabled: its text has no section [Install] with WantedBy= or the like (with Also= alone, name the other unit)"
    )]
    NotInstallable(String),
    /// A job went wrong.
    #[error("{doing} {unit} ended with {result}{}{}", told(.why), ended_with(.printed))]
    Job {
        /// What was done.
        doing: &'static str,
        /// The unit.
        unit: String,
        /// systemd's word for how the job ended.
        result: String,
        /// What systemd knows of why.
        why: String,
        /// The last lines of the unit's journal.
        printed: String,
    },
    /// systemd did not start it.
    #[error(
        "{0} is not started: a Condition…= of its text is not met (`systemctl status {0}` names it); it is tried again"
    )]
    ConditionNotMet(String),
    /// It takes longer to start than it may.
    #[error("{unit} has not started within {seconds} s; systemd goes on with it")]
    StartTimeout {
        /// The unit.
        unit: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

fn told(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}

fn ended_with(printed: &str) -> String {
    if printed.is_empty() { String::new() } else { format!("; its journal ends with: {printed}") }
}

impl Fault for UnitError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Bus(error) => error.reason(),
            Self::Step(error) => error.reason(),
            Self::Unseen(_) => "Unseen",
            Self::NotRemembered(error) => error.reason(),
            Self::Cancelled => "Cancelled",
            Self::Protected { .. } => "Protected",
            Self::Alias { .. } => "Alias",
            Self::Missing(_) => "UnitMissing",
            Self::BadText { rolled_back: true, .. } => "UpdateRolledBack",
            Self::BadText { .. } => "BadSetting",
            Self::NotInstallable(_) => "NotInstallable",
            Self::ConditionNotMet(_) => "ConditionNotMet",
            Self::StartTimeout { .. } => "StartTimeout",
            Self::Job { result, .. } => match result.as_str() {
                "failed" => "JobFailed",
                "timeout" => "JobTimeout",
                "dependency" => "DependencyFailed",
                "canceled" => "JobCanceled",
                "assert" => "AssertionFailed",
                "unsupported" => "Unsupported",
                "collected" => "UnitCollected",
                "once" => "AlreadyRun",
                _ => "JobFailed",
            },
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            Self::Bus(error) => error.can_retry(),
            Self::Step(error) => error.to_failure().can_retry,
            Self::Protected { .. } | Self::Alias { .. } | Self::BadText { .. } | Self::NotInstallable(_) => {
                false
            }
            Self::NotRemembered(_)
            | Self::Unseen(_)
            | Self::Cancelled
            | Self::Missing(_)
            | Self::Job { .. }
            | Self::ConditionNotMet(_)
            | Self::StartTimeout { .. } => true,
        }
    }

    fn was_rolled_back(&self) -> bool {
        matches!(self, Self::BadText { rolled_back: true, .. })
    }
}

impl From<crate::error::Cancelled> for UnitError {
    fn from(_: crate::error::Cancelled) -> Self {
        Self::Cancelled
    }
}

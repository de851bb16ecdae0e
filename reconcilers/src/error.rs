//! What can go wrong, as data: a stable reason for programs, a message for people, and whether trying again may help.

use std::{error::Error, fmt};

/// A failure of one kind's reconciler. Its `Display` is a fragment without its source, and never holds a secret.
pub trait Fault: Error + Send + Sync + 'static {
    /// Stable, in UpperCamelCase, for programs: `PermissionDenied`.
    fn reason(&self) -> &'static str;

    /// Whether trying again, with nothing else changed, may help.
    fn can_retry(&self) -> bool;

    /// Whether the spec proved bad after it was applied, and what was there before it is back.
    /// Such a spec is not tried again until it changes or somebody asks.
    fn was_rolled_back(&self) -> bool {
        false
    }
}

/// A step that failed.
pub struct ReconcileError(Box<dyn Fault>);

impl<F: Fault> From<F> for ReconcileError {
    fn from(fault: F) -> Self {
        Self(Box::new(fault))
    }
}

impl fmt::Debug for ReconcileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl ReconcileError {
    /// As plain data, its chain of sources told once.
    pub fn to_failure(&self) -> Failure {
        Failure::of(self.0.as_ref())
    }

    /// Its stable reason.
    pub fn reason(&self) -> &'static str {
        self.0.reason()
    }
}

/// One target that could not be read.
#[derive(Debug)]
pub struct ObserveError(ReconcileError);

impl<F: Fault> From<F> for ObserveError {
    fn from(fault: F) -> Self {
        Self(fault.into())
    }
}

impl ObserveError {
    /// As plain data.
    pub fn to_failure(&self) -> Failure {
        self.0.to_failure()
    }
}

/// A whole kind that cannot be seen: what it needs is away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unseen {
    /// Stable, for programs: `EngineAway`.
    pub reason: &'static str,
    /// What is missing and what would bring it, for people.
    pub message: String,
}

/// A failure as plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable, for programs.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Whether trying again, with nothing else changed, may help.
    pub can_retry: bool,
    /// Whether the spec proved bad after it was applied, and what was there before it is back.
    pub rolled_back: bool,
}

impl Failure {
    /// A failure from its parts.
    pub fn new(reason: &str, message: impl Into<String>, can_retry: bool) -> Self {
        Self { reason: reason.to_owned(), message: message.into(), can_retry, rolled_back: false }
    }

    fn of(fault: &dyn Fault) -> Self {
        let mut message = fault.to_string();
        let mut source = fault.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self {
            reason: fault.reason().to_owned(),
            message,
            can_retry: fault.can_retry(),
            rolled_back: fault.was_rolled_back(),
        }
    }
}

/// A step that was told to stop and did, with nothing half done.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Fault for Cancelled {
    fn reason(&self) -> &'static str {
        "Cancelled"
    }

    fn can_retry(&self) -> bool {
        true
    }
}

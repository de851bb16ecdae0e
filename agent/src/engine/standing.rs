//! How a resource stands: what was last decided to be told of it.

use manifest_types::{
    name::ResourceId,
    status::{Phase, ResourceError},
};
use reconcilers::error::Failure;

use crate::clock::BootTime;

/// What is told of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// How far it is.
    pub phase: Phase,
    /// Why, in one word.
    pub reason: Option<&'static str>,
    /// Why, in a sentence.
    pub message: Option<String>,
    /// Those it waits for.
    pub waiting_for: Vec<ResourceId>,
    /// What went wrong.
    pub error: Option<ResourceError>,
    /// When it is tried again.
    pub retry_at: Option<BootTime>,
    /// Whether it drifted and is left so.
    pub drifted: bool,
}

impl Standing {
    /// A phase with nothing more to say.
    pub fn of(phase: Phase) -> Self {
        Self {
            phase,
            reason: None,
            message: None,
            waiting_for: Vec::new(),
            error: None,
            retry_at: None,
            drifted: false,
        }
    }

    /// The same, with a reason and a sentence.
    #[must_use]
    pub fn because(mut self, reason: &'static str, message: impl Into<String>) -> Self {
        self.reason = Some(reason);
        self.message = Some(message.into()).filter(|message| !message.is_empty());
        self
    }

    /// The same, waiting for others.
    #[must_use]
    pub fn waiting_for(mut self, ids: impl IntoIterator<Item = ResourceId>) -> Self {
        self.waiting_for = ids.into_iter().collect();
        self
    }

    /// The same, after a failure.
    #[must_use]
    pub fn failed(mut self, failure: &Failure, attempts: u32, retry_at: Option<BootTime>) -> Self {
        let Failure { reason, message, .. } = failure.clone();
        self.error = Some(ResourceError { reason, message, attempts });
        self.retry_at = retry_at;
        self
    }
}

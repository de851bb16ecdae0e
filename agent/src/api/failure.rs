//! What the API answers when it cannot do what was asked.

use std::fmt;

use hyper::StatusCode;
use manifest_types::name::ResourceId;
use reconcilers::error::Failure;
use serde::{Deserialize, Serialize};

/// A request that was not fulfilled, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiFailure {
    /// Stable, for programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A failure with the code it is told by.
#[derive(Debug)]
pub(super) struct Failed {
    /// The code.
    pub(super) code: StatusCode,
    /// What is told.
    pub(super) failure: ApiFailure,
}

impl Failed {
    fn new(code: StatusCode, reason: &str, message: impl fmt::Display) -> Self {
        Self { code, failure: ApiFailure { reason: reason.to_owned(), message: message.to_string() } }
    }

    /// The request itself is wrong.
    pub(super) fn bad(reason: &str, message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message)
    }

    /// Its body is larger than any manifest.
    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("the body has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", message)
    }

    /// There is no such resource.
    pub(super) fn unknown_resource(id: &ResourceId) -> Self {
        let message = format!("there is no resource {id}; `holdfast status` lists all");
        Self::new(StatusCode::NOT_FOUND, "UnknownResource", message)
    }

    /// Resources of this kind print nothing.
    pub(super) fn prints_nothing(id: &ResourceId, kind: &str) -> Self {
        let message = format!("{id} is a {kind}, which prints nothing; containers do");
        Self::new(StatusCode::CONFLICT, "PrintsNothing", message)
    }

    /// What the device is asked for cannot be had.
    pub(super) fn on_the_device(failure: &Failure) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, &failure.reason, &failure.message)
    }

    /// The source is one that is told by itself.
    pub(super) fn not_asking() -> Self {
        let message = "the source of this agent is told of each change by itself; there is nothing to ask";
        Self::new(StatusCode::CONFLICT, "SourceDoesNotAsk", message)
    }

    /// There is nothing at this address.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UnknownPath", "there is nothing at this path")
    }

    /// There is something, but not for this method.
    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "WrongMethod", "this path takes another method")
    }

    /// The driver has ended.
    pub(super) fn gone() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Stopping", "the agent is stopping")
    }

    /// The driver does not answer.
    pub(super) fn silent() -> Self {
        let message = "the agent is there but does not answer; its log may say why";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "NoAnswer", message)
    }
}

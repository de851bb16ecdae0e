//! What the API answers when it cannot do what was asked.

use std::fmt;

use axum::{
    Json,
    extract::rejection::{BytesRejection, PathRejection, QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use manifest_types::name::ResourceId;
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
pub(super) struct Failed(StatusCode, ApiFailure);

impl Failed {
    fn new(code: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        Self(code, ApiFailure { reason: reason.to_owned(), message: message.into() })
    }

    /// The request itself is wrong.
    pub(super) fn bad(reason: &str, message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, message.to_string())
    }

    /// There is no such resource.
    pub(super) fn unknown_resource(id: &ResourceId) -> Self {
        let message = format!("there is no resource {id}; `holdfast status` lists all");
        Self::new(StatusCode::NOT_FOUND, "UnknownResource", message)
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
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "NoAnswer",
            "the agent is there but does not answer; its log may say why",
        )
    }
}

impl From<PathRejection> for Failed {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "BadPath", rejection.body_text())
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), "BadQuery", rejection.body_text())
    }
}

impl From<BytesRejection> for Failed {
    fn from(rejection: BytesRejection) -> Self {
        let code = rejection.status();
        let reason = if code == StatusCode::PAYLOAD_TOO_LARGE { "TooLarge" } else { "BadBody" };
        Self::new(code, reason, rejection.body_text())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

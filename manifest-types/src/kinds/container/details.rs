//! What a status shows of a container.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::TimestampText;

/// What a status shows of a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDetails {
    /// Its name in the engine.
    pub name: String,
    /// Its id in the engine.
    pub container_id: String,
    /// What the engine says it does: running, exited, paused, …
    pub state: String,
    /// The image, as its container was made from it.
    pub image: String,
    /// The image's id: the digest of its configuration.
    pub image_id: String,
    /// The digest by which a registry knows the image, if it came from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// When it was last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TimestampText>")]
    pub started_at: Option<Timestamp>,
    /// When it last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TimestampText>")]
    pub finished_at: Option<Timestamp>,
    /// How often the engine has started it again.
    #[serde(default)]
    pub restarts: u64,
    /// With what it last ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Whether it last ended because it used too much memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oom_killed: bool,
    /// What healthcheck and probes say, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<ContainerHealth>,
}

/// What healthcheck and probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ContainerHealth {
    /// Nothing yet.
    Starting,
    /// It is well.
    Healthy,
    /// It is not.
    Unhealthy,
}

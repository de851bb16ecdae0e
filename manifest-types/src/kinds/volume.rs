//! `Volume`: a container engine's volume.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ResourceSpec,
    engine::{EngineName, TakeOver, Texts, foreign_marks},
    is_default,
};
use crate::{claim::Claim, name::ResourceId, problem::Problem};

/// What a manifest wants of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "onDelete": "Remove" }))]
pub struct VolumeSpec {
    /// Its name in the engine. Default: the resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<EngineName>,
    /// What keeps it. Default: `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub options: Texts,
    /// Labels; names that begin with `holdfast.` are the agent's.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub labels: Texts,
    /// A volume of this name that is there already and is taken over, whatever its other labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<TakeOver>,
    /// What becomes of it, and of all that is in it, when it is no longer wanted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_delete: OnDelete,
}

/// What becomes of a volume that is no longer wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// It stays, with all that is in it.
    #[default]
    Retain,
    /// It is removed, with all that is in it.
    Remove,
}

impl VolumeSpec {
    /// The driver that is wanted.
    pub fn wanted_driver(&self) -> &str {
        self.driver.as_deref().unwrap_or("local")
    }
}

impl ResourceSpec for VolumeSpec {
    const KIND: &'static str = "Volume";

    fn problems(&self) -> Vec<Problem> {
        foreign_marks("labels", &self.labels)
    }

    fn claims(&self, id: &ResourceId) -> Vec<Claim> {
        vec![Claim::Volume(EngineName::of(self.name.as_ref(), id))]
    }
}

/// What a status shows of a volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDetails {
    /// Its name in the engine.
    pub name: String,
    /// What keeps it.
    pub driver: String,
    /// Where its content is on the device, if the driver says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<String>,
}

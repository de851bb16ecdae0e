//! `Image`: an image of the container engine, there before a container needs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResourceSpec, engine::ImageRef, file::AbsolutePath};
use crate::{claim::Claim, name::ResourceId, problem::Problem};

/// What a manifest wants of an image: that it is there. It is pulled where it is not, and removed when nothing needs it any more, if a pull of the agent's brought it.
///
/// Containers that depend on the images of all are not touched before the last of these is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "image": "registry.example/web:1.2" }))]
pub struct ImageSpec {
    /// The image.
    pub image: ImageRef,
    /// A file on the device with the registries' credentials, in the form of Docker's `config.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_credentials: Option<AbsolutePath>,
}

impl ResourceSpec for ImageSpec {
    const KIND: &'static str = "Image";

    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// None: several may need the same image.
    fn claims(&self, _: &ResourceId) -> Vec<Claim> {
        Vec::new()
    }
}

/// What a status shows of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageDetails {
    /// The reference in full.
    pub image: String,
    /// Its id in the engine.
    pub image_id: String,
}

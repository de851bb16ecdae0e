//! What was seen of an image, and how it is compared with its spec. Pure.

use manifest_types::kinds::{
    ResourceDetails,
    image::{ImageDetails, ImageSpec},
};
use serde_json::Value;

use crate::{
    engine::terms::NamedImage,
    observation::{Difference, Health, Observed},
};

/// What was seen of an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// The reference in full.
    pub reference: String,
    /// What it stands for, if that is there.
    pub image_id: Option<String>,
}

impl Sight {
    /// What a spec wants, if it is among those that are listed.
    pub(super) fn among(listed: &[NamedImage], spec: &ImageSpec) -> Option<Self> {
        let reference = spec.image.canonical();
        let found = listed.iter().find(|image| image.names.contains(&reference))?;
        Some(Self { reference, image_id: Some(found.id.clone()) })
    }
}

impl Observed<ImageSpec> for Sight {
    fn is_present(&self) -> bool {
        self.image_id.is_some()
    }

    fn drift(&self, wanted: &ImageSpec) -> Vec<Difference> {
        let reference = wanted.image.canonical();
        match self.image_id {
            Some(_) if self.reference == reference => Vec::new(),
            _ => vec![Difference::in_place("image", reference, Value::Null)],
        }
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn details(&self) -> Option<ResourceDetails> {
        let image_id = self.image_id.clone()?;
        Some(ResourceDetails::Image(ImageDetails { image: self.reference.clone(), image_id }))
    }
}

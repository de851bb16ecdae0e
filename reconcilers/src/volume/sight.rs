//! What was seen of a volume, and how it is compared with its spec. Pure.

use manifest_types::kinds::{
    ResourceDetails,
    volume::{VolumeDetails, VolumeSpec},
};
use serde_json::Value;

use crate::{
    engine::{marks, shape::Shape, terms::Volume},
    observation::{Difference, Health, Observed},
};

/// What was seen of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Its name.
    pub name: String,
    /// Whether it bears our mark, or is taken over.
    pub is_ours: bool,
    /// The volume, if it is there.
    pub found: Option<Volume>,
}

impl Observed<VolumeSpec> for Sight {
    fn is_present(&self) -> bool {
        self.found.is_some()
    }

    fn drift(&self, wanted: &VolumeSpec) -> Vec<Difference> {
        match &self.found {
            Some(found) => {
                let mut differences = Shape::wanted_volume(wanted)
                    .differences(&Shape::of_volume(found), &marks::birth(&found.labels));
                // No engine gives a volume other labels; one that is taken as it is has those that it has.
                let is_any_good = self.is_ours && wanted.take_over.is_some();
                differences.retain(|difference| !(is_any_good && difference.path.starts_with("labels.")));
                differences
            }
            None => vec![Difference::in_place("volume", self.name.as_str(), Value::Null)],
        }
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn details(&self) -> Option<ResourceDetails> {
        let found = self.found.as_ref()?;
        Some(ResourceDetails::Volume(VolumeDetails {
            name: found.name.clone(),
            driver: found.driver.clone(),
            mountpoint: found.mountpoint.clone(),
        }))
    }

    fn is_marked_ours(&self) -> bool {
        self.is_ours
    }
}

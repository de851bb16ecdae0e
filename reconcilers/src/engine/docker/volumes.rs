//! Volumes, as engines tell them and take them.

use manifest_types::kinds::{engine::Texts, volume::VolumeSpec};
use serde_json::{Value, json};

use super::wire::Told;
use crate::engine::terms::Volume;

/// Reads one of the volumes that an engine lists.
pub(super) fn volume(told: Told<'_>) -> Volume {
    Volume {
        name: told.text("Name").to_owned(),
        driver: told.text("Driver").to_owned(),
        options: told.texts("Options"),
        labels: told.texts("Labels"),
        mountpoint: told.some_text("Mountpoint"),
    }
}

/// The body that makes a volume.
pub(super) fn body(name: &str, spec: &VolumeSpec, marks: &Texts) -> Value {
    let mut labels = spec.labels.clone();
    labels.extend(marks.iter().map(|(name, value)| (name.clone(), value.clone())));
    json!({ "Name": name, "Driver": spec.wanted_driver(), "DriverOpts": spec.options, "Labels": labels })
}

//! Volumes, as engines tell them and take them.

use manifest_types::kinds::{engine::Texts, volume::VolumeSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::terms::Volume;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireVolumes {
    volumes: Option<Vec<WireVolume>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct WireVolume {
    name: String,
    driver: String,
    mountpoint: String,
    labels: Option<Texts>,
    options: Option<Texts>,
}

impl WireVolumes {
    pub(super) fn read(self) -> Vec<Volume> {
        let volumes = self.volumes.unwrap_or_default().into_iter();
        volumes
            .map(|volume| Volume {
                name: volume.name,
                driver: volume.driver,
                options: volume.options.unwrap_or_default(),
                labels: volume.labels.unwrap_or_default(),
                mountpoint: Some(volume.mountpoint).filter(|path| !path.is_empty()),
            })
            .collect()
    }
}

/// The body that makes a volume.
pub(super) fn body(name: &str, spec: &VolumeSpec, marks: &Texts) -> Value {
    let mut labels = spec.labels.clone();
    labels.extend(marks.iter().map(|(name, value)| (name.clone(), value.clone())));
    json!({ "Name": name, "Driver": spec.wanted_driver(), "DriverOpts": spec.options, "Labels": labels })
}

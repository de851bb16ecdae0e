//! A volume of a release.

use manifest_types::kinds::engine::Texts;

use crate::source::balena::{
    compose::texts::{filled, texts},
    document::{Fields, Node, Read},
};

/// What a release says of a volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    /// What keeps it.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: Texts,
    /// Labels.
    pub labels: Texts,
}

/// Reads one.
pub fn volume(node: &Node<'_>) -> Read<Volume> {
    if node.value().is_null() {
        return Ok(Volume::default());
    }
    let mut fields = Fields::of(node)?;
    let volume = Volume {
        driver: fields.take("driver", filled),
        options: fields.take("driver_opts", texts).unwrap_or_default(),
        labels: fields.take("labels", texts).unwrap_or_default(),
    };
    external(&mut fields);
    fields.end(Some(volume))
}

/// What somebody else is to have made: on a device, nobody does.
pub(super) fn external(fields: &mut Fields<'_>) {
    fields.ignore(&["name"], "is ignored: its name is made of the fleet's and of its own");
    let is_external = fields.take("external", |node| Ok(node.value().as_bool() != Some(false)));
    if is_external == Some(true) {
        fields.wrong("external", "is not known here: nobody else makes it on a device");
    }
}

//! What an engine writes, as it is read. Everything may be missing: an engine that leaves a field out, or writes null or something else in its
//! place, has not said anything.

use std::collections::BTreeMap;

use manifest_types::kinds::engine::Texts;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// One line of the list of containers, which may be long: what is not needed is not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireListed {
    pub(super) id: String,
    pub(super) names: Option<Vec<String>>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: String,
    pub(super) state: String,
    pub(super) status: String,
    pub(super) labels: Option<Texts>,
    pub(super) network_settings: Option<WireNetworks>,
}

/// The networks that a listed container is in.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct WireNetworks {
    pub(super) networks: Option<BTreeMap<String, IgnoredAny>>,
}

/// A part of what an engine wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a>(pub(super) &'a Value);

impl<'a> Told<'a> {
    /// The part under `key`.
    pub(super) fn at(self, key: &str) -> Self {
        Self(self.0.get(key).unwrap_or(&Value::Null))
    }

    /// The part under `key`, if there is something.
    pub(super) fn some(self, key: &str) -> Option<Self> {
        Some(self.at(key)).filter(|part| !part.0.is_null())
    }

    /// This, if it is a text.
    pub(super) fn as_text(self) -> &'a str {
        self.0.as_str().unwrap_or_default()
    }

    /// The text under `key`.
    pub(super) fn text(self, key: &str) -> &'a str {
        self.at(key).as_text()
    }

    /// The text under `key`, unless it is empty.
    pub(super) fn some_text(self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Whether `key` is true.
    pub(super) fn flag(self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or_default()
    }

    /// The whole number under `key`.
    pub(super) fn number(self, key: &str) -> i64 {
        self.0.get(key).and_then(Value::as_i64).unwrap_or_default()
    }

    /// The amount under `key`: what engines write below zero means that there is none.
    pub(super) fn amount(self, key: &str) -> u64 {
        u64::try_from(self.number(key)).unwrap_or_default()
    }

    /// The parts of the list under `key`.
    pub(super) fn list(self, key: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.0.get(key).and_then(Value::as_array).into_iter().flatten().map(Self)
    }

    /// The texts of the list under `key`.
    pub(super) fn words(self, key: &str) -> Vec<String> {
        self.list(key).map(|word| word.as_text().to_owned()).collect()
    }

    /// The parts under `key`, by their names.
    pub(super) fn entries(self, key: &str) -> impl Iterator<Item = (&'a str, Self)> + use<'a> {
        let entries = self.0.get(key).and_then(Value::as_object).into_iter().flatten();
        entries.map(|(name, part)| (name.as_str(), Self(part)))
    }

    /// The texts under `key`, by their names.
    pub(super) fn texts(self, key: &str) -> Texts {
        self.entries(key).map(|(name, text)| (name.to_owned(), text.as_text().to_owned())).collect()
    }
}

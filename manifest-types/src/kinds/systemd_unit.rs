//! `SystemdUnit`: a unit of systemd.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResourceSpec, is_default};
use crate::{
    claim::Claim,
    name::ResourceId,
    problem::{JsonPath, Problem},
    quantity::Span,
};

mod details;
mod directives;
mod name;
mod text;

pub use details::{LoadState, SystemdUnitDetails, UnitResult};
pub use name::{DropInName, UnitName, UnitNameError, UnitType};
pub use text::{UnitText, UnitTextError};

/// Where the units of the system are that an administrator has made.
pub const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// What a manifest wants of a unit of systemd. What it does not say is left as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({
    "name": "pump.service",
    "content": "[Service]\nExecStart=/usr/bin/pump\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n",
    "enabled": true,
    "state": "Active"
}))]
pub struct SystemdUnitSpec {
    /// Its name with its type, as systemd has it and not an alias: `pump.service`, `getty@tty1.service`.
    pub name: UnitName,
    /// Which systemd manages it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: Scope,
    /// The unit file as text, 256 KiB at most. Default: the unit is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<UnitText>,
    /// What is added to the unit file or overrides it, by the names of the files in the unit's `.d` directory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<DropInName, UnitText>,
    /// Whether it is started at boot, as its section `[Install]` says. Default: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether nobody can start it. Default: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<bool>,
    /// Whether it runs. Default: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ActiveState>,
    /// What is done with a unit that runs when its text, a drop-in or what it is to be restarted on has changed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_change: OnChange,
    /// How long starting it may take, as the agent waits for it. Default: 90s; 20m at most. The unit's own `TimeoutStartSec=` holds as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
}

/// Which systemd manages a unit.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// That of the system.
    #[default]
    System,
    /// That of the user as whom the agent runs.
    User,
}

/// Whether a unit is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActiveState {
    /// It runs; a unit that runs to its end and succeeds has done so.
    Active,
    /// It does not run.
    Inactive,
}

/// What is done with a unit that runs and has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnChange {
    /// It is restarted.
    #[default]
    Restart,
    /// It is told to read its configuration again. A unit that cannot is an error.
    Reload,
    /// It is told to read its configuration again, and restarted where it cannot.
    ReloadOrRestart,
    /// Nothing: the change counts from its next start on.
    None,
}

impl SystemdUnitSpec {
    /// How long starting it may take.
    pub fn wanted_start_timeout(&self) -> std::time::Duration {
        self.start_timeout.map_or(std::time::Duration::from_secs(90), |span| span.0)
    }

    /// The files of a unit below the directory of its scope's units, each with what is to be in it.
    pub fn files(&self) -> impl Iterator<Item = (String, &UnitText)> {
        let own = self.content.iter().map(|text| (self.name.to_string(), text));
        own.chain(self.drop_ins.iter().map(|(name, text)| (format!("{}.d/{name}", self.name), text)))
    }
}

const LONGEST_START: Span = Span(std::time::Duration::from_secs(20 * 60));

impl ResourceSpec for SystemdUnitSpec {
    const KIND: &'static str = "SystemdUnit";

    fn problems(&self) -> Vec<Problem> {
        let at = |key: &str, message: String| Problem::new(JsonPath::root().key(key), message);
        let of = self.name.unit_type();
        let mut problems = Vec::new();
        if matches!(of, UnitType::Device | UnitType::Scope) {
            let made = [("content", self.content.is_some()), ("enabled", self.enabled.is_some())];
            let made = made.into_iter().filter(|(_, is_there)| *is_there);
            problems.extend(
                made.map(|(key, _)| at(key, format!("does not go with a {of}: nobody writes its file"))),
            );
        }
        if of == UnitType::Device && self.state.is_some() {
            problems.push(at("state", "does not go with a device: the kernel decides".into()));
        }
        if self.name.is_template() && self.state.is_some() {
            let message = "does not go with a template: name an instance, such as ";
            problems.push(at("state", format!("{message}{}", self.name.example_instance())));
        }
        if self.masked == Some(true) {
            let against = [
                ("content", self.content.is_some()),
                ("enabled", self.enabled == Some(true)),
                ("state", self.state == Some(ActiveState::Active)),
            ];
            let against = against.into_iter().filter(|(_, is_there)| *is_there);
            problems.extend(against.map(|(key, _)| at(key, "does not go with `masked: true`".into())));
        }
        if let Some(timeout) = self.start_timeout {
            if self.state != Some(ActiveState::Active) {
                problems.push(at("startTimeout", "goes with `state: Active` only".into()));
            } else if timeout > LONGEST_START || timeout.0.is_zero() {
                problems
                    .push(at("startTimeout", format!("must be more than 0s and {LONGEST_START} at most")));
            }
        }
        let text = |path: JsonPath, text: &UnitText, is_whole: bool| {
            let found = directives::check(text.as_str(), of, is_whole);
            found
                .into_iter()
                .map(move |mistake| Problem::new(path.clone(), mistake.to_string()))
                .collect::<Vec<_>>()
        };
        problems.extend(
            self.content.iter().flat_map(|content| text(JsonPath::root().key("content"), content, true)),
        );
        problems.extend(self.drop_ins.iter().flat_map(|(name, content)| {
            text(JsonPath::root().key("dropIns").key(name.to_string()), content, false)
        }));
        problems
    }

    fn claims(&self, _: &ResourceId) -> Vec<Claim> {
        if self.scope == Scope::User {
            return vec![Claim::Unit(format!("user/{}", self.name))];
        }
        let masks = (self.masked == Some(true)).then(|| self.name.to_string());
        let files = self.files().map(|(file, _)| file).chain(masks);
        let paths = files.map(|file| Claim::Path(format!("{SYSTEM_UNITS}/{file}")));
        [Claim::Unit(self.name.to_string())].into_iter().chain(paths).collect()
    }

    fn contradicts(&self, other: &Self) -> bool {
        let other_text = self.content.is_some() && other.content.is_some() && self.content != other.content;
        let other_drop_in = self
            .drop_ins
            .iter()
            .any(|(name, text)| other.drop_ins.get(name).is_some_and(|other| other != text));
        self.name == other.name && self.scope == other.scope && (other_text || other_drop_in)
    }
}

#[cfg(test)]
mod tests;

//! What a status shows of a unit.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::TimestampText;

/// What a status shows of a unit of systemd. The words are systemd's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemdUnitDetails {
    /// Its name.
    pub name: String,
    /// Whether systemd could read it.
    pub load_state: LoadState,
    /// How it fares: `active`, `inactive`, `activating`, `failed`, …
    pub active_state: String,
    /// The same in the words of its type: `running`, `waiting`, `auto-restart`, …
    pub sub_state: String,
    /// Whether it is started at boot: `enabled`, `disabled`, `static`, `masked`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_file_state: Option<String>,
    /// Since when it is in its active state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TimestampText>")]
    pub since: Option<Timestamp>,
    /// The process id of a service's main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_pid: Option<u32>,
    /// How often systemd has restarted it by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// How its last run ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_result: Option<UnitResult>,
    /// The memory that it uses, in bytes, where systemd counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Drop-ins that others have put beside ours and that count after them, so that they may override them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_drop_ins: Vec<String>,
}

/// Whether systemd could read a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadState {
    /// It is read.
    Loaded,
    /// There is no such unit.
    #[default]
    NotFound,
    /// It has a setting that makes systemd refuse it.
    BadSetting,
    /// It could not be read.
    Error,
    /// It is masked: nobody can start it.
    Masked,
    /// It is being read, or in a state that this reader does not know.
    #[serde(other)]
    Other,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnitResult {
    /// systemd's word: `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, `start-limit-hit`, …
    pub result: String,
    /// The exit code of the main process, or the number of the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

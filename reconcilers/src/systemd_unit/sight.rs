//! What was seen of a unit, and how it is compared with its spec. Pure.

use std::collections::BTreeMap;

use manifest_types::{
    digest::Digest,
    kinds::{
        ResourceDetails,
        file::FileType,
        systemd_unit::{ActiveState, LoadState, SystemdUnitDetails, SystemdUnitSpec, UnitResult},
    },
};
use serde_json::Value;

use super::{
    fare::{self, Record},
    init::{Active, Unit},
    text::{Mark, UnitFile, files},
};
use crate::{
    file::sight::{Found, Sight as FileSight},
    observation::{Difference, Health, Observed},
};

/// What was seen of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Whose it is to be.
    pub mark: Mark,
    /// Where the units of its scope are.
    pub directory: String,
    /// What is at the paths that it has to do with.
    pub files: BTreeMap<String, FileSight>,
    /// Which of these are ours, and wanted no more.
    pub former: Vec<String>,
    /// What systemd tells of it.
    pub unit: Unit,
    /// Whether it is to run.
    pub is_to_run: bool,
    /// What is remembered of it.
    pub kept: Kept,
    /// How it has fared so far.
    pub record: Record,
}

/// What is remembered of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Whether there was one before us; `None`: we have not changed anything yet.
    pub was_there: Option<bool>,
    /// Whether it must be restarted for what was changed.
    pub is_restart_due: bool,
}

impl Sight {
    /// Where a wanted file is not as wanted.
    pub(super) fn unlike(&self, file: &UnitFile) -> Vec<Difference> {
        let Some(seen) = self.files.get(file.spec.path.as_str()) else { return Vec::new() };
        // What others wrote just so needs no line of ours.
        if let (Found::File { digest, marks, .. }, Some(bare)) = (&seen.found, file.bare)
            && *digest == bare
            && file.spec.wanted_mode().is_some_and(|mode| mode.0 == marks.mode)
        {
            return Vec::new();
        }
        let differences = seen.drift(&file.spec).into_iter();
        let told = differences.map(|difference| {
            let path = match difference.path.as_str() {
                "content" | "type" | "target" | "path" => file.field.clone(),
                other => format!("{}.{other}", file.field),
            };
            Difference { path, in_place: false, ..difference }
        });
        told.collect()
    }

    /// The state, where it is not the wanted one.
    fn state(&self, wanted: &SystemdUnitSpec) -> Option<Difference> {
        let active = self.unit.active;
        let is_on_its_way = active.is_up() || active == Active::Deactivating;
        match wanted.state? {
            ActiveState::Active if is_on_its_way || self.unit.is_complete() || self.record.rests => None,
            ActiveState::Active => Some(Difference::in_place("state", "Active", active.word())),
            ActiveState::Inactive if active.is_up() => Some(Difference {
                in_place: false,
                ..Difference::in_place("state", "Inactive", active.word())
            }),
            ActiveState::Inactive => None,
        }
    }
}

/// Whether it is started at boot, in systemd's words; `None` where that cannot be said.
pub(super) fn is_enabled(file_state: &str) -> Option<bool> {
    match file_state {
        "enabled" | "enabled-runtime" | "alias" => Some(true),
        "disabled" | "static" | "indirect" | "linked" | "linked-runtime" | "masked" | "masked-runtime"
        | "generated" | "transient" => Some(false),
        _ => None,
    }
}

/// Whether it is enabled, or is not, as wanted. One without a file cannot be enabled.
fn is_as(file_state: &str, wanted: bool) -> bool {
    is_enabled(file_state) == Some(wanted) || (file_state.is_empty() && !wanted)
}

pub(super) fn is_masked(unit: &Unit) -> bool {
    unit.load_state == LoadState::Masked || unit.file_state.starts_with("masked")
}

impl Observed<SystemdUnitSpec> for Sight {
    fn is_present(&self) -> bool {
        self.unit.is_there() || self.files.values().any(|file| file.found != Found::Absent)
    }

    fn drift(&self, wanted: &SystemdUnitSpec) -> Vec<Difference> {
        let unit = &self.unit;
        let mut differences = Vec::new();
        let brings_it = wanted.content.is_some() || wanted.masked == Some(true);
        if !unit.is_there() && !brings_it {
            differences.push(Difference::in_place("unit", wanted.name.as_str(), Value::Null));
        }
        let files = files(&self.directory, &self.mark, wanted);
        differences.extend(files.iter().flat_map(|file| self.unlike(file)));
        let former = self.former.iter();
        differences.extend(former.map(|path| Difference::in_place("former", Value::Null, path.as_str())));
        if unit.needs_reload && differences.is_empty() {
            differences.push(Difference::in_place("needDaemonReload", false, true));
        }
        if let Some(masked) = wanted.masked.filter(|masked| *masked != is_masked(unit)) {
            differences.push(Difference::in_place("masked", masked, !masked));
        }
        if let Some(enabled) = wanted.enabled.filter(|enabled| !is_as(&unit.file_state, *enabled)) {
            differences.push(Difference::in_place("enabled", enabled, unit.file_state.as_str()));
        }
        differences.extend(self.state(wanted));
        if self.kept.is_restart_due {
            differences
                .push(Difference { in_place: false, ..Difference::in_place("restarted", true, false) });
        }
        differences
    }

    fn health(&self) -> Health {
        fare::health(&self.unit, self.is_to_run, self.record)
    }

    fn details(&self) -> Option<ResourceDetails> {
        if !self.is_present() {
            return None;
        }
        let unit = &self.unit;
        let service = unit.service.as_ref();
        let own: Vec<_> = files_of(&self.files).collect();
        let first = unit.drop_ins.iter().position(|path| own.contains(&path.as_str()));
        let overridden = match (own.is_empty(), first) {
            (true, _) => unit.drop_ins.len(),
            (false, first) => first.map_or(0, |first| first + 1),
        };
        let foreign = unit.drop_ins.iter().skip(overridden).filter(|path| !own.contains(&path.as_str()));
        let has_ended = !unit.result.is_empty() && unit.has_run;
        Some(ResourceDetails::SystemdUnit(SystemdUnitDetails {
            name: unit.id.clone(),
            load_state: unit.load_state.clone(),
            active_state: unit.active.word().to_owned(),
            sub_state: unit.sub.clone(),
            unit_file_state: Some(unit.file_state.clone()).filter(|state| !state.is_empty()),
            since: unit.since,
            main_pid: service.and_then(|service| service.main_pid),
            restarts: service.map(|service| service.restarts),
            last_result: has_ended.then(|| UnitResult {
                result: unit.result.clone(),
                exit_code: service.and_then(|service| service.exit_status),
            }),
            memory: unit.memory.map(in_steps),
            foreign_drop_ins: foreign.cloned().collect(),
        }))
    }

    fn is_running(&self) -> bool {
        self.unit.active.is_up()
    }

    fn is_marked_ours(&self) -> bool {
        self.kept.was_there == Some(false)
    }

    fn keeps_original(&self) -> bool {
        self.kept.was_there == Some(true)
    }
}

/// The files among what was looked at that are there.
fn files_of(files: &BTreeMap<String, FileSight>) -> impl Iterator<Item = &str> {
    let there = files.iter().filter(|(_, seen)| seen.found.file_type() == Some(FileType::File));
    there.map(|(path, _)| path.as_str())
}

/// An amount of memory in steps of a quarter of its power of two: what changes all the time is not told all the time.
fn in_steps(bytes: u64) -> u64 {
    let step = (bytes.checked_ilog2().map_or(1, |bits| 1u64 << bits) / 4).max(1);
    bytes.div_ceil(step).saturating_mul(step)
}

/// The digest of what is in a file.
pub(super) fn digest_of(found: &Found) -> Option<Digest> {
    match found {
        Found::File { digest, .. } => Some(*digest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_file_is_not_enabled() {
        for (state, wanted, is) in [
            ("", false, true),
            ("", true, false),
            ("enabled", true, true),
            ("disabled", true, false),
            ("bad", false, false),
        ] {
            assert_eq!(is_as(state, wanted), is, "{state} {wanted}");
        }
    }
}

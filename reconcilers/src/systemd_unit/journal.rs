//! What a unit has printed last, and what systemd has said of it: read from the files of its journal, without a program in between.

use std::path::{Path, PathBuf};

use manifest_types::kinds::systemd_unit::Scope;
use sdjournal::{Journal, JournalConfig};

use crate::tail::{TOLD, tail};

/// Where journals are: that which lasts, and that of this boot.
const PLACES: [&str; 2] = ["var/log/journal", "run/log/journal"];
/// So many lines at most.
const LINES: usize = 20;
/// So many files are looked through at most.
const FILES: usize = 256;

/// The directories of a device's journals.
pub(super) fn places(root: &Path) -> Vec<PathBuf> {
    PLACES.iter().map(|place| root.join(place)).collect()
}

/// The last lines of a unit. Where there is no journal, there are none.
pub(super) fn last_lines(places: &[PathBuf], scope: Scope, unit: &str) -> String {
    let config = JournalConfig { max_journal_files: FILES, ..JournalConfig::default() };
    let Ok(journal) = Journal::open_dirs_with_config(places, config) else { return String::new() };
    let mut query = journal.query();
    match scope {
        Scope::System => query.match_unit(unit),
        Scope::User => query.or_group(|fields| {
            for field in ["_SYSTEMD_USER_UNIT", "USER_UNIT"] {
                fields.match_exact(field, unit.as_bytes());
            }
        }),
    };
    query.seek_tail().limit(LINES);
    let Ok(entries) = query.iter() else { return String::new() };
    // A line that cannot be read does not keep the others from being told.
    let lines = entries.filter_map(|entry| Some(entry.ok()?.get("MESSAGE")?.to_owned()));
    let mut lines: Vec<_> = lines.collect();
    lines.reverse();
    tail(&lines.join(&b'\n'), TOLD)
}

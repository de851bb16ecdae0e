//! What is to be done with a path, from what is there, what is kept and what was applied. Pure.

use manifest_types::kinds::file::{FileSpec, FileType};

use super::{drift::has_content_of, originals::Record, sight::Found};
use crate::observation::{Before, Difference};

/// How what is there becomes what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is already.
    Leave,
    /// By setting mode and owners.
    Mend,
    /// By something new in its place.
    Replace,
}

/// How to bring about a spec from which what is there differs so.
pub(super) fn way(differences: &[Difference]) -> Way {
    let is_mark = |difference: &Difference| matches!(difference.path.as_str(), "mode" | "owner" | "group");
    match differences {
        [] => Way::Leave,
        all if all.iter().all(is_mark) => Way::Mend,
        _ => Way::Replace,
    }
}

/// What must be saved of what is there before it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: it is ours, or is kept already.
    Nothing,
    /// It was there before us: it is put back in the end.
    Original,
    /// There is nothing, though the ledger says otherwise: that is noted, so that what is made here is known as ours.
    Absence,
    /// Somebody put it there since: a copy is enough.
    Displaced,
}

/// What is known of a path that is about to change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    /// What was there before us: what the ledger says, unless the originals know better.
    pub(super) before: Before,
    /// What is there now.
    pub(super) found: &'a Found,
    /// What is kept.
    pub(super) kept: Option<&'a Record>,
    /// The specs of this path that were applied or begun: what is there may be any one's doing.
    pub(super) ours: &'a [FileSpec],
    /// Whether a spec of this path was applied whole before.
    pub(super) was_applied: bool,
    /// What is to be there.
    pub(super) wanted: &'a FileSpec,
}

/// What must be saved before that change.
pub(super) fn keep(change: &Change<'_>) -> Keep {
    let Change { before, found, kept, ours, was_applied, wanted } = *change;
    let is_ours = ours.iter().any(|spec| has_content_of(found, spec));
    let is_kept = kept.is_some_and(|record| record.has_content_of(found));
    let is_foreign = found.has_content() && !is_ours && !is_kept && !has_content_of(found, wanted);
    // There was nothing, or it is kept, and yet this is neither: it came between that look and this one, unless we wrote here
    // before and it is a mere drift. What a directory takes the place of is no drift that anybody can make by editing.
    let may_be_first = !was_applied && ours.iter().all(|spec| spec == wanted);
    match (before, kept, found) {
        // What was adopted is made again as it was: it is left in the end, as it would have been.
        (Before::Same, None, Found::Absent) if ours.iter().all(|spec| spec == wanted) => Keep::Nothing,
        (Before::Same | Before::Original, None, Found::Absent) => Keep::Absence,
        // Nothing is kept, so we have not written here yet: this was there before us, whatever it looks like.
        (Before::Same | Before::Original, None, _) => Keep::Original,
        _ if is_foreign && (may_be_first || wanted.file_type == FileType::Directory) => Keep::Displaced,
        _ => Keep::Nothing,
    }
}

/// How a path is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// It is as it should be, or was never ours to touch.
    Leave,
    /// What is there is left because it is not what we put there.
    LeaveForeign,
    /// It is removed; a directory only if nothing is in it.
    Remove {
        /// Whether it is somebody else's by now, so that a copy is set aside.
        is_foreign: bool,
    },
    /// The original takes its place.
    PutBack {
        /// Whether it is somebody else's by now, so that a copy is set aside.
        is_foreign: bool,
    },
}

/// How to give back a path where `found` is now.
pub(super) fn undo(before: Before, found: &Found, kept: Option<&Record>, ours: &[FileSpec]) -> Undo {
    let is_ours = ours.iter().any(|spec| has_content_of(found, spec));
    let may_be_our_directory =
        ours.is_empty() || ours.iter().any(|spec| spec.file_type == FileType::Directory);
    let is_foreign = found.has_content() && !is_ours;
    match (kept, before) {
        (Some(record), _) if record.is(found) => Undo::Leave,
        (Some(record), _) => Undo::PutBack { is_foreign: is_foreign && !record.has_content_of(found) },
        // Nothing is kept because nothing was changed, or because it was given back already and the ledger did not hear of it.
        (None, Before::Same | Before::Original) => Undo::Leave,
        (None, Before::Absent) => match found {
            Found::Absent => Undo::Leave,
            Found::File { .. } | Found::Symlink { .. } => Undo::Remove { is_foreign },
            Found::Directory(_) if may_be_our_directory => Undo::Remove { is_foreign: false },
            Found::Directory(_) | Found::Special(_) => Undo::LeaveForeign,
        },
    }
}

#[cfg(test)]
mod tests;

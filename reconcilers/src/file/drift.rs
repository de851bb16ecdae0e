//! Where what was seen differs from what is wanted. Pure.

use std::os::unix::ffi::OsStrExt;

use manifest_types::kinds::file::{FileSpec, FileType, Mode, Principal};
use serde_json::Value;

use super::sight::{Found, Marks, Names};
use crate::observation::Difference;

/// Every field in which `found` differs from `wanted`; `names` says what the users and groups that it names are here.
pub(super) fn drift(found: &Found, names: Names, wanted: &FileSpec) -> Vec<Difference> {
    let (Some(got), Some(marks)) = (found.file_type(), found.marks()) else {
        return vec![type_differs(found, wanted)];
    };
    if got != wanted.file_type {
        return vec![type_differs(found, wanted)];
    }
    let mode = mode_differs(marks, wanted);
    let owner = owner_differs("owner", wanted.owner.as_ref(), names.uid, ("uid", marks.uid));
    let group = owner_differs("group", wanted.group.as_ref(), names.gid, ("gid", marks.gid));
    [content_differs(found, wanted), mode, owner, group].into_iter().flatten().collect()
}

/// Those of some differences that can be mended where modes and owners are kept, or are not.
pub(super) fn that_can_be_mended(mut differences: Vec<Difference>, keeps_marks: bool) -> Vec<Difference> {
    differences
        .retain(|difference| keeps_marks || !["mode", "owner", "group"].contains(&difference.path.as_str()));
    differences
}

/// Whether what is there has the type and the content or target of `spec`, whatever its mode and owners.
pub(super) fn has_content_of(found: &Found, spec: &FileSpec) -> bool {
    found.file_type() == Some(spec.file_type) && content_differs(found, spec).is_none()
}

fn type_differs(found: &Found, wanted: &FileSpec) -> Difference {
    let got = match found {
        Found::Absent => Value::Null,
        Found::Special(_) => "Special".into(),
        _ => found.file_type().map(|got| got.to_string()).into(),
    };
    Difference::in_place("type", wanted.file_type.to_string(), got)
}

fn content_differs(found: &Found, wanted: &FileSpec) -> Option<Difference> {
    match found {
        Found::File { digest, .. } => {
            let want = wanted.content.as_ref()?.digest();
            (want != *digest).then(|| Difference::in_place("content", want.to_string(), digest.to_string()))
        }
        Found::Symlink { target, .. } => {
            let want = wanted.target.as_deref()?;
            let differs = want.as_bytes() != target.as_bytes();
            differs.then(|| Difference::in_place("target", want, target.to_string_lossy()))
        }
        _ => None,
    }
}

fn mode_differs(marks: Marks, wanted: &FileSpec) -> Option<Difference> {
    let want = if wanted.file_type == FileType::Symlink { None } else { wanted.wanted_mode() }?;
    let got = Mode(marks.mode);
    (want != got).then(|| Difference::in_place("mode", want.to_string(), got.to_string()))
}

fn owner_differs(
    path: &str,
    want: Option<&Principal>,
    named: Option<u32>,
    (space, got): (&str, u32),
) -> Option<Difference> {
    let want = want?;
    let id = match want {
        Principal::Id(id) => Some(*id),
        Principal::Name(_) => named,
    };
    (id != Some(got)).then(|| Difference::in_place(path, want.to_string(), format!("{space} {got}")))
}

#[cfg(test)]
mod tests;

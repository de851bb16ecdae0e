//! What users and groups are called on this device, each asked for once a call.

use std::collections::HashMap;

use manifest_types::kinds::file::{FileSpec, Principal};
use nix::unistd::{Group, User};

use super::{error::FileError, sight::Names};

/// The names that were looked up so far.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: HashMap<String, Option<u32>>,
    groups: HashMap<String, Option<u32>>,
}

impl Accounts {
    /// The numbers of those that are given by name; `None` for what is not here.
    pub(super) fn names(&mut self, owner: Option<&Principal>, group: Option<&Principal>) -> Names {
        Names { uid: number(&mut self.users, owner, user), gid: number(&mut self.groups, group, self::group) }
    }
}

fn number(
    known: &mut HashMap<String, Option<u32>>,
    principal: Option<&Principal>,
    ask: fn(&str) -> Option<u32>,
) -> Option<u32> {
    let Some(Principal::Name(name)) = principal else { return None };
    if let Some(number) = known.get(name) {
        return *number;
    }
    let number = ask(name);
    known.insert(name.clone(), number);
    number
}

fn user(name: &str) -> Option<u32> {
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

fn group(name: &str) -> Option<u32> {
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// The numbers of the owner and the group that `spec` wants; a name that is not here is an error.
pub(super) fn wanted_owners(spec: &FileSpec, names: Names) -> Result<(Option<u32>, Option<u32>), FileError> {
    let resolve = |principal: &Option<Principal>, named: Option<u32>| match principal {
        None => Ok(None),
        Some(Principal::Id(id)) => Ok(Some(*id)),
        Some(Principal::Name(name)) => named.map(Some).ok_or_else(|| name.clone()),
    };
    let uid = resolve(&spec.owner, names.uid).map_err(FileError::UnknownOwner)?;
    let gid = resolve(&spec.group, names.gid).map_err(FileError::UnknownGroup)?;
    Ok((uid, gid))
}

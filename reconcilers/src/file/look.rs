//! Looking: every directory is walked to once, what is in it is asked for by name.

use std::{collections::HashMap, sync::Arc};

use manifest_types::{
    kinds::file::{AbsolutePath, FileSpec, Principal},
    name::ResourceId,
};
use nix::{
    fcntl::readlinkat,
    sys::stat::{FileStat, SFlag},
};

use super::{
    World,
    accounts::Accounts,
    cache::{Digests, file_clock},
    error::FileError,
    sight::{Found, Marks, Sight},
    walk::{Directory, Reached, Walker, kind},
};
use crate::{error::ObserveError, reconciler::Target};

/// What is replaced between the look at its name and the look into it is looked at again, but not forever.
const MOST_LOOKS: usize = 3;

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Aim {
    id: ResourceId,
    path: AbsolutePath,
    owner: Option<Principal>,
    group: Option<Principal>,
    /// Whether it is held and wanted, so that hints on it are worth having.
    is_watched: bool,
}

impl Aim {
    /// What a target asks for; `None` if it asks for nothing.
    pub(super) fn of(target: &Target<'_, FileSpec>) -> Option<Self> {
        let spec = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec))?;
        let wanted = target.wanted;
        Some(Self {
            id: target.id.clone(),
            path: spec.path.clone(),
            owner: wanted.and_then(|spec| spec.owner.clone()),
            group: wanted.and_then(|spec| spec.group.clone()),
            is_watched: wanted.is_some() && target.owned.is_some(),
        })
    }

    fn sight(self, world: &World, accounts: &mut Accounts, (found, keeps_marks): (Found, bool)) -> Sight {
        Sight {
            keeps_marks,
            names: accounts.names(self.owner.as_ref(), self.group.as_ref()),
            is_original_kept: world.originals.holds(&self.path),
            path: self.path,
            found,
        }
    }
}

/// What was seen of one place, and what the kernel said of it.
pub(super) struct Seen {
    /// What is there.
    pub(super) found: Found,
    /// The kernel's word on it, if there is anything.
    pub(super) stat: Option<FileStat>,
}

/// What was seen of each target.
pub(crate) type Looked = Vec<(ResourceId, Result<Sight, ObserveError>)>;

/// Looks at all of `aims`. An error of one is its own; an error of all is one of the root or of the originals.
pub(super) fn look_at_all(world: &World, aims: Vec<Aim>) -> Result<Looked, FileError> {
    let walker = world.tree.enter()?;
    world.originals.load()?;
    let mut directories: HashMap<String, Vec<Aim>> = HashMap::new();
    let count = aims.len();
    for aim in aims {
        match directories.get_mut(aim.path.parent()) {
            Some(aims) => aims.push(aim),
            None => drop(directories.insert(aim.path.parent().to_owned(), vec![aim])),
        }
    }
    let mut accounts = Accounts::default();
    let mut sights = Vec::with_capacity(count);
    let now = file_clock();
    for aims in directories.into_values() {
        let Some(first) = aims.first() else { continue };
        let reached = walker.reach(&first.path);
        if let Ok(reached) = &reached {
            let watched = aims.iter().filter(|aim| aim.is_watched);
            world.watches.follow(reached, watched.map(|aim| (&aim.path, &aim.id)));
        }
        let keeps_marks = match &reached {
            Ok(Reached::Whole(directory)) => directory.keeps_marks(),
            _ => true,
        };
        for aim in aims {
            let found = match &reached {
                Err(error) => Err(error.clone()),
                Ok(Reached::Missing(_)) => Ok((Found::Absent, true)),
                Ok(Reached::Whole(directory)) => look(&walker, directory, &aim.path, &world.digests, now)
                    .map(|seen| (seen.found, keeps_marks)),
            };
            let id = aim.id.clone();
            let sight = found.map(|found| aim.sight(world, &mut accounts, found));
            sights.push((id, sight.map_err(ObserveError::from)));
        }
    }
    Ok(sights)
}

/// Looks once more at what a step has changed, by the way that leads there now.
pub(super) fn look_again(world: &World, walker: &Walker, aim: Aim) -> Result<Sight, FileError> {
    world.originals.load()?;
    let reached = walker.reach(&aim.path)?;
    world.watches.follow(&reached, [(&aim.path, &aim.id)].into_iter());
    let found = match &reached {
        Reached::Missing(_) => (Found::Absent, true),
        Reached::Whole(directory) => {
            let seen = look(walker, directory, &aim.path, &world.digests, file_clock())?;
            (seen.found, directory.keeps_marks())
        }
    };
    Ok(aim.sight(world, &mut Accounts::default(), found))
}

/// Looks at one path, in the directory that holds it; `now` is a time before that.
pub(super) fn look(
    walker: &Walker,
    directory: &Arc<Directory>,
    path: &AbsolutePath,
    digests: &Digests,
    now: i64,
) -> Result<Seen, FileError> {
    for _ in 1..MOST_LOOKS {
        match look_once(walker, directory, path, digests, now) {
            Err(FileError::ChangedMeanwhile(_)) => {}
            seen => return seen,
        }
    }
    look_once(walker, directory, path, digests, now)
}

fn look_once(
    walker: &Walker,
    directory: &Arc<Directory>,
    path: &AbsolutePath,
    digests: &Digests,
    now: i64,
) -> Result<Seen, FileError> {
    walker.may_name(directory, path)?;
    let Some(stat) = directory.stat_of(path.name().as_ref())? else {
        return Ok(Seen { found: Found::Absent, stat: None });
    };
    walker.may_be(directory, path, &stat)?;
    match kind(&stat) {
        SFlag::S_IFREG => {
            let (stat, digest) = digests.digest(directory, path, stat, now)?;
            // What was opened may be another file than what was seen.
            walker.may_be(directory, path, &stat)?;
            let size = stat.st_size.try_into().unwrap_or_default();
            Ok(Seen { found: Found::File { size, digest, marks: marks(&stat) }, stat: Some(stat) })
        }
        SFlag::S_IFDIR => Ok(Seen { found: Found::Directory(marks(&stat)), stat: Some(stat) }),
        SFlag::S_IFLNK => {
            let target = readlinkat(directory, path.name());
            let target = target.map_err(FileError::system("read the link", path.as_str()))?;
            Ok(Seen { found: Found::Symlink { target, marks: marks(&stat) }, stat: Some(stat) })
        }
        _ => Ok(Seen { found: Found::Special(marks(&stat)), stat: Some(stat) }),
    }
}

fn marks(stat: &FileStat) -> Marks {
    Marks { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
}

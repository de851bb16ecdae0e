//! The way to a file's directory: by descriptors, one component at a time, never out of the root and never through a link that others can change.

use std::{
    collections::VecDeque,
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use manifest_types::kinds::file::AbsolutePath;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, readlinkat},
    sys::{
        stat::{FileStat, Mode, SFlag, fstat, fstatat},
        statfs::{FsType, MSDOS_SUPER_MAGIC, fstatfs},
    },
    unistd::geteuid,
};

use self::guard::Guard;
use super::{
    error::FileError,
    permit::Permit,
    sites::Sites,
    stage::{Attributes, Staged},
};

mod guard;

/// As many links as the kernel itself follows.
const MOST_LINKS: usize = 40;
const GROUP_OR_OTHER_WRITE: u32 = 0o022;

/// The tree that files are held in.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    protected: Vec<PathBuf>,
}

/// A directory that was reached, held by a descriptor that only names it.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    stat: FileStat,
    /// As in the manifest, with the links on the way resolved.
    pub(super) path: PathBuf,
}

/// File systems without modes and owners: FAT and exFAT (statfs(2), and the kernel's `magic.h`).
const WITHOUT_MARKS: [FsType; 2] = [MSDOS_SUPER_MAGIC, FsType(0x2011_bab0)];

/// A name in a directory that was reached.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The directory.
    pub(super) directory: Arc<Directory>,
    /// The name in it.
    pub(super) name: OsString,
}

/// How far the way to a directory goes.
#[derive(Debug)]
pub(super) enum Reached {
    /// All the way.
    Whole(Arc<Directory>),
    /// Up to a directory in which this name is missing.
    Missing(Place),
}

/// A root that was entered, with what is protected in it looked up.
pub(super) struct Walker {
    root: Arc<Directory>,
    guard: Guard,
}

impl Tree {
    /// The tree below `root`, in which `protected` is out of reach.
    pub(super) fn new(root: PathBuf, protected: Vec<PathBuf>) -> Self {
        Self { root, protected }
    }

    /// Opens the root; every walk of one call starts there.
    pub(super) fn enter(&self) -> Result<Walker, FileError> {
        let opened = open(&self.root, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let fd = opened.map_err(FileError::system("open the root", &self.root))?;
        let stat = fstat(&fd).map_err(FileError::system("look at", &self.root))?;
        let root = Arc::new(Directory { fd, stat, path: "/".into() });
        Ok(Walker { root, guard: Guard::of(&self.protected) })
    }
}

impl Walker {
    /// Goes to the directory that holds `path`.
    pub(super) fn reach(&self, path: &AbsolutePath) -> Result<Reached, FileError> {
        self.walk(path, |_| Ok(false))
    }

    /// Goes to the directory that holds `path`, making what is missing on the way.
    pub(super) fn make(
        &self,
        path: &AbsolutePath,
        permit: &Permit,
        sites: &Sites,
    ) -> Result<Reached, FileError> {
        self.walk(path, |missing| {
            let _at_work = sites.enter(missing);
            // Another step may have made it while this one waited.
            if missing.stat()?.is_none() {
                Staged::directory(missing, Attributes::mode(0o755))?.place(permit)?;
            }
            Ok(true)
        })
    }

    /// An error if the agent's own is, or will be, at `path`, which this directory holds.
    pub(super) fn may_name(&self, directory: &Directory, path: &AbsolutePath) -> Result<(), FileError> {
        if self.guard.names(&directory.stat, path.name().as_ref()) {
            return Err(FileError::Protected(directory.path.join(path.name())));
        }
        Ok(())
    }

    /// An error if what was seen at `path` is the agent's own.
    pub(super) fn may_be(
        &self,
        directory: &Directory,
        path: &AbsolutePath,
        stat: &FileStat,
    ) -> Result<(), FileError> {
        if self.guard.is(stat) {
            return Err(FileError::Protected(directory.path.join(path.name())));
        }
        Ok(())
    }

    fn walk(
        &self,
        path: &AbsolutePath,
        mut make: impl FnMut(&Place) -> Result<bool, FileError>,
    ) -> Result<Reached, FileError> {
        let mut todo: VecDeque<OsString> = path.parts().map(OsString::from).collect();
        todo.pop_back();
        let mut way = vec![Arc::clone(&self.root)];
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            let here = Arc::clone(way.last().expect("the root is never left"));
            if part == ".." {
                way.truncate((way.len() - 1).max(1));
                continue;
            }
            let place = Place { directory: here, name: part };
            if self.guard.names(&place.directory.stat, &place.name) {
                return Err(FileError::Protected(place.path()));
            }
            let (fd, stat) = match place.open_path() {
                Err(FileError::System { errno: Errno::ENOENT, .. }) => {
                    if !make(&place)? {
                        return Ok(Reached::Missing(place));
                    }
                    place.open_path()?
                }
                opened => opened?,
            };
            match kind(&stat) {
                SFlag::S_IFDIR if self.guard.is(&stat) => return Err(FileError::Protected(place.path())),
                SFlag::S_IFDIR => way.push(Arc::new(Directory { fd, stat, path: place.path() })),
                SFlag::S_IFLNK => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(FileError::TooManyLinks(path.as_str().into()));
                    }
                    if !is_trusted(&place.directory.stat, &stat) {
                        return Err(FileError::UnsafePath(place.path()));
                    }
                    let target =
                        readlinkat(&fd, "").map_err(FileError::system("read the link", place.path()))?;
                    if target.as_bytes().starts_with(b"/") {
                        way.truncate(1);
                    }
                    splice(&mut todo, target);
                }
                _ => return Err(FileError::NotADirectory(place.path())),
            }
        }
        let directory = way.pop().expect("the root is never left");
        guard::supported(&directory)?;
        Ok(Reached::Whole(directory))
    }
}

/// Puts a link's target before what is still to go.
fn splice(todo: &mut VecDeque<OsString>, target: OsString) {
    let target = target.into_vec();
    let parts = target.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && part != b".");
    for part in parts.rev() {
        todo.push_front(OsStr::from_bytes(part).to_owned());
    }
}

/// Whether nobody but root and us could have made this link, or can change it.
fn is_trusted(holder: &FileStat, link: &FileStat) -> bool {
    let ours = |uid| uid == 0 || uid == geteuid().as_raw();
    holder.st_mode & GROUP_OR_OTHER_WRITE == 0 && ours(holder.st_uid) && ours(link.st_uid)
}

/// What kind of thing it is.
pub(super) fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

impl Directory {
    /// Opens a directory of the agent itself, which is trusted whole.
    pub(super) fn own(path: &Path) -> Result<Arc<Self>, FileError> {
        let opened = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let fd = opened.map_err(FileError::system("open", path))?;
        let stat = fstat(&fd).map_err(FileError::system("look at", path))?;
        Ok(Arc::new(Self { fd, stat, path: path.to_owned() }))
    }

    /// Whether what is in it can have modes and owners of its own: FAT and exFAT give all the same, and say yes to any other.
    pub(super) fn keeps_marks(&self) -> bool {
        fstatfs(&self.fd).map_or(true, |system| !WITHOUT_MARKS.contains(&system.filesystem_type()))
    }

    /// What tells it from every other directory on this device.
    pub(super) fn id(&self) -> (u64, u64) {
        guard::id(&self.stat)
    }

    /// What is at this name; `None` if nothing is.
    pub(super) fn stat_of(&self, name: &OsStr) -> Result<Option<FileStat>, FileError> {
        match fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(FileError::system("look at", self.path.join(name))(errno)),
        }
    }

    /// A descriptor of it that can be synced.
    pub(super) fn open(&self) -> Result<OwnedFd, FileError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.fd, ".", flags, Mode::empty()).map_err(FileError::system("open", &self.path))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Place {
    /// Where it is, for people.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path.join(&self.name)
    }

    /// What is there; `None` if nothing is.
    pub(super) fn stat(&self) -> Result<Option<FileStat>, FileError> {
        self.directory.stat_of(&self.name)
    }

    /// Opens what is there to read it, unless it is a link. Never waits for a pipe's other end.
    pub(super) fn open_read(&self) -> Result<OwnedFd, FileError> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let opened = openat(&self.directory, self.name.as_os_str(), flags, Mode::empty());
        opened.map_err(|errno| match errno {
            Errno::ENOENT | Errno::ELOOP => FileError::ChangedMeanwhile(self.path()),
            errno => FileError::system("open", self.path())(errno),
        })
    }

    fn open_path(&self) -> Result<(OwnedFd, FileStat), FileError> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let opened = openat(&self.directory, self.name.as_os_str(), flags, Mode::empty());
        let fd = opened.map_err(FileError::system("open", self.path()))?;
        let stat = fstat(&fd).map_err(FileError::system("look at", self.path()))?;
        Ok((fd, stat))
    }
}

#[cfg(test)]
mod tests;

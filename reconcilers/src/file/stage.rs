//! Writing without half-done states: made beside under a name that is ours, synced, renamed, the directory synced.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::{fd::AsFd, unix::ffi::OsStrExt},
};

use manifest_types::digest::Digest;
use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{FileStat, Mode, fstat, mkdirat},
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, fsync, symlinkat, unlinkat},
};

use super::{error::FileError, permit::Permit, walk::Place};

/// What can be set of a thing; `None` leaves it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub(super) mode: Option<u32>,
    /// The owning user.
    pub(super) uid: Option<u32>,
    /// The owning group.
    pub(super) gid: Option<u32>,
}

impl Attributes {
    /// A mode, and the owner of whatever makes it.
    pub(super) fn mode(mode: u32) -> Self {
        Self { mode: Some(mode), ..Self::default() }
    }

    fn owners(self, now: &FileStat) -> Option<(Option<Uid>, Option<Gid>)> {
        let uid = self.uid.filter(|uid| *uid != now.st_uid).map(Uid::from_raw);
        let gid = self.gid.filter(|gid| *gid != now.st_gid).map(Gid::from_raw);
        (uid.is_some() || gid.is_some()).then_some((uid, gid))
    }

    /// Sets them by descriptor and syncs. The owner goes first: changing it clears the set-user-ID bit.
    pub(super) fn set(self, fd: impl AsFd, place: &Place) -> Result<(), FileError> {
        let now = fstat(&fd).map_err(FileError::system("look at", place.path()))?;
        if let Some((uid, gid)) = self.owners(&now) {
            fchown(&fd, uid, gid).map_err(FileError::system("set the owner of", place.path()))?;
        }
        if let Some(mode) = self.mode {
            let set = nix::sys::stat::fchmod(&fd, Mode::from_bits_truncate(mode));
            set.map_err(FileError::system("set the mode of", place.path()))?;
        }
        fsync(&fd).map_err(FileError::system("sync", place.path()))
    }

    /// Sets the owner of a link itself.
    pub(super) fn set_on_link(self, place: &Place, name: &OsStr, now: &FileStat) -> Result<(), FileError> {
        let Some((uid, gid)) = self.owners(now) else { return Ok(()) };
        let set = fchownat(&place.directory, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
        set.map_err(FileError::system("set the owner of", place.path()))
    }
}

/// Something made beside the place where it is to be. Dropped without being placed, it is removed.
#[derive(Debug)]
pub(super) struct Staged {
    place: Place,
    temporary: OsString,
    is_directory: bool,
    is_placed: bool,
}

impl Staged {
    /// An empty file, readable by its owner only, and the way to write it. To be sealed before it is placed.
    pub(super) fn file(place: &Place) -> Result<(Self, File), FileError> {
        let staged = Self::beside(place, false)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Mode::from_bits_truncate(0o600);
        let made = openat(&place.directory, staged.temporary.as_os_str(), flags, private);
        let fd = made.map_err(FileError::system("make a file beside", place.path()))?;
        Ok((staged, fd.into()))
    }

    /// A directory.
    pub(super) fn directory(place: &Place, attributes: Attributes) -> Result<Self, FileError> {
        let staged = Self::beside(place, true)?;
        let private = Mode::from_bits_truncate(0o700);
        mkdirat(&place.directory, staged.temporary.as_os_str(), private)
            .map_err(FileError::system("make a directory beside", place.path()))?;
        let temporary = Place { directory: place.directory.clone(), name: staged.temporary.clone() };
        attributes.set(temporary.open_read()?, place)?;
        Ok(staged)
    }

    /// A symbolic link.
    pub(super) fn symlink(place: &Place, target: &OsStr, attributes: Attributes) -> Result<Self, FileError> {
        let staged = Self::beside(place, false)?;
        symlinkat(target, &place.directory, staged.temporary.as_os_str())
            .map_err(FileError::system("make a link beside", place.path()))?;
        let temporary = Place { directory: place.directory.clone(), name: staged.temporary.clone() };
        let made = temporary.stat()?.ok_or_else(|| FileError::ChangedMeanwhile(place.path()))?;
        attributes.set_on_link(place, &staged.temporary, &made)?;
        Ok(staged)
    }

    fn beside(place: &Place, is_directory: bool) -> Result<Self, FileError> {
        clean(place)?;
        let temporary = temporary_name(&place.name);
        Ok(Self { place: place.clone(), temporary, is_directory, is_placed: false })
    }

    /// Where it is to be.
    pub(super) fn destination(&self) -> &Place {
        &self.place
    }

    /// Puts it where it is to be, unless the step is to stop.
    pub(super) fn place(self, permit: &Permit) -> Result<(), FileError> {
        permit.check()?;
        self.place_now()
    }

    /// Puts it where it is to be: what is half done is worse than what is done too late.
    pub(super) fn place_now(mut self) -> Result<(), FileError> {
        let directory = &self.place.directory;
        let to_sync = directory.open()?;
        renameat(directory, self.temporary.as_os_str(), directory, self.place.name.as_os_str())
            .map_err(FileError::system("replace", self.place.path()))?;
        self.is_placed = true;
        fsync(to_sync).map_err(FileError::system("sync", &directory.path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_placed {
            let flag = if self.is_directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
            // What cannot be removed now is removed by the next step: its name is known.
            let _ = unlinkat(&self.place.directory, self.temporary.as_os_str(), flag);
        }
    }
}

/// Removes what a killed agent left beside.
pub(super) fn clean(place: &Place) -> Result<(), FileError> {
    let temporary = Place { directory: place.directory.clone(), name: temporary_name(&place.name) };
    // Asked first: a read-only file system refuses to remove even what is not there.
    if temporary.stat()?.is_none() {
        return Ok(());
    }
    let name = temporary.name.as_os_str();
    match unlinkat(&place.directory, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(&place.directory, name, UnlinkatFlags::RemoveDir),
        removed => removed,
    }
    .map_err(FileError::system("remove", temporary.path()))
}

/// Removes what is at `place`: a file, a link or an empty directory. The directory is synced.
pub(super) fn remove(place: &Place, is_directory: bool) -> Result<(), FileError> {
    let to_sync = place.directory.open()?;
    let flag = if is_directory { UnlinkatFlags::RemoveDir } else { UnlinkatFlags::NoRemoveDir };
    match unlinkat(&place.directory, place.name.as_os_str(), flag) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => return Err(FileError::DirectoryInTheWay(place.path())),
        Err(Errno::EISDIR | Errno::ENOTDIR) => return Err(FileError::ChangedMeanwhile(place.path())),
        Err(errno) => return Err(FileError::system("remove", place.path())(errno)),
    }
    fsync(to_sync).map_err(FileError::system("sync", &place.directory.path))
}

/// The same for the same name, so that what is left over is found again.
pub(super) fn temporary_name(name: &OsStr) -> OsString {
    let digest = Digest::of(name.as_bytes()).to_string();
    let (_, hex) = digest.split_once(':').expect("a digest is written with its algorithm");
    format!(".holdfast.{}.tmp", &hex[..16]).into()
}

/// Whether a name is one of those.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(".holdfast.") && name.ends_with(".tmp")
}

//! The digests of files that were read, so that an unchanged file is not read again.
//!
//! A file that changes twice within one tick of the file system's clock looks unchanged. So a digest is only trusted if the file was
//! last changed more than a tick before it was read, as git does; a time in the future is never older than that.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use manifest_types::{digest::Digest, kinds::file::AbsolutePath};
use nix::{
    sys::stat::{FileStat, SFlag, fstat},
    time::{ClockId, clock_gettime},
};
use sha2::{Digest as _, Sha256};

use super::{
    error::FileError,
    walk::{Directory, Place, kind},
};

/// Read at once: enough to be fast, little enough for a small device.
pub(super) const BUFFER: usize = 64 * 1024;
/// More than any kernel's tick (4 ms at 250 Hz, 10 ms at 100 Hz).
const TICK: i64 = 20_000_000;
/// What file systems that keep no fractions of a second round to at most.
const COARSE_TICK: i64 = 2_000_000_000;
/// More than a manifest can name; beyond it all are forgotten, which costs a read each.
const MOST: usize = 20_000;

/// The digests of files that were read, by path.
#[derive(Default)]
pub(super) struct Digests(Mutex<HashMap<AbsolutePath, (Signature, Digest)>>);

/// What tells, without reading it, whether a file is the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    mode: u32,
    size: i64,
    modified: i64,
    changed: i64,
}

impl Signature {
    /// Of what was seen.
    pub(super) fn of(stat: &FileStat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            size: stat.st_size,
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether both are of one file, whatever happened to it in between.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether a change after `now` could leave the signature as it is.
    fn is_racy(&self, now: i64) -> bool {
        [self.modified, self.changed].into_iter().any(|time| {
            let tick = if time % 1_000_000_000 == 0 { COARSE_TICK } else { TICK };
            now.saturating_sub(time) <= tick
        })
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    // Beyond the year 2262 all times are one, and in the future.
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The time, in nanoseconds since the epoch, from the clock that the kernel stamps files with.
pub(super) fn file_clock() -> i64 {
    // Without a clock nothing is older than now, so that everything is read.
    let now = clock_gettime(ClockId::CLOCK_REALTIME_COARSE);
    now.map_or(i64::MIN, |now| nanoseconds(now.tv_sec(), now.tv_nsec()))
}

impl Digests {
    /// The digest of the file that `directory` holds at `path`, of which `stat` was seen at `now` or later; and what was seen of it
    /// when it was read.
    pub(super) fn digest(
        &self,
        directory: &Arc<Directory>,
        path: &AbsolutePath,
        stat: FileStat,
        now: i64,
    ) -> Result<(FileStat, Digest), FileError> {
        let signature = Signature::of(&stat);
        if !signature.is_racy(now)
            && let Some((known, digest)) = self.entries().get(path)
            && *known == signature
        {
            return Ok((stat, *digest));
        }
        let place = Place { directory: Arc::clone(directory), name: path.name().into() };
        let mut file: File = place.open_read()?.into();
        let start = file_clock();
        let stat = fstat(&file).map_err(FileError::system("look at", place.path()))?;
        if kind(&stat) != SFlag::S_IFREG {
            return Err(FileError::ChangedMeanwhile(place.path()));
        }
        let digest = digest_of(&mut file).map_err(FileError::io("read", place.path()))?;
        let after = fstat(&file).map_err(FileError::system("look at", place.path()))?;
        let signature = Signature::of(&stat);
        let mut entries = self.entries();
        if signature == Signature::of(&after) && !signature.is_racy(start) {
            if entries.len() >= MOST {
                entries.clear();
            }
            entries.insert(path.clone(), (signature, digest));
        } else {
            entries.remove(path);
        }
        Ok((after, digest))
    }

    /// Forgets a path that is no longer held.
    pub(super) fn forget(&self, path: &AbsolutePath) {
        self.entries().remove(path);
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<AbsolutePath, (Signature, Digest)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(file: &mut File) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    each_piece(file, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

/// Reads to the end, in pieces.
pub(super) fn each_piece(file: &mut File, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;

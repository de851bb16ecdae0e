//! What can go wrong with a file, each with its stable reason.

use std::{path::PathBuf, sync::Arc};

use manifest_types::digest::Digest;
use nix::errno::Errno;

use crate::{
    error::{Cancelled, Fault},
    host::{BlobError, BlobSource},
};

/// Why a file cannot be seen, brought about or taken away. Paths are as in the manifest, below the root.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FileError {
    /// A symbolic link on the way that somebody else could change.
    #[error("cannot go through the link {}: it, or the directory that holds it, can be changed by others", .0.display())]
    UnsafePath(PathBuf),
    /// More symbolic links on the way than the kernel itself would follow.
    #[error("too many links on the way to {}", .0.display())]
    TooManyLinks(PathBuf),
    /// The directory that is to hold it is missing.
    #[error("the directory {} is missing, and createParents is not set", .0.display())]
    ParentMissing(PathBuf),
    /// Something on the way is no directory.
    #[error("{} is on the way and not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It belongs to the agent itself.
    #[error("{} belongs to the agent itself", .0.display())]
    Protected(PathBuf),
    /// A file system that the kernel makes up.
    #[error("{} is on {file_system}, where files cannot be held", directory.display())]
    UnsupportedFileSystem {
        /// The directory.
        directory: PathBuf,
        /// The file system's name.
        file_system: &'static str,
    },
    /// A directory that is not empty is where something else is to be.
    #[error("{} is a directory with something in it; it is not removed", .0.display())]
    DirectoryInTheWay(PathBuf),
    /// A device, a socket or a pipe is where something else is to be.
    #[error("{} is a device, a socket or a pipe; it is not removed", .0.display())]
    SpecialFileInTheWay(PathBuf),
    /// It changed while it was worked on.
    #[error("{} changed while it was worked on", .0.display())]
    ChangedMeanwhile(PathBuf),
    /// There is no such user.
    #[error("there is no user {0:?} on this device")]
    UnknownOwner(String),
    /// There is no such group.
    #[error("there is no group {0:?} on this device")]
    UnknownGroup(String),
    /// What was fetched is not what the manifest wants.
    #[error("{from} gave {got}, not {want}")]
    DigestMismatch {
        /// Where it came from.
        from: BlobSource,
        /// What the manifest wants.
        want: Digest,
        /// What came.
        got: Digest,
    },
    /// The content cannot be fetched.
    #[error("cannot fetch the content")]
    ContentUnavailable(#[source] Arc<BlobError>),
    /// What is kept of the original does not read.
    #[error("the kept original {} does not read: {why}", record.display())]
    OriginalDamaged {
        /// Its record, on the real file system.
        record: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The step was told to stop.
    #[error("cancelled")]
    Cancelled,
    /// The system refused.
    #[error("cannot {doing} {}", path.display())]
    System {
        /// What was being done, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
}

impl FileError {
    /// Turns the kernel's answer to an attempt at `doing` something with `path` into an error.
    pub(super) fn system(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        let path = path.into();
        move |errno| Self::System { doing, path, errno }
    }

    /// The same for an error of the standard library.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let as_system = Self::system(doing, path);
        move |error| as_system(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}

impl From<Cancelled> for FileError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl Fault for FileError {
    fn reason(&self) -> &'static str {
        match self {
            Self::UnsafePath(_) | Self::TooManyLinks(_) => "UnsafePath",
            Self::ParentMissing(_) => "ParentMissing",
            Self::NotADirectory(_) => "NotADirectory",
            Self::Protected(_) => "Protected",
            Self::UnsupportedFileSystem { .. } => "UnsupportedFileSystem",
            Self::DirectoryInTheWay(_) => "DirectoryInTheWay",
            Self::SpecialFileInTheWay(_) => "SpecialFileInTheWay",
            Self::ChangedMeanwhile(_) => "ChangedMeanwhile",
            Self::UnknownOwner(_) => "UnknownOwner",
            Self::UnknownGroup(_) => "UnknownGroup",
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::ContentUnavailable(_) => "ContentUnavailable",
            Self::OriginalDamaged { .. } => "OriginalDamaged",
            Self::Cancelled => "Cancelled",
            Self::System { errno: Errno::ENOSPC | Errno::EDQUOT, .. } => "InsufficientStorage",
            Self::System { errno: Errno::EROFS, .. } => "ReadOnlyFileSystem",
            Self::System { errno: Errno::EACCES | Errno::EPERM, .. } => "PermissionDenied",
            Self::System { .. } => "Io",
        }
    }

    // What hangs on the device may get better by itself; whose path it is does not.
    fn can_retry(&self) -> bool {
        !matches!(self, Self::Protected(_) | Self::UnsupportedFileSystem { .. })
    }
}

//! What was seen at a path, in terms that can be held against a spec.

use std::ffi::OsString;

use manifest_types::{
    digest::Digest,
    kinds::{
        ResourceDetails,
        file::{AbsolutePath, FileDetails, FileSpec, FileType},
    },
};

use super::drift::{drift, that_can_be_mended};
use crate::observation::{Difference, Health, Observed};

/// What was seen at a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sight {
    /// Where.
    pub path: AbsolutePath,
    /// What is there.
    pub found: Found,
    /// Whether what is there can have a mode and owners of its own.
    pub keeps_marks: bool,
    /// What the names in the wanted spec mean on this device.
    pub names: Names,
    /// Whether an original is kept for this path.
    pub is_original_kept: bool,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The digest of its content.
        digest: Digest,
        /// Its mode and owners.
        marks: Marks,
    },
    /// A directory.
    Directory(Marks),
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: OsString,
        /// Its owners.
        marks: Marks,
    },
    /// A device, a socket or a pipe.
    Special(Marks),
}

/// Mode and owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Marks {
    /// Permission bits with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// The owning user.
    pub uid: u32,
    /// The owning group.
    pub gid: u32,
}

/// The numbers of the user and the group that a spec names; `None` if it names none or there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Names {
    /// The owning user's.
    pub uid: Option<u32>,
    /// The owning group's.
    pub gid: Option<u32>,
}

impl Found {
    /// Mode and owners, if anything is there.
    pub fn marks(&self) -> Option<Marks> {
        match self {
            Self::Absent => None,
            Self::File { marks, .. }
            | Self::Directory(marks)
            | Self::Symlink { marks, .. }
            | Self::Special(marks) => Some(*marks),
        }
    }

    /// Its type, if a spec can want it.
    pub fn file_type(&self) -> Option<FileType> {
        match self {
            Self::Absent | Self::Special(_) => None,
            Self::File { .. } => Some(FileType::File),
            Self::Directory(_) => Some(FileType::Directory),
            Self::Symlink { .. } => Some(FileType::Symlink),
        }
    }

    /// Whether it is a file or a link: what can be kept whole.
    pub fn has_content(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Symlink { .. })
    }
}

impl Observed<FileSpec> for Sight {
    fn is_present(&self) -> bool {
        self.found != Found::Absent
    }

    fn drift(&self, wanted: &FileSpec) -> Vec<Difference> {
        that_can_be_mended(drift(&self.found, self.names, wanted), self.keeps_marks)
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn details(&self) -> Option<ResourceDetails> {
        let file_type = self.found.file_type()?;
        let (size, sha256) = match &self.found {
            Found::File { size, digest, .. } => (Some(*size), Some(*digest)),
            _ => (None, None),
        };
        let path = self.path.as_str().to_owned();
        Some(ResourceDetails::File(FileDetails { path, file_type, size, sha256 }))
    }

    fn is_marked_ours(&self) -> bool {
        self.is_original_kept
    }

    fn keeps_original(&self) -> bool {
        self.is_original_kept
    }
}

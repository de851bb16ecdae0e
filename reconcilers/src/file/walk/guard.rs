//! What no file may be: the agent's own, and what the kernel makes up.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use nix::sys::{
    stat::{FileStat, SFlag, lstat, stat},
    statfs::{self, FsType, fstatfs},
};

use super::{super::error::FileError, Directory, kind};

/// What is protected, by what it is and by where it stands, so that no other way leads to it.
pub(super) struct Guard {
    things: Vec<(u64, u64)>,
    entries: Vec<((u64, u64), OsString)>,
}

impl Guard {
    /// Looks up what is there of `protected` now; what is not there yet is known by its directory and name.
    pub(super) fn of(protected: &[PathBuf]) -> Self {
        let mut directories: BTreeMap<&Path, Option<FileStat>> = BTreeMap::new();
        let mut guard = Self { things: Vec::new(), entries: Vec::new() };
        for path in protected {
            let entry = lstat(path).ok();
            let leads_to = entry.filter(is_link).and_then(|_| stat(path).ok());
            guard.things.extend([entry, leads_to].into_iter().flatten().map(|stat| id(&stat)));
            let parent = path.parent().unwrap_or(Path::new("/"));
            let directory = directories.entry(parent).or_insert_with(|| stat(parent).ok());
            if let (Some(directory), Some(name)) = (directory, path.file_name()) {
                guard.entries.push((id(directory), name.to_owned()));
            }
        }
        guard
    }

    /// Whether this is one of them.
    pub(super) fn is(&self, stat: &FileStat) -> bool {
        self.things.contains(&id(stat))
    }

    /// Whether one of them is, or will be, at `name` in this directory.
    pub(super) fn names(&self, directory: &FileStat, name: &OsStr) -> bool {
        self.entries.iter().any(|(parent, entry)| *parent == id(directory) && entry == name)
    }
}

fn is_link(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFLNK
}

/// What tells one thing from every other on this device.
pub(super) fn id(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// File systems whose files are calls into the kernel, by the magic numbers of statfs(2).
const MADE_UP: &[(FsType, &str)] = &[
    (statfs::PROC_SUPER_MAGIC, "procfs"),
    (statfs::SYSFS_MAGIC, "sysfs"),
    (statfs::CGROUP_SUPER_MAGIC, "cgroup"),
    (statfs::CGROUP2_SUPER_MAGIC, "cgroup2"),
    (statfs::DEBUGFS_MAGIC, "debugfs"),
    (statfs::TRACEFS_MAGIC, "tracefs"),
    (statfs::SECURITYFS_MAGIC, "securityfs"),
    (statfs::SELINUX_MAGIC, "selinuxfs"),
    (statfs::SMACK_MAGIC, "smackfs"),
    (statfs::BPF_FS_MAGIC, "bpf"),
    (statfs::DEVPTS_SUPER_MAGIC, "devpts"),
    (statfs::NSFS_MAGIC, "nsfs"),
    (FsType(0x6265_6570), "configfs"),
    (FsType(0x6165_676c), "pstore"),
    (FsType(0x4249_4e4d), "binfmt_misc"),
    (FsType(0x1980_0202), "mqueue"),
    (FsType(0xde5e_81e4_u32 as _), "efivarfs"),
];

/// An error if `directory` is on a file system that cannot hold files.
pub(super) fn supported(directory: &Directory) -> Result<(), FileError> {
    let found =
        fstatfs(directory).map_err(FileError::system("look at the file system of", &directory.path))?;
    let made_up = MADE_UP.iter().find(|(magic, _)| *magic == found.filesystem_type());
    match made_up {
        None => Ok(()),
        Some((_, file_system)) => {
            Err(FileError::UnsupportedFileSystem { directory: directory.path.clone(), file_system })
        }
    }
}

//! A device of which one directory lies on a file system of its own, in memory, which fills up or cannot be written.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::running::{Running, Start};

/// Mounts a file system at `$1` with the options `$2`, and becomes what the other arguments say.
const SCRIPT: &str = "mount -t tmpfs -o \"$2\" tmpfs \"$1\" && shift 2 && exec \"$@\"";

/// A process with a file system of its own, which ends with it.
#[derive(Debug)]
pub struct SmallDisk {
    /// The process.
    pub running: Running,
    place: PathBuf,
}

impl SmallDisk {
    /// Starts `start` with a file system at `place`, which is there already; `options` as mount takes them.
    pub fn start(start: Start, place: &Path, options: &str) -> Self {
        let name = if geteuid().is_root() { "-m" } else { "-mr" };
        let arguments = [name, "--propagation", "private", "sh", "-c", SCRIPT, "sh"].map(Into::into);
        let arguments = arguments.into_iter().chain([place.as_os_str().to_owned(), options.into()]);
        Self { running: start.by("unshare", arguments).start(), place: place.to_owned() }
    }

    /// Where the rest of the machine sees a path of that file system.
    pub fn path(&self, below: &str) -> PathBuf {
        let seen_by = Path::new("/proc").join(self.running.pid().to_string()).join("root");
        let place = self.place.strip_prefix("/").expect("it is absolute");
        seen_by.join(place).join(below.trim_start_matches('/'))
    }

    /// Writes a file until nothing more can be written; without it there is room again.
    pub fn fill(&self) -> PathBuf {
        let path = self.path("fill");
        let mut file = File::create(&path).expect("an empty file has room");
        for size in [64 * 1024, 4096, 1] {
            loop {
                match file.write_all(&vec![b'f'; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => panic!("cannot fill {}: {error}", path.display()),
                }
            }
        }
        path
    }

    /// What a file there holds.
    pub fn read(&self, below: &str) -> Option<String> {
        fs::read_to_string(self.path(below)).ok()
    }
}

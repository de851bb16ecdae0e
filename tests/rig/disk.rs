//! A device of which one directory lies on a file system of its own, which fills up, cannot be written, or hangs.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use nix::unistd::geteuid;
use tempfile::NamedTempFile;

use crate::running::{Running, Start};

/// Mounts `$1`, of type `$2`, with the options `$3`, at `$4`, and becomes what the other arguments say.
const SCRIPT: &str = r#"mount -t "$2" -o "$3" "$1" "$4" && shift 4 && exec "$@""#;
/// How long a tool may take that only asks something of the kernel.
const TOOL: Duration = Duration::from_secs(30);

/// A process with a file system of its own, which ends with it.
#[derive(Debug)]
pub struct SmallDisk {
    /// The process.
    pub running: Running,
    place: PathBuf,
}

impl SmallDisk {
    /// Starts `start` with a file system in memory at `place`, which is there already; `options` as mount takes them.
    pub fn start(start: Start, place: &Path, options: &str) -> Self {
        Self::mounted(start, place, ["tmpfs", "tmpfs", options].map(OsStr::new))
    }

    fn mounted(start: Start, place: &Path, mount: [&OsStr; 3]) -> Self {
        let name = if geteuid().is_root() { "-m" } else { "-mr" };
        let arguments = [name, "--propagation", "private", "sh", "-c", SCRIPT, "sh"].map(OsStr::new);
        let arguments = arguments.into_iter().chain(mount).chain([place.as_os_str()]);
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

/// A process of which one directory lies on a disk that hangs when it is told to: whoever writes there waits until it goes on.
#[derive(Debug)]
pub struct HangingDisk {
    /// The process and its disk.
    pub disk: SmallDisk,
    hangs: bool,
    /// Its root, held open: the way by its process ends with that.
    root: Option<File>,
    _image: NamedTempFile,
}

impl HangingDisk {
    /// Starts `start` with a disk of 16 MiB at `place`, which is there already.
    pub async fn start(start: Start, place: &Path) -> Self {
        assert!(geteuid().is_root(), "a disk that hangs is a mounted image, and only root can mount one");
        let image = NamedTempFile::new().expect("there is room for an image");
        image.as_file().set_len(16 * 1024 * 1024).expect("there is room for an image");
        // The owner and the mode of a mounted root are those of the image's.
        let options = ["-q", "-F", "-E", "root_owner=0:0"].map(OsStr::new);
        tool("mkfs.ext4", options.into_iter().chain([image.path().as_os_str()])).await;
        let mount = [image.path().as_os_str(), OsStr::new("ext4"), OsStr::new("loop")];
        let disk = SmallDisk::mounted(start, place, mount);
        Self { disk, hangs: false, root: None, _image: image }
    }

    /// From now on whoever writes there waits.
    pub async fn hang(&mut self) {
        self.root = Some(File::open(self.disk.path("")).expect("the disk is mounted"));
        self.hangs = true;
        tool("fsfreeze", [OsStr::new("--freeze"), self.root_path().as_os_str()]).await;
    }

    fn root_path(&self) -> PathBuf {
        let root = self.root.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        Path::new("/proc").join(process::id().to_string()).join("fd").join(root.to_string())
    }

    /// Who waited goes on.
    pub async fn go_on(&mut self) {
        tool("fsfreeze", [OsStr::new("--unfreeze"), self.root_path().as_os_str()]).await;
        self.hangs = false;
        self.root = None;
    }
}

impl Drop for HangingDisk {
    fn drop(&mut self) {
        if self.hangs {
            // A process that waits for a disk cannot even be killed.
            let path = self.root_path();
            let mut thaw = Start::new("fsfreeze", "fsfreeze").arg("--unfreeze").arg(path).start();
            thaw.finish();
        }
    }
}

async fn tool<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) {
    let mut running = Start::new(program, program).args(arguments).start();
    let ended = running.wait(TOOL).await;
    assert!(ended.success(), "{program} {ended}: {}", running.stderr());
}

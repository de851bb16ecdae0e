//! Looks at the device, and tries what can only be known by trying. It leaves nothing behind.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use nix::{
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        statfs::{TMPFS_MAGIC, statfs},
        statvfs::statvfs,
    },
    unistd::{AccessFlags, access, geteuid},
};

use super::{Check, judge};

/// Everything that needs the device itself.
pub(super) fn device(state_dir: &Path, root: &Path) -> Vec<Check> {
    let mut checks = vec![judge::state_dir(state_dir, try_state_dir(state_dir))];
    let there = nearest(state_dir);
    if let (Ok(system), Ok(numbers)) = (statfs(there), statvfs(there)) {
        #[expect(clippy::useless_conversion, reason = "the width of these numbers depends on the target")]
        let free = u64::from(numbers.blocks_available()).saturating_mul(u64::from(numbers.fragment_size()));
        checks.push(judge::space(system.filesystem_type() == TMPFS_MAGIC, free));
    }
    checks.push(judge::root(root, try_root(root)));
    checks.push(judge::rights(geteuid().is_root(), effective_capabilities()));
    checks.push(judge::inotify(max_user_watches(), try_watch(root)));
    checks
}

/// Whether it is there, having been written to as the ledger does; where it is not, that it can be made.
fn try_state_dir(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(_) => write_in(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            access(nearest(path), AccessFlags::W_OK | AccessFlags::X_OK)?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn write_in(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!("doctor-{}", ulid::Ulid::generate()));
    let mut file = File::create_new(&path)?;
    let written = file.write_all(b"doctor").and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written?;
    File::open(directory)?.sync_all()
}

fn try_root(root: &Path) -> io::Result<()> {
    if !fs::metadata(root)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(root, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

fn try_watch(root: &Path) -> io::Result<()> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(root, AddWatchFlags::IN_CREATE)?;
    Ok(())
}

fn max_user_watches() -> Option<u64> {
    fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The nearest directory above `path` that is there, `path` included.
fn nearest(path: &Path) -> &Path {
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or(Path::new("."))
}

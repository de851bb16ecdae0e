//! A file that changes within a tick of the clock is seen to have changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use nix::{
    errno::Errno,
    fcntl::AT_FDCWD,
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};
use tempfile::TempDir;

use super::*;

struct Bench {
    _temp: Option<TempDir>,
    directory: Arc<Directory>,
    path: AbsolutePath,
    digests: Digests,
}

impl Bench {
    fn new() -> Self {
        let temp = TempDir::new().unwrap();
        let mut bench = Self::at(temp.path());
        bench._temp = Some(temp);
        bench
    }

    fn at(path: &Path) -> Self {
        let directory = Directory::own(path).unwrap();
        Self { _temp: None, directory, path: "/it".parse().unwrap(), digests: Digests::default() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path.join("it")
    }

    fn digest(&self) -> Digest {
        let stat = self.directory.stat_of("it".as_ref()).unwrap().unwrap();
        self.digests.digest(&self.directory, &self.path, stat, file_clock()).unwrap().1
    }

    /// Whether the next look would not read.
    fn is_trusted(&self) -> bool {
        let stat = self.directory.stat_of("it".as_ref()).unwrap().unwrap();
        let signature = Signature::of(&stat);
        let entries = self.digests.entries();
        !signature.is_racy(file_clock())
            && entries.get(&self.path).is_some_and(|(known, _)| *known == signature)
    }

    /// Waits until a file written now is old enough to be trusted.
    fn settle(&self) {
        let stat = self.directory.stat_of("it".as_ref()).unwrap().unwrap();
        while Signature::of(&stat).is_racy(file_clock()) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_rewrite_of_the_same_size_within_a_tick_is_seen() {
    rewrite_and_look(&Bench::new());
}

/// Newer kernels stamp finely on most file systems, but not on ramfs.
#[test]
fn a_rewrite_of_the_same_size_within_a_tick_is_seen_on_a_coarse_clock() {
    let temp = TempDir::new().unwrap();
    let at = temp.path().join("mounted");
    fs::create_dir(&at).unwrap();
    match mount(Some("ramfs"), &at, Some("ramfs"), MsFlags::empty(), None::<&str>) {
        Ok(()) => {}
        Err(Errno::EPERM) => return,
        Err(error) => panic!("cannot mount a ramfs: {error}"),
    }
    let mounted = Mounted(at);
    rewrite_and_look(&Bench::at(&mounted.0));
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

fn rewrite_and_look(bench: &Bench) {
    for round in 0..500_u32 {
        for side in [0_u32, 1] {
            let text = format!("{round:04} {side}");
            fs::write(bench.file(), &text).unwrap();
            assert_eq!(bench.digest(), Digest::of(text.as_bytes()), "round {round}");
        }
    }
}

#[test]
fn an_unchanged_file_is_read_once_it_is_old_and_not_again() {
    let bench = Bench::new();
    fs::write(bench.file(), "text").unwrap();
    bench.digest();
    assert!(!bench.is_trusted(), "it is too young");
    bench.settle();
    bench.digest();
    assert!(bench.is_trusted());
    // What is remembered is what is told: nothing is read.
    let entry =
        (Signature::of(&bench.directory.stat_of("it".as_ref()).unwrap().unwrap()), Digest::of(b"remembered"));
    bench.digests.entries().insert(bench.path.clone(), entry);
    assert_eq!(bench.digest(), Digest::of(b"remembered"));
    bench.digests.forget(&bench.path);
    assert_eq!(bench.digest(), Digest::of(b"text"));
}

#[test]
fn a_change_of_anything_is_read() {
    let bench = Bench::new();
    fs::write(bench.file(), "text").unwrap();
    bench.settle();
    bench.digest();
    fs::write(bench.file(), "TEXT").unwrap();
    assert_eq!(bench.digest(), Digest::of(b"TEXT"));
    bench.settle();
    bench.digest();
    // The time of the content put back by hand: the time of the change tells.
    let modified =
        fs::metadata(bench.file()).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
    fs::write(bench.file(), "Text").unwrap();
    let time = TimeSpec::from_duration(modified);
    utimensat(AT_FDCWD, &bench.file(), &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    assert_eq!(bench.digest(), Digest::of(b"Text"));
}

#[test]
fn a_time_in_the_future_is_never_trusted() {
    let bench = Bench::new();
    fs::write(bench.file(), "text").unwrap();
    let future = TimeSpec::new(4_000_000_000, 1);
    utimensat(AT_FDCWD, &bench.file(), &future, &future, UtimensatFlags::NoFollowSymlink).unwrap();
    bench.digest();
    assert!(!bench.is_trusted());
}

#[test]
fn what_is_racy_hangs_on_the_clock() {
    let second = 1_000_000_000;
    let at = |modified, changed| Signature { device: 0, inode: 0, mode: 0, size: 0, modified, changed };
    let fine = at(10 * second + 1, 10 * second + 1);
    assert!(fine.is_racy(10 * second) && fine.is_racy(10 * second + 1 + TICK));
    assert!(!fine.is_racy(10 * second + 2 + TICK));
    assert!(fine.is_racy(0), "a clock that was set back");
    let coarse = at(10 * second, 10 * second);
    assert!(coarse.is_racy(12 * second) && !coarse.is_racy(12 * second + 1));
    assert!(at(i64::MAX, 1).is_racy(20 * second));
    assert!(fine.is_racy(i64::MIN), "without a clock");
}

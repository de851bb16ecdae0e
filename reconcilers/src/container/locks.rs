//! Files that forbid to disrupt a container: those of others are heeded, and while something is stopped, there are our own.
//!
//! A lock is a file or a directory. Those of the user 65534 are an agent's: ours, or what a kill has left of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt, stream, stream::BoxStream};
use manifest_types::{kinds::file::AbsolutePath, name::ResourceId};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;

use crate::reconciler::Hint;

/// Whose locks are an agent's.
const AGENT: u32 = 65_534;

/// The locks of a device.
#[derive(Debug)]
pub(super) struct Locks {
    inotify: Option<Arc<Inotify>>,
    followed: Arc<Mutex<Followed>>,
    taken: Arc<Mutex<BTreeMap<PathBuf, usize>>>,
}

/// Who is to be told when something happens to a name in a directory.
type Followed = BTreeMap<(WatchDescriptor, OsString), BTreeSet<ResourceId>>;

/// Locks that this agent has, given back when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Taken {
    paths: Vec<PathBuf>,
    all: Arc<Mutex<BTreeMap<PathBuf, usize>>>,
}

/// A lock that somebody else has, or that cannot be taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    Held(PathBuf),
    Failed(PathBuf, io::Error),
}

impl Locks {
    /// Nothing is followed yet. Where inotify cannot be had, a lock that is gone is noticed with the next look.
    pub(super) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        Self { inotify: inotify.ok().map(Arc::new), followed: Arc::default(), taken: Arc::default() }
    }

    /// The lock that somebody else has, if one of these is. From now on what happens to them is a hint on `id`.
    pub(super) async fn holder(&self, id: &ResourceId, paths: &[AbsolutePath]) -> Option<PathBuf> {
        if paths.is_empty() {
            return None;
        }
        self.follow(id, paths);
        let paths: Vec<_> = paths.iter().map(|path| PathBuf::from(path.as_str())).collect();
        let held =
            tokio::task::spawn_blocking(move || paths.into_iter().find(|path| is_anothers(path))).await;
        held.ok().flatten()
    }

    /// Takes all of these, or none.
    pub(super) async fn take(&self, paths: &[AbsolutePath]) -> Result<Taken, NotTaken> {
        let mut taken = Taken { paths: Vec::new(), all: Arc::clone(&self.taken) };
        if paths.is_empty() {
            return Ok(taken);
        }
        let paths: Vec<_> = paths.iter().map(|path| PathBuf::from(path.as_str())).collect();
        let work = move || {
            for path in paths {
                taken.add(path)?;
            }
            Ok(taken)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(taken) => taken,
            Err(error) => Err(NotTaken::Failed(PathBuf::new(), io::Error::other(error))),
        }
    }

    fn follow(&self, id: &ResourceId, paths: &[AbsolutePath]) {
        let Some(inotify) = &self.inotify else { return };
        let mask = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        for path in paths {
            // A directory that is not there has no locks; it comes with its container.
            let Ok(watch) = inotify.add_watch(path.parent(), mask) else { continue };
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            followed.entry((watch, path.name().into())).or_default().insert(id.clone());
        }
    }

    /// What happens to locks that are followed, as hints.
    pub(super) fn hints(&self) -> BoxStream<'static, Hint> {
        let (Some(inotify), followed) = (self.inotify.clone(), Arc::clone(&self.followed)) else {
            return stream::empty().boxed();
        };
        let start = (Some(Readable(inotify)), None, followed);
        let hints = stream::unfold(start, |(mut fresh, mut ready, followed)| async move {
            // Registered here because it needs the runtime that polls.
            if let Some(inotify) = fresh.take() {
                ready = register(inotify);
            }
            let hints = happened(ready.as_ref()?, &followed).await?;
            Some((stream::iter(hints), (fresh, ready, followed)))
        });
        hints.flatten().boxed()
    }
}

/// Whether a lock is there, and not an agent's.
fn is_anothers(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.uid() != AGENT)
}

impl Taken {
    fn add(&mut self, path: PathBuf) -> Result<(), NotTaken> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&path) {
            *count += 1;
            self.paths.push(path);
            return Ok(());
        }
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
        match made {
            Ok(mut file) => {
                let own = std::os::unix::fs::fchown(&file, Some(AGENT), Some(AGENT));
                let written = own.and_then(|()| file.write_all(b"holdfast\n"));
                if let Err(error) = written {
                    drop(fs::remove_file(&path));
                    return Err(NotTaken::Failed(path, error));
                }
            }
            // Nobody can have one where there is no place for it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if is_anothers(&path) {
                    return Err(NotTaken::Held(path));
                }
            }
            Err(error) => return Err(NotTaken::Failed(path, error)),
        }
        all.insert(path.clone(), 1);
        drop(all);
        self.paths.push(path);
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for path in &self.paths {
            let Some(count) = all.get_mut(path) else { continue };
            *count -= 1;
            if *count == 0 {
                all.remove(path);
                // What is left is known to be an agent's, and in nobody's way.
                if !is_anothers(path) {
                    drop(fs::remove_file(path));
                }
            }
        }
    }
}

struct Readable(Arc<Inotify>);

impl AsRawFd for Readable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; what is wrapped owns its descriptor and never changes it"
)]
fn register(inotify: Readable) -> Option<AsyncFd<Readable>> {
    AsyncFd::with_interest(inotify, tokio::io::Interest::READABLE).ok()
}

/// What has happened, as hints; `None` if inotify is broken.
async fn happened(inotify: &AsyncFd<Readable>, followed: &Mutex<Followed>) -> Option<Vec<Hint>> {
    loop {
        let mut ready = inotify.readable().await.ok()?;
        let events = match inotify.get_ref().0.read_events() {
            Ok(events) => events,
            Err(nix::errno::Errno::EAGAIN) => {
                ready.clear_ready();
                continue;
            }
            Err(nix::errno::Errno::EINTR) => continue,
            Err(_) => return None,
        };
        let mut followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hints = BTreeSet::new();
        for event in events {
            if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                hints.insert(Hint::Kind);
            }
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                followed.retain(|(watch, _), _| *watch != event.wd);
            }
            if let Some(name) = event.name {
                let ids = followed.get(&(event.wd, name));
                hints.extend(ids.into_iter().flatten().cloned().map(Hint::Resource));
            }
        }
        if !hints.is_empty() {
            return Some(hints.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn paths(folder: &Path, names: &[&str]) -> Vec<AbsolutePath> {
        names.iter().map(|name| folder.join(name).to_str().unwrap().parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn all_are_taken_or_none_and_those_of_others_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new();
        let id: ResourceId = "web".parse().unwrap();
        let all = paths(folder.path(), &["a", "b", "nowhere/c"]);
        assert_eq!(locks.holder(&id, &all).await, None);
        let taken = locks.take(&all).await.unwrap();
        let again = locks.take(&all[..1]).await.unwrap();
        assert!(folder.path().join("a").exists() && folder.path().join("b").exists());
        assert_eq!(locks.holder(&id, &all).await, None, "our own are none");
        drop(taken);
        assert!(folder.path().join("a").exists() && !folder.path().join("b").exists());
        drop(again);
        assert!(!folder.path().join("a").exists());
        // A directory is one, too.
        fs::create_dir(folder.path().join("b")).unwrap();
        assert_eq!(locks.holder(&id, &all).await, Some(folder.path().join("b")));
        assert!(matches!(locks.take(&all).await, Err(NotTaken::Held(path)) if path.ends_with("b")));
        assert!(!folder.path().join("a").exists(), "nothing of ours is left");
        assert!(folder.path().join("b").exists());
    }

    #[tokio::test]
    async fn what_a_kill_has_left_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let all = paths(folder.path(), &["a"]);
        let left = Locks::new().take(&all).await.unwrap();
        std::mem::forget(left);
        let locks = Locks::new();
        assert_eq!(locks.holder(&"web".parse().unwrap(), &all).await, None);
        drop(locks.take(&all).await.unwrap());
        assert!(!folder.path().join("a").exists());
    }

    #[tokio::test]
    async fn a_lock_that_comes_or_goes_is_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::new();
        let id: ResourceId = "web".parse().unwrap();
        locks.holder(&id, &paths(folder.path(), &["a"])).await;
        let mut hints = locks.hints();
        fs::write(folder.path().join("other"), "").unwrap();
        for change in [|path: &Path| fs::write(path, ""), |path: &Path| fs::remove_file(path)] {
            change(&folder.path().join("a")).unwrap();
            let hint = tokio::time::timeout(Duration::from_secs(10), hints.next()).await.unwrap();
            assert_eq!(hint, Some(Hint::Resource(id.clone())));
        }
    }
}

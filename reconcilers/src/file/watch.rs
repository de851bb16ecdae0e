//! Hints from inotify: the directories of what is held are watched, and a change of a name in one is a hint on who holds it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ffi::OsString,
    os::fd::{AsFd, AsRawFd, RawFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt, stream, stream::BoxStream};
use manifest_types::{kinds::file::AbsolutePath, name::ResourceId};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::walk::Reached;
use crate::reconciler::Hint;

/// Read at most so many times before hints are passed on.
const MOST_READS: usize = 64;

/// The directories that are watched, and for whom.
pub(super) struct Watches {
    inotify: Option<Arc<Inotify>>,
    followed: Mutex<Followed>,
    is_streaming: AtomicBool,
    has_complained: AtomicBool,
}

/// Who is interested in which name of which directory.
#[derive(Debug, Default)]
struct Followed {
    directories: HashMap<WatchDescriptor, BTreeMap<OsString, BTreeSet<ResourceId>>>,
    paths: HashMap<AbsolutePath, Wish>,
}

/// What a path's resource waits for: a change of this name in that directory.
#[derive(Debug, Clone, PartialEq)]
struct Wish {
    directory: WatchDescriptor,
    name: OsString,
    id: ResourceId,
}

impl Watches {
    /// Nothing is watched yet. Where inotify cannot be had, nothing ever is.
    pub(super) fn new() -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let inotify =
            inotify.inspect_err(|error| tracing::warn!(%error, "no hints on files: inotify cannot be had"));
        Self {
            inotify: inotify.ok().map(Arc::new),
            followed: Mutex::default(),
            is_streaming: AtomicBool::new(false),
            has_complained: AtomicBool::new(false),
        }
    }

    /// From now on a change at one of these paths hints at its resource. A directory that is missing is waited for.
    pub(super) fn follow<'a>(
        &self,
        reached: &Reached,
        paths: impl Iterator<Item = (&'a AbsolutePath, &'a ResourceId)>,
    ) {
        let Some(inotify) = &self.inotify else { return };
        let mut paths = paths.peekable();
        if paths.peek().is_none() {
            return;
        }
        let (directory, missing) = match reached {
            Reached::Whole(directory) => (directory, None),
            Reached::Missing(place) => (&place.directory, Some(&place.name)),
        };
        let mask = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        // By the descriptor that was walked to: the path could lead elsewhere by now.
        let by_descriptor = format!("/proc/self/fd/{}", directory.as_fd().as_raw_fd());
        let mut followed = self.followed();
        let watch = match inotify.add_watch(by_descriptor.as_str(), mask) {
            Ok(watch) => watch,
            Err(error) => {
                if !self.has_complained.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, directory = %directory.path.display(), "no hints on some files");
                }
                return;
            }
        };
        for (path, id) in paths {
            let name = missing.map_or_else(|| path.name().as_ref(), OsString::as_os_str);
            let known = followed.paths.get(path);
            if known.is_some_and(|known| known.directory == watch && known.name == name && known.id == *id) {
                continue;
            }
            let wish = Wish { directory: watch, name: name.to_owned(), id: id.clone() };
            followed.add(path, wish, inotify);
        }
    }

    /// Drops what was followed for `path`.
    pub(super) fn forget(&self, path: &AbsolutePath) {
        let Some(inotify) = &self.inotify else { return };
        let mut followed = self.followed();
        if let Some(wish) = followed.paths.remove(path) {
            followed.drop_wish(&wish, inotify);
        }
    }

    /// How many directories the kernel watches, and for how many paths.
    #[cfg(test)]
    pub(super) fn count(&self) -> (usize, usize) {
        let followed = self.followed();
        let descriptor = self.inotify.as_ref().expect("tests have inotify").as_fd().as_raw_fd();
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}"));
        let watches = info.expect("it is open").lines().filter(|line| line.starts_with("inotify")).count();
        assert_eq!(watches, followed.directories.len());
        (watches, followed.paths.len())
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    /// Adds a wish in place of the one that there was for this path.
    fn add(&mut self, path: &AbsolutePath, wish: Wish, inotify: &Inotify) {
        let names = self.directories.entry(wish.directory).or_default();
        names.entry(wish.name.clone()).or_default().insert(wish.id.clone());
        let before = self.paths.insert(path.clone(), wish);
        if let Some(before) = before.filter(|before| self.paths.get(path) != Some(before)) {
            self.drop_wish(&before, inotify);
        }
    }

    /// Drops an wish, and the watch with the last one in its directory.
    fn drop_wish(&mut self, wish: &Wish, inotify: &Inotify) {
        let Some(names) = self.directories.get_mut(&wish.directory) else { return };
        if let Some(ids) = names.get_mut(&wish.name) {
            ids.remove(&wish.id);
            if ids.is_empty() {
                names.remove(&wish.name);
            }
        }
        if names.is_empty() {
            self.directories.remove(&wish.directory);
            // It may be gone already, with its directory.
            let _ = inotify.rm_watch(wish.directory);
        }
    }

    /// What these events hint at, each once.
    fn hints(&mut self, events: Vec<InotifyEvent>) -> BTreeSet<Hint> {
        let mut hints = BTreeSet::new();
        for InotifyEvent { wd, mask, name, .. } in events {
            if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                hints.insert(Hint::Kind);
            }
            let Some(names) = self.directories.get(&wd) else { continue };
            let of_directory = AddWatchFlags::IN_DELETE_SELF
                | AddWatchFlags::IN_MOVE_SELF
                | AddWatchFlags::IN_UNMOUNT
                | AddWatchFlags::IN_IGNORED;
            match name {
                Some(name) => {
                    hints.extend(names.get(&name).into_iter().flatten().cloned().map(Hint::Resource))
                }
                None if mask.intersects(of_directory) => {
                    hints.extend(names.values().flatten().cloned().map(Hint::Resource));
                }
                None => {}
            }
            if mask.contains(AddWatchFlags::IN_IGNORED) {
                self.directories.remove(&wd);
            }
        }
        hints
    }
}

/// inotify as tokio waits for it.
struct Readable(Arc<Inotify>);

impl AsRawFd for Readable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// The hints, from now on. Whoever asks second gets none.
pub(super) fn hints(watches: &Arc<impl AsRef<Watches> + Send + Sync + 'static>) -> BoxStream<'static, Hint> {
    let watches_of = watches.as_ref().as_ref();
    let Some(inotify) = &watches_of.inotify else { return stream::empty().boxed() };
    if watches_of.is_streaming.swap(true, Ordering::Relaxed) {
        return stream::empty().boxed();
    }
    let state = (Some(Readable(Arc::clone(inotify))), None, VecDeque::new(), Arc::clone(watches));
    stream::unfold(state, |(mut fresh, mut ready, mut waiting, watches)| async move {
        // Registered here because it needs the runtime that polls.
        if let Some(inotify) = fresh.take() {
            ready = register(inotify);
        }
        loop {
            if let Some(hint) = waiting.pop_front() {
                return Some((hint, (fresh, ready, waiting, watches)));
            }
            let inotify: &AsyncFd<Readable> = ready.as_ref()?;
            let events = read(inotify).await?;
            waiting.extend(AsRef::<Watches>::as_ref(watches.as_ref()).followed().hints(events));
        }
    })
    .boxed()
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; what is wrapped owns its descriptor and never changes it"
)]
fn register(inotify: Readable) -> Option<AsyncFd<Readable>> {
    let registered = AsyncFd::with_interest(inotify, Interest::READABLE);
    registered
        .inspect_err(|error| tracing::warn!(%error, "no hints on files: inotify cannot be waited for"))
        .ok()
}

/// What happened since the last time; `None` if inotify is broken.
async fn read(inotify: &AsyncFd<Readable>) -> Option<Vec<InotifyEvent>> {
    let mut ready = inotify.readable().await.ok()?;
    let mut events = Vec::new();
    for _ in 0..MOST_READS {
        match inotify.get_ref().0.read_events() {
            Ok(more) => events.extend(more),
            Err(Errno::EAGAIN) => {
                ready.clear_ready();
                break;
            }
            Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::warn!(%error, "no more hints on files: inotify cannot be read");
                return None;
            }
        }
    }
    Some(events)
}

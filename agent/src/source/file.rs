//! The file source: a manifest in a file, read again whenever it changes, and now and then. Needs no network.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use manifest_types::manifest::MANIFEST_LIMIT;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    sync::mpsc,
    time::timeout,
};

use super::News;
use crate::clock::Now;

/// The file is read so often, whatever was noticed in between: it may be a link into another folder.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// A folder that is not there is looked for so often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A file that nobody is known to have closed is read once it has not changed for so long: the beginning of a manifest may be one, too.
const QUIET: Duration = Duration::from_secs(3);

/// What was brought last.
#[derive(Debug, Default)]
struct Brought {
    /// The content; none, if there was no file. Outer none: nothing was brought yet.
    content: Option<Option<Vec<u8>>>,
    revision: u64,
    /// Why the file could not be read, if that was told.
    trouble: Option<String>,
}

impl Brought {
    /// What there is to tell after a reading.
    fn news(&mut self, read: Result<Option<Vec<u8>>, String>) -> Vec<News> {
        match read {
            Err(why) if self.trouble.as_ref() == Some(&why) => Vec::new(),
            Err(why) => {
                self.trouble = Some(why.clone());
                vec![News::Disconnected(why)]
            }
            Ok(content) => {
                let is_first = self.content.is_none();
                let mut news = Vec::new();
                if self.trouble.take().is_some() || is_first {
                    news.push(News::Connected);
                }
                if self.content.as_ref() != Some(&content) {
                    self.revision += 1;
                    self.content = Some(content.clone());
                    news.push(News::Content { bytes: content, revision: self.revision });
                }
                news
            }
        }
    }
}

/// Brings the file's content now and after every change, until nobody listens any more.
pub async fn run(path: PathBuf, news: mpsc::Sender<News>) {
    // The folder is watched, not the file: editors and deployments replace files.
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = path.file_name().map(OsString::from).unwrap_or_default();
    let mut brought = Brought::default();
    let mut changes = None;
    let mut is_whole = false;
    loop {
        // Watched first, then read, so that nothing falls in between.
        if changes.is_none() {
            changes = Changes::of(&folder).ok();
        }
        let may_grow = !is_whole && may_grow(&path, Now::read().wall).await;
        let read = if may_grow { Vec::new() } else { brought.news(read(&path).await) };
        for one in read {
            if news.send(one).await.is_err() {
                return;
            }
        }
        let period = match (&changes, may_grow) {
            (_, true) => QUIET,
            (Some(_), false) => READ_AGAIN,
            (None, false) => LOOK_AGAIN,
        };
        let waiting = async {
            match &changes {
                Some(changes) => changes.next(&name).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            seen = timeout(period, waiting) => {
                is_whole = matches!(seen, Ok(Ok(Happened::Change)));
                if matches!(seen, Ok(Err(_) | Ok(Happened::FolderGone))) {
                    changes = None;
                }
            }
            () = news.closed() => return,
        }
    }
}

/// The file's bytes, no more than admission needs to see that there are too many; none if there is no file.
async fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let place = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || std::fs::File::open(place)).await;
    let bytes = async {
        let file = tokio::fs::File::from_std(opened.map_err(io::Error::other)??);
        let mut bytes = Vec::new();
        file.take(MANIFEST_LIMIT as u64 + 1).read_to_end(&mut bytes).await?;
        Ok::<_, io::Error>(bytes)
    };
    match bytes.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Whether somebody may still write to it: it has changed just now. On a clock that was put back it has not.
async fn may_grow(path: &Path, now: Timestamp) -> bool {
    let changed = tokio::fs::metadata(path).await.and_then(|file| file.modified()).ok();
    let changed = changed.and_then(|changed| Timestamp::try_from(changed).ok());
    changed.is_some_and(|changed| (Duration::ZERO..QUIET).contains(&unsigned(now.duration_since(changed))))
}

/// A time that has passed; one that is to come is as if it were long ago.
fn unsigned(passed: SignedDuration) -> Duration {
    Duration::try_from(passed).unwrap_or(Duration::MAX)
}

/// What happens in a folder.
struct Changes(AsyncFd<Watch>);

/// What has happened.
enum Happened {
    /// The file was closed, moved or taken away.
    Change,
    /// The file was made, or something has happened to what it cannot be said: what it is to be may come yet.
    Beginning,
    /// The folder itself is no longer there, or no longer here.
    FolderGone,
}

struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

const GONE: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_UNMOUNT)
    .union(AddWatchFlags::IN_IGNORED);

impl Changes {
    #[expect(deprecated, reason = "its successor is unsafe to call, and unsafe code is forbidden here")]
    fn of(folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let of_interest = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        inotify.add_watch(folder, of_interest)?;
        Ok(Self(AsyncFd::new(Watch(inotify))?))
    }

    /// Returns once something has happened to `name` or to the folder, or events were lost.
    async fn next(&self, name: &OsString) -> io::Result<Happened> {
        loop {
            let mut guard = self.0.readable().await?;
            let events = match guard.try_io(|watch| Ok(watch.get_ref().0.read_events()?)) {
                Ok(events) => events?,
                Err(_would_block) => continue,
            };
            if events.iter().any(|event| event.mask.intersects(GONE)) {
                return Ok(Happened::FolderGone);
            }
            // The last word counts. Where words were lost, nobody is known to have closed it.
            let mut of_it =
                events.iter().filter(|event| event.name.as_ref().is_none_or(|changed| changed == name));
            match of_it.next_back() {
                Some(event) if event.name.is_none() || event.mask == AddWatchFlags::IN_CREATE => {
                    return Ok(Happened::Beginning);
                }
                Some(_) => return Ok(Happened::Change),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &str, revision: u64) -> News {
        News::Content { bytes: Some(bytes.into()), revision }
    }

    #[tokio::test]
    async fn it_brings_every_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.yaml");
        let (sender, mut news) = mpsc::channel(8);
        let task = tokio::spawn(run(path.clone(), sender));
        assert_eq!(news.recv().await, Some(News::Connected));
        assert_eq!(news.recv().await, Some(News::Content { bytes: None, revision: 1 }));
        std::fs::write(dir.path().join("new"), "a: 1").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(news.recv().await, Some(content("a: 1", 2)));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(news.recv().await, Some(News::Content { bytes: None, revision: 3 }));
        drop(news);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_still_being_written_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.yaml");
        let (sender, mut news) = mpsc::channel(8);
        tokio::spawn(run(path.clone(), sender));
        assert_eq!(news.recv().await, Some(News::Connected));
        assert_eq!(news.recv().await, Some(News::Content { bytes: None, revision: 1 }));
        let mut file = std::fs::File::create(&path).unwrap();
        std::io::Write::write_all(&mut file, b"a: 1\n").unwrap();
        // It has the time to read too early.
        assert!(timeout(Duration::from_millis(300), news.recv()).await.is_err());
        std::io::Write::write_all(&mut file, b"b: 2\n").unwrap();
        drop(file);
        assert_eq!(news.recv().await, Some(content("a: 1\nb: 2\n", 2)));
        // Nobody closes a link; what it leads to has been there for long.
        let now = Now::read().wall;
        assert!(may_grow(&path, now).await && !may_grow(&path, now + SignedDuration::from_secs(4)).await);
        assert!(!may_grow(&path, now - SignedDuration::from_secs(60)).await, "the clock was put back");
        assert!(!may_grow(dir.path().join("none").as_path(), now).await);
    }

    #[tokio::test]
    async fn a_folder_that_is_replaced_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("manifest.yaml"), "a: 1").unwrap();
        let (sender, mut news) = mpsc::channel(8);
        tokio::spawn(run(folder.join("manifest.yaml"), sender));
        assert_eq!(news.recv().await, Some(News::Connected));
        assert_eq!(news.recv().await, Some(content("a: 1", 1)));
        let next = dir.path().join("next");
        std::fs::create_dir(&next).unwrap();
        std::fs::write(next.join("manifest.yaml"), "a: 2").unwrap();
        std::fs::rename(&folder, dir.path().join("old")).unwrap();
        std::fs::rename(&next, &folder).unwrap();
        loop {
            match news.recv().await {
                Some(News::Content { bytes: None, .. }) => {}
                told => {
                    break assert!(
                        matches!(told, Some(News::Content { bytes: Some(bytes), .. }) if bytes == b"a: 2")
                    );
                }
            }
        }
        std::fs::write(folder.join("manifest.yaml"), "a: 3").unwrap();
        loop {
            match news.recv().await {
                Some(News::Content { bytes: Some(bytes), .. }) if bytes != b"a: 3" => {}
                told => {
                    break assert!(
                        matches!(told, Some(News::Content { bytes: Some(bytes), .. }) if bytes == b"a: 3")
                    );
                }
            }
        }
    }

    #[test]
    fn trouble_is_told_once_and_its_end_too() {
        let mut brought = Brought::default();
        assert_eq!(brought.news(Err("why".into())), [News::Disconnected("why".into())]);
        assert_eq!(brought.news(Err("why".into())), []);
        assert_eq!(brought.news(Ok(Some(b"a".into()))), [News::Connected, content("a", 1)]);
        assert_eq!(brought.news(Err("why".into())), [News::Disconnected("why".into())]);
        assert_eq!(brought.news(Ok(Some(b"a".into()))), [News::Connected]);
        assert_eq!(brought.news(Ok(Some(b"a".into()))), []);
    }
}

//! The file source: a manifest in a file, read again whenever it changes. Needs no network.

use std::{
    ffi::OsString,
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    path::{Path, PathBuf},
};

use manifest_types::manifest::MANIFEST_LIMIT;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    sync::mpsc,
};

use super::News;

/// Brings the file's content now and after every change, until nobody listens any more.
pub async fn run(path: PathBuf, news: mpsc::Sender<News>) -> io::Result<()> {
    // The folder is watched, not the file: editors and deployments replace files.
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let name = path.file_name().map(OsString::from).unwrap_or_default();
    let changes = Changes::of(&folder)?;
    if news.send(News::Connected).await.is_err() {
        return Ok(());
    }
    let mut last = None;
    let mut revision = 0;
    loop {
        let content = match read(&path).await {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let why = format!("cannot read {}: {error}", path.display());
                if news.send(News::Disconnected(why)).await.is_err() {
                    return Ok(());
                }
                changes.next(&name).await?;
                continue;
            }
        };
        if last.as_ref() != Some(&content) {
            revision += 1;
            last = Some(content.clone());
            if news.send(News::Content { bytes: content, revision }).await.is_err() {
                return Ok(());
            }
        }
        changes.next(&name).await?;
    }
}

/// The file's bytes; no more than admission needs to see that there are too many.
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    let opened =
        tokio::task::spawn_blocking(move || std::fs::File::open(path)).await.map_err(io::Error::other)??;
    let mut bytes = Vec::new();
    tokio::fs::File::from_std(opened).take(MANIFEST_LIMIT as u64 + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// What happens in a folder.
struct Changes(AsyncFd<Watch>);

struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Changes {
    #[expect(deprecated, reason = "its successor is unsafe to call, and unsafe code is forbidden here")]
    fn of(folder: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let of_interest = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE;
        inotify.add_watch(folder, of_interest).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("cannot watch {}: {error}", folder.display()),
            )
        })?;
        Ok(Self(AsyncFd::new(Watch(inotify))?))
    }

    /// Returns once something has happened to `name`, or events were lost.
    async fn next(&self, name: &OsString) -> io::Result<()> {
        loop {
            let mut guard = self.0.readable().await?;
            let events = match guard.try_io(|watch| Ok(watch.get_ref().0.read_events()?)) {
                Ok(events) => events?,
                Err(_would_block) => continue,
            };
            let concerns = |event: &nix::sys::inotify::InotifyEvent| match &event.name {
                Some(changed) => changed == name,
                None => true,
            };
            if events.iter().any(concerns) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(news.recv().await, Some(News::Content { bytes: Some(b"a: 1".into()), revision: 2 }));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(news.recv().await, Some(News::Content { bytes: None, revision: 3 }));
        drop(news);
        std::fs::write(&path, "b: 1").unwrap();
        task.await.unwrap().unwrap();
    }
}

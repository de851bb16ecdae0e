//! What is remembered of images, on the disk: a record for each engine that the device has had.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::record::Record;
use crate::container::error::ContainerError;

const FILE: &str = "images.json";
const DAMAGED: &str = "images.damaged";

/// The records, by the engines' identities.
type Records = BTreeMap<String, Record>;

/// The records, in one file.
#[derive(Debug)]
pub(super) struct Books {
    file: PathBuf,
    /// Read when they are first needed.
    records: Arc<Mutex<Option<Records>>>,
}

impl Books {
    /// Those in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { file: state_dir.join(FILE), records: Arc::default() }
    }

    /// The record of an engine.
    pub(super) async fn record(&self, engine: &str) -> Result<Record, ContainerError> {
        let records = self.loaded().await?;
        Ok(records.as_ref().and_then(|records| records.get(engine)).cloned().unwrap_or_default())
    }

    /// Changes the record of an engine; durable when it returns.
    pub(super) async fn change(
        &self,
        engine: &str,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), ContainerError> {
        let mut records = self.loaded().await?;
        let mut changed = records.clone().unwrap_or_default();
        change(changed.entry(engine.to_owned()).or_default());
        changed.retain(|_, record| *record != Record::default());
        if records.as_ref() == Some(&changed) {
            return Ok(());
        }
        let file = self.file.clone();
        // Whoever asked may go away: the one write ends before the next begins.
        let writing = tokio::task::spawn_blocking(move || {
            let text = serde_json::to_vec(&changed).map_err(io::Error::from)?;
            write(&file, &text)?;
            *records = Some(changed);
            Ok(())
        });
        writing.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(self.failed())
    }

    async fn loaded(&self) -> Result<OwnedMutexGuard<Option<Records>>, ContainerError> {
        let mut records = Arc::clone(&self.records).lock_owned().await;
        if records.is_none() {
            let file = self.file.clone();
            let reading = tokio::task::spawn_blocking(move || read(&file)).await;
            let read = reading.unwrap_or_else(|error| Err(io::Error::other(error)));
            *records = Some(read.map_err(self.failed())?);
        }
        Ok(records)
    }

    fn failed(&self) -> impl Fn(io::Error) -> ContainerError {
        |source| ContainerError::NotRemembered { path: self.file.clone(), source }
    }
}

/// The records. A file that nobody can read is set aside: what it spoke of stays for good.
fn read(file: &Path) -> io::Result<Records> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::new()),
        text => text?,
    };
    match serde_json::from_slice(&text) {
        Ok(records) => Ok(records),
        Err(error) => {
            fs::rename(file, file.with_file_name(DAMAGED))?;
            let file = file.display();
            tracing::error!(%file, %error, "cannot read which images were pulled; it is set aside as {DAMAGED}, and those images stay");
            Ok(Records::new())
        }
    }
}

fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = File::create(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn they_outlive_the_agent_and_what_cannot_be_read_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let books = Books::new(folder.path());
        let forget = |record: &mut Record| record.forget(&["web".into()]);
        books.change("docker", forget).await.unwrap();
        assert!(!folder.path().join(FILE).exists(), "what has not changed is not written");
        let settle = |record: &mut Record| *record = Record::of_one("a");
        books.change("docker", settle).await.unwrap();
        let again = Books::new(folder.path());
        assert_eq!(again.record("docker").await.unwrap(), Record::of_one("a"));
        assert_eq!(again.record("podman").await.unwrap(), Record::default(), "it is another engine's");

        fs::write(folder.path().join(FILE), "{").unwrap();
        let damaged = Books::new(folder.path());
        assert_eq!(damaged.record("docker").await.unwrap(), Record::default());
        assert_eq!(fs::read_to_string(folder.path().join(DAMAGED)).unwrap(), "{");

        // A fault of the moment is no reason to forget.
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let hindered = Books::new(folder.path());
        assert!(hindered.record("docker").await.is_err());
        fs::remove_dir(folder.path().join(FILE)).unwrap();
        assert!(hindered.record("docker").await.is_ok());
    }

    #[tokio::test]
    async fn a_change_whose_asker_goes_away_is_made_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let books = Books::new(folder.path());
        books.record("docker").await.unwrap();
        for _ in 0..20 {
            let mut first = Box::pin(books.change("docker", |record| *record = Record::of_one("first")));
            assert!(futures_util::poll!(&mut first).is_pending());
            drop(first);
            books.change("docker", |record| *record = Record::of_one("second")).await.unwrap();
            assert_eq!(books.record("docker").await.unwrap(), Record::of_one("second"));
            assert_eq!(Books::new(folder.path()).record("docker").await.unwrap(), Record::of_one("second"));
        }
    }
}

//! What kinds remember beside the ledger, on the disk: a record for each of the things that they have to do with, in one file.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{durable, error::Fault};

/// A record that cannot be read or written: nobody would know after a kill of what is about to be done.
#[derive(Debug, thiserror::Error)]
#[error("cannot remember in {} what is about to be done", path.display())]
pub struct NotRemembered {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl Fault for NotRemembered {
    fn reason(&self) -> &'static str {
        if self.source.kind() == io::ErrorKind::StorageFull {
            "InsufficientStorage"
        } else {
            "StateUnwritable"
        }
    }

    fn can_retry(&self) -> bool {
        true
    }
}

/// What can be remembered of one thing; its default is nothing.
pub(crate) trait Record:
    Default + Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static
{
}

impl<T: Default + Clone + PartialEq + Serialize + DeserializeOwned + Send + 'static> Record for T {}

/// The records, by the names of what they are of.
type Records<R> = BTreeMap<String, R>;

/// The records, in one file.
#[derive(Debug)]
pub(crate) struct Books<R> {
    file: PathBuf,
    /// Read when they are first needed.
    records: Arc<Mutex<Option<Records<R>>>>,
}

impl<R: Record> Books<R> {
    /// Those in the file of this name in `state_dir`.
    pub(crate) fn new(state_dir: &Path, file: &str) -> Self {
        Self { file: state_dir.join(file), records: Arc::default() }
    }

    /// The record of one thing.
    pub(crate) async fn record(&self, of: &str) -> Result<R, NotRemembered> {
        let records = self.loaded().await?;
        Ok(records.as_ref().and_then(|records| records.get(of)).cloned().unwrap_or_default())
    }

    /// Changes the record of one thing; durable when it returns.
    pub(crate) async fn change(&self, of: &str, change: impl FnOnce(&mut R)) -> Result<(), NotRemembered> {
        let mut records = self.loaded().await?;
        let mut changed = records.clone().unwrap_or_default();
        change(changed.entry(of.to_owned()).or_default());
        changed.retain(|_, record| *record != R::default());
        if records.as_ref() == Some(&changed) {
            return Ok(());
        }
        let file = self.file.clone();
        // Whoever asked may go away: the one write ends before the next begins.
        let writing = tokio::task::spawn_blocking(move || {
            let text = serde_json::to_vec(&changed).map_err(io::Error::from)?;
            durable::write(&file, &text)?;
            *records = Some(changed);
            Ok(())
        });
        writing.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(self.failed())
    }

    async fn loaded(&self) -> Result<OwnedMutexGuard<Option<Records<R>>>, NotRemembered> {
        let mut records = Arc::clone(&self.records).lock_owned().await;
        if records.is_none() {
            let file = self.file.clone();
            let reading = tokio::task::spawn_blocking(move || read(&file)).await;
            let read = reading.unwrap_or_else(|error| Err(io::Error::other(error)));
            *records = Some(read.map_err(self.failed())?);
        }
        Ok(records)
    }

    fn failed(&self) -> impl Fn(io::Error) -> NotRemembered {
        |source| NotRemembered { path: self.file.clone(), source }
    }
}

/// The records. A file that nobody can read is set aside: what it spoke of is not known any more.
fn read<R: Record>(file: &Path) -> io::Result<Records<R>> {
    let text = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::new()),
        text => text?,
    };
    match serde_json::from_slice(&text) {
        Ok(records) => Ok(records),
        Err(error) => {
            let aside = file.with_extension("damaged");
            fs::rename(file, &aside)?;
            let (file, aside) = (file.display(), aside.display());
            tracing::error!(%file, %aside, %error, "cannot read what was remembered; it is set aside");
            Ok(Records::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FILE: &str = "notes.json";

    fn books(folder: &Path) -> Books<BTreeSet<String>> {
        Books::new(folder, FILE)
    }

    fn of_one(name: &str) -> BTreeSet<String> {
        BTreeSet::from([name.to_owned()])
    }

    #[tokio::test]
    async fn they_outlive_the_agent_and_what_cannot_be_read_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let own = books(folder.path());
        own.change("docker", |record| record.retain(|own| own != "web")).await.unwrap();
        assert!(!folder.path().join(FILE).exists(), "what has not changed is not written");
        own.change("docker", |record| *record = of_one("a")).await.unwrap();
        let again = books(folder.path());
        assert_eq!(again.record("docker").await.unwrap(), of_one("a"));
        assert_eq!(again.record("podman").await.unwrap(), BTreeSet::new(), "it is another engine's");

        fs::write(folder.path().join(FILE), "{").unwrap();
        let damaged = books(folder.path());
        assert_eq!(damaged.record("docker").await.unwrap(), BTreeSet::new());
        assert_eq!(fs::read_to_string(folder.path().join("notes.damaged")).unwrap(), "{");

        // A fault of the moment is no reason to forget.
        fs::create_dir(folder.path().join(FILE)).unwrap();
        let hindered = books(folder.path());
        assert!(hindered.record("docker").await.is_err());
        fs::remove_dir(folder.path().join(FILE)).unwrap();
        assert!(hindered.record("docker").await.is_ok());
    }

    #[tokio::test]
    async fn a_change_whose_asker_goes_away_is_made_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let own = books(folder.path());
        own.record("docker").await.unwrap();
        for _ in 0..20 {
            let mut first = Box::pin(own.change("docker", |record| *record = of_one("first")));
            assert!(futures_util::poll!(&mut first).is_pending());
            drop(first);
            own.change("docker", |record| *record = of_one("second")).await.unwrap();
            assert_eq!(own.record("docker").await.unwrap(), of_one("second"));
            assert_eq!(books(folder.path()).record("docker").await.unwrap(), of_one("second"));
        }
    }
}

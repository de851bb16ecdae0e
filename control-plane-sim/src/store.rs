//! Keys of a bucket: read, listed, written with compare-and-swap.

use std::{error::Error as _, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    kv::{Entry, Operation, Store, UpdateError, UpdateErrorKind},
};
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use manifest_types::document;
use serde_json::Value;

use crate::{
    error::Error,
    history::{Content, Revision},
};

/// A listing that stands still this long is begun again.
const STALLED: Duration = Duration::from_secs(2);
/// So often.
const LISTINGS: usize = 3;

/// Whether a write failed because the key was written since it was read.
///
/// Servers answer 10071 or, clustered, 10164; async-nats 0.51 knows only the first as `WrongLastRevision`.
pub fn is_conflict(error: &UpdateError) -> bool {
    if error.kind() == UpdateErrorKind::WrongLastRevision {
        return true;
    }
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(answer) = source.downcast_ref::<jetstream::Error>() {
            return matches!(
                answer.error_code(),
                ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            );
        }
        cause = source.source();
    }
    false
}

/// The outcome of a compare-and-swap that the server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It is written, as this revision.
    Written(u64),
    /// Somebody else has written the key since.
    Conflict,
}

/// Writes `value` if the key's last revision, delete markers included, is `after` (0: it never had one).
pub async fn swap(store: &Store, key: &str, value: &Value, after: u64) -> Result<Swap, Error> {
    match store.update(key, value.to_string().into(), after).await {
        Ok(revision) => Ok(Swap::Written(revision)),
        Err(error) if is_conflict(&error) => Ok(Swap::Conflict),
        Err(source) => Err(Error::Write { key: key.to_owned(), source }),
    }
}

/// The present value; `None` if there is none or it was deleted.
pub async fn get(store: &Store, key: &str) -> Result<Option<Entry>, Error> {
    let entry = store.entry(key).await.map_err(|source| Error::Read { key: key.to_owned(), source })?;
    Ok(entry.filter(|entry| entry.operation == Operation::Put))
}

/// All that the bucket remembers of a key, oldest first.
pub async fn history(store: &Store, key: &str) -> Result<Vec<Revision>, Error> {
    let follow = |source| Error::Follow { key: key.to_owned(), source };
    let broken = |source| Error::BrokenOff { key: key.to_owned(), source };
    let entries = store.history(key).await.map_err(follow)?;
    entries.map_ok(|entry| revision(&entry)).try_collect().await.map_err(broken)
}

/// The last entry of every key, delete markers included.
pub async fn list(store: &Store) -> Result<Vec<Entry>, Error> {
    for _ in 0..LISTINGS {
        if let Some(entries) = list_once(store).await? {
            return Ok(entries);
        }
    }
    Err(Error::Incomplete { key: format!("bucket {}", store.name) })
}

/// `None` if it stood still: what the server still had to deliver may have expired meanwhile.
async fn list_once(store: &Store) -> Result<Option<Vec<Entry>>, Error> {
    let bucket = || store.name.clone();
    let info = store.stream.get_info().await;
    let info = info.map_err(|source| Error::State { bucket: bucket(), source: Box::new(source) })?;
    let mut entries = Vec::new();
    if info.state.messages == 0 {
        return Ok(Some(entries));
    }
    let watch = store.watch_with_history(">").await;
    let mut watch = watch.map_err(|source| Error::Follow { key: bucket(), source })?;
    while let Ok(Some(entry)) = tokio::time::timeout(STALLED, watch.next()).await {
        let entry = entry.map_err(|source| Error::BrokenOff { key: bucket(), source })?;
        let last = entry.delta == 0;
        entries.push(entry);
        if last {
            return Ok(Some(entries));
        }
    }
    Ok(None)
}

/// When an entry was written, by the server's clock.
pub fn written(entry: &Entry) -> Timestamp {
    Timestamp::from_nanosecond(entry.created.unix_timestamp_nanos()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What an entry holds.
pub fn content(entry: &Entry) -> Content {
    if entry.operation != Operation::Put {
        return Content::Deleted;
    }
    let text = std::str::from_utf8(&entry.value).ok();
    text.and_then(|text| document::from_json(text).ok()).map_or(Content::Unreadable, Content::Json)
}

/// An entry as a value of its key's history.
pub fn revision(entry: &Entry) -> Revision {
    Revision { revision: entry.revision, written: written(entry), content: content(entry) }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::context::{PublishError, PublishErrorKind};

    use super::*;

    fn answered(code: u64) -> UpdateError {
        let text = format!(r#"{{"code":400,"err_code":{code},"description":"wrong last sequence: 7"}}"#);
        let answer: jetstream::Error = serde_json::from_str(&text).unwrap();
        let publish = PublishError::with_source(PublishErrorKind::Other, answer);
        UpdateError::with_source(UpdateErrorKind::Other, publish)
    }

    #[test]
    fn a_conflict_is_told_by_either_code() {
        assert!(is_conflict(&UpdateError::new(UpdateErrorKind::WrongLastRevision)));
        assert!(is_conflict(&answered(10071)));
        assert!(is_conflict(&answered(10164)));
    }

    #[test]
    fn other_failures_are_no_conflict() {
        assert!(!is_conflict(&answered(10077)));
        assert!(!is_conflict(&UpdateError::new(UpdateErrorKind::TimedOut)));
        assert!(!is_conflict(&UpdateError::with_source(UpdateErrorKind::Other, "wrong last sequence")));
    }
}

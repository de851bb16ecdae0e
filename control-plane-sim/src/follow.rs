//! A bucket followed for as long as it takes, over every loss of the connection.

use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Store, Watch};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::{error::Error, link::Link};

/// What broke off is taken up again after this time.
const PAUSE: Duration = Duration::from_secs(1);

/// The present values of some keys, then every change to them. After a reconnection the present values come again.
pub struct Follow {
    store: Store,
    pattern: String,
    watch: Option<Watch>,
    connections: watch::Receiver<u64>,
}

impl Follow {
    /// Begins to follow the keys that match `pattern`.
    pub async fn start(link: &Link, store: &Store, pattern: impl Into<String>) -> Result<Self, Error> {
        let mut connections = link.connections();
        connections.mark_unchanged();
        let mut follow = Self { store: store.clone(), pattern: pattern.into(), watch: None, connections };
        follow.watch = Some(follow.open().await?);
        Ok(follow)
    }

    async fn open(&self) -> Result<Watch, Error> {
        let opened = self.store.watch_with_history(&self.pattern).await;
        opened.map_err(|source| Error::Follow { key: self.pattern.clone(), source })
    }

    /// The next value or delete marker. It may be dropped at any await.
    pub async fn next(&mut self) -> Entry {
        loop {
            let Some(watch) = &mut self.watch else {
                match self.open().await {
                    Ok(watch) => self.watch = Some(watch),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
                continue;
            };
            tokio::select! {
                entry = watch.next() => match entry {
                    Some(Ok(entry)) => return entry,
                    Some(Err(_)) | None => self.watch = None,
                },
                // A server that came back may have forgotten who was listening.
                changed = self.connections.changed() => match changed {
                    Ok(()) => self.watch = None,
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            }
        }
    }
}

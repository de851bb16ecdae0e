//! Why the server cannot be reached. The client's own events tell that an attempt failed and not why, so one attempt is made beside it.

use std::{sync::Arc, time::Duration};

use async_nats::{Event, ServerAddr};
use tokio::sync::{Notify, watch};

use super::{NatsOptions, configure, with_credentials, without_password};
use crate::chain::chain;

/// An attempt that only asks why is made at most so often.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is known of the trouble; nothing while the connection stands.
pub(super) type Why = watch::Receiver<Option<String>>;

/// Takes note of events.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    why: Arc<watch::Sender<Option<String>>>,
    failed: Arc<Notify>,
}

impl Trouble {
    pub(super) fn new() -> (Self, Why) {
        let (sender, why) = watch::channel(None);
        (Self { why: Arc::new(sender), failed: Arc::default() }, why)
    }

    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::Connected => drop(self.why.send_replace(None)),
            Event::ClientError(_) => self.failed.notify_one(),
            _ => {}
        }
    }

    /// Finds out why attempts fail, as long as they do.
    pub(super) async fn find_out(self, options: NatsOptions, servers: Vec<ServerAddr>) {
        loop {
            self.failed.notified().await;
            if let Some(why) = attempt(&options, &servers).await {
                let told = format!("cannot connect to {}: {why}", without_password(&options.url));
                let is_news = self.why.send_replace(Some(told.clone())).as_ref() != Some(&told);
                if is_news {
                    tracing::warn!("{told}; it is tried again and again");
                }
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

/// Why a connection cannot be made; nothing if it can.
async fn attempt(options: &NatsOptions, servers: &[ServerAddr]) -> Option<String> {
    let configured = match configure(options) {
        Ok(configured) => with_credentials(configured, servers),
        Err(error) => return Some(chain(&error)),
    };
    configured.connect(servers).await.err().map(|error| chain(&error))
}

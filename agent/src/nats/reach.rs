//! Whether the server can be reached now: over a connection of its own, since one that stands may be that of a network which is gone.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reconcilers::host::Reachability;

use super::{Link, NatsOptions, configure, with_credentials, without_password};
use crate::chain::chain;

/// One attempt takes no longer.
const ATTEMPT: Duration = Duration::from_secs(4);

/// A server, or several of which one is enough.
#[derive(Debug, Clone)]
pub struct Reach {
    /// How it is reached.
    pub options: NatsOptions,
    /// The connection that stands.
    pub link: Option<Link>,
}

impl Reachability for Reach {
    fn control_plane(&self) -> BoxFuture<'static, Result<(), String>> {
        let options = self.options.clone();
        Box::pin(async move {
            let address = without_password(&options.url);
            let answer = match tokio::time::timeout(ATTEMPT, round_trip(&options)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("there is no answer within {} s", ATTEMPT.as_secs())),
            };
            answer.map_err(|why| format!("{address}: {why}"))
        })
    }

    fn network_changed(&self) {
        let Some(link) = self.link.clone() else { return };
        tokio::spawn(async move {
            if let Err(error) = link.client.force_reconnect().await {
                tracing::debug!(error = chain(&error), "the connection to NATS is not made anew");
            }
        });
    }
}

async fn round_trip(options: &NatsOptions) -> Result<(), String> {
    let servers: Vec<_> = options.url.split(',').filter_map(|url| url.trim().parse().ok()).collect();
    let configured = configure(options).map_err(|error| chain(&error))?;
    let client =
        with_credentials(configured, &servers).connect(servers).await.map_err(|error| chain(&error))?;
    client.flush().await.map_err(|error| chain(&error))
}

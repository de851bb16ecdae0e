//! Whether the API can be reached now: over a connection of its own, since one that stands may be that of a network which is gone.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reconcilers::host::Reachability;

use super::{options::Options, provision};

/// One attempt takes no longer.
const ATTEMPT: Duration = Duration::from_secs(4);

/// The API of a device.
#[derive(Debug, Clone)]
pub struct Reach {
    /// How it is reached.
    pub options: Options,
}

impl Reachability for Reach {
    fn control_plane(&self) -> BoxFuture<'static, Result<(), String>> {
        let options = self.options.clone();
        Box::pin(async move {
            let api = tokio::task::spawn_blocking(move || provision::new_connection(&options)).await;
            let api = api.map_err(|error| error.to_string())??;
            match tokio::time::timeout(ATTEMPT, api.answers()).await {
                Ok(answered) => answered.map_err(|why| format!("{}: {why}", api.endpoint())),
                Err(_) => {
                    Err(format!("{}: there is no answer within {} s", api.endpoint(), ATTEMPT.as_secs()))
                }
            }
        })
    }
}

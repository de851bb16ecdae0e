//! The local API: HTTP on a unix socket that only the agent's own user can open.
//!
//! It decides nothing: each request becomes a question to the running driver ([`crate::ask`]), each answer a document.
//! [`socket`] makes the socket, `routes` turns requests into questions, `failure` says what went wrong, `metrics` writes the
//! numbers, `span` reads times.

use std::{fs, path::Path};

use tokio::{net::UnixListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;

mod failure;
mod metrics;
mod routes;
pub mod socket;
mod span;

pub use failure::ApiFailure;
pub use metrics::render as render_metrics;
pub use socket::{SocketError, bind};
pub(crate) use span::parse as parse_span;

/// Serves until `shutdown`, then lets the requests under way end and takes the socket away.
pub async fn serve(listener: UnixListener, asks: mpsc::Sender<Ask>, shutdown: CancellationToken) {
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname()).map(Path::to_owned);
    let ended = async move {
        shutdown.cancelled().await;
        // Gone before the last requests end: who comes now is told at once that no agent is there.
        if let Some(path) = path {
            drop(fs::remove_file(path));
        }
    };
    let served = axum::serve(listener, routes::router(asks)).with_graceful_shutdown(ended);
    if let Err(error) = served.await {
        tracing::error!(%error, "the local API ended");
    }
}

#[cfg(test)]
mod tests;

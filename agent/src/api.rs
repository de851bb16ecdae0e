//! The local API: HTTP on a unix socket that only the agent's own user can open.
//!
//! It decides nothing: each request becomes a question to the running driver ([`crate::ask`]), each answer a document.
//! [`socket`] makes the socket, `routes` turns requests into questions, `query` reads their parameters, `failure` says what went
//! wrong, `metrics` writes the numbers, `span` reads times. It is hyper alone: a framework would cost the agent 200 KiB.

use std::{convert::Infallible, fs, path::Path, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::ask::Ask;

mod failure;
mod metrics;
mod query;
mod routes;
pub mod socket;
mod span;

pub use failure::ApiFailure;
pub use metrics::render as render_metrics;
pub use socket::{SocketError, bind};
pub(crate) use span::parse as parse_span;

/// So many are served at once; who comes then waits.
const MOST_CONNECTIONS: usize = 64;
/// A request has so long to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a connection could not be accepted, the next is tried so much later.
const BREATH: Duration = Duration::from_millis(200);

/// Serves until `shutdown`, then takes the socket away and lets the requests under way end.
pub async fn serve(listener: UnixListener, asks: mpsc::Sender<Ask>, shutdown: CancellationToken) {
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname()).map(Path::to_owned);
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < MOST_CONNECTIONS;
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => drop(connections.spawn(converse(stream, asks.clone(), shutdown.clone()))),
                // Out of descriptors, most likely: some must be given back first.
                Err(error) => {
                    tracing::warn!(%error, "the local API cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    // Gone before the last requests end: who comes now is told at once that no agent is there.
    drop(listener);
    drop(path.map(fs::remove_file));
    while connections.join_next().await.is_some() {}
}

/// Who does not say what it wants, also between two requests, makes room for others.
fn server() -> http1::Builder {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    server
}

/// Answers the requests of one connection, one after the other.
async fn converse(stream: UnixStream, asks: mpsc::Sender<Ask>, shutdown: CancellationToken) {
    let ends = shutdown.clone();
    let answer = service_fn(move |request| {
        let (asks, ends) = (asks.clone(), ends.clone());
        async move { Ok::<_, Infallible>(routes::respond(&asks, request, &ends).await) }
    });
    let mut connection = std::pin::pin!(server().serve_connection(TokioIo::new(stream), answer));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the local API broke");
    }
}

#[cfg(test)]
mod tests;

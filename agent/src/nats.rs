//! The connection to NATS: how it is made and whether it stands. Source, sink and object store share it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

pub mod reach;
mod trouble;

use trouble::{Trouble, Why};

/// How NATS is reached.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// One or more addresses, separated by commas.
    pub url: String,
    /// A credentials file, as `nsc` makes it.
    pub creds: Option<PathBuf>,
    /// Certificates of authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// A client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A user, and a file that holds the password.
    pub user: Option<(String, PathBuf)>,
    /// A file that holds a token.
    pub token: Option<PathBuf>,
    /// A file that holds an nkey's seed.
    pub nkey: Option<PathBuf>,
    /// Shown by the server's monitoring.
    pub name: String,
}

/// A file of the connection that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// A file with a secret or certificate.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The addresses.
    #[error("{url:?} is no NATS address, such as nats://127.0.0.1:4222")]
    Address {
        /// What was given.
        url: String,
    },
    /// The connection itself: nothing but wrong options ends here, as it is tried for ever.
    #[error("cannot connect to NATS")]
    Connect(#[source] async_nats::ConnectError),
}

/// A connection that mends itself.
#[derive(Debug, Clone)]
pub struct Link {
    /// The client.
    pub client: Client,
    /// How often it was connected; even while it is not connected, odd while it is.
    pub state: watch::Receiver<u64>,
    counter: Arc<watch::Sender<u64>>,
    why: Why,
    /// The subject that the server last refused to subscribe this client to.
    denied: watch::Receiver<Option<String>>,
}

impl Link {
    /// Connects, now or whenever the server can be reached.
    pub async fn connect(options: &NatsOptions) -> Result<Self, NatsError> {
        let (sender, state) = watch::channel(0);
        let counter = Arc::new(sender);
        let counting = counter.clone();
        let (trouble, why) = Trouble::new();
        let noting = trouble.clone();
        let (denying, denied) = watch::channel(None);
        let is_first = AtomicBool::new(true);
        let first_at_once = move |attempts| match is_first.swap(false, Ordering::Relaxed) {
            true => Duration::ZERO,
            false => delay(attempts),
        };
        let configured =
            configure(options)?.retry_on_initial_connect().reconnect_delay_callback(first_at_once);
        let configured = configured.event_callback(move |event| {
            counting.send_if_modified(|state| note(state, &event));
            noting.note(&event);
            if let Some(subject) = refused_subject(&event) {
                denying.send_replace(Some(subject));
            }
            async move { tell(&event) }
        });
        let servers: Result<Vec<ServerAddr>, _> =
            options.url.split(',').map(|url| url.trim().parse()).collect();
        let servers = servers.map_err(|_| NatsError::Address { url: without_password(&options.url) })?;
        let configured = with_credentials(configured, &servers);
        tokio::spawn(trouble.find_out(options.clone(), servers.clone()));
        let client = configured.connect(servers).await.map_err(NatsError::Connect)?;
        Ok(Self { client, state, counter, why, denied })
    }

    /// Returns once the connection stands, with its number.
    pub async fn up(&mut self) -> Option<u64> {
        self.state.wait_for(|state| state % 2 == 1).await.ok().map(|state| *state)
    }

    /// What is at the other end is not what it was: all who use the connection begin anew, as after a loss.
    pub fn renew(&self) {
        self.counter.send_if_modified(|state| {
            let connected = *state % 2 == 1;
            *state += if connected { 2 } else { 0 };
            connected
        });
    }

    /// Returns once it is known, or known anew, why there is no connection.
    pub async fn trouble(&mut self) -> String {
        loop {
            if self.why.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let why = self.why.borrow_and_update().clone();
            if let Some(why) = why {
                return why;
            }
        }
    }

    /// Returns once the server has refused to subscribe this client to `subject`.
    pub async fn denied(&self, subject: &str) {
        let mut denied = self.denied.clone();
        if denied.wait_for(|denied| denied.as_deref() == Some(subject)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns once the connection with this number stands no more.
    pub async fn lost(&mut self, number: u64) {
        drop(self.state.wait_for(|state| *state != number).await);
    }
}

/// Whether the state has changed.
fn note(state: &mut u64, event: &Event) -> bool {
    let connected = *state % 2 == 1;
    match event {
        // Two in a row mean that a loss in between was not told.
        Event::Connected => *state += if connected { 2 } else { 1 },
        Event::Disconnected | Event::Closed if connected => *state += 1,
        // Messages were dropped here, and the last of them may have been the manifest: everything is read again.
        Event::SlowConsumer(_) if connected => *state += 2,
        _ => return false,
    }
    true
}

/// The subject that a server does not let this client subscribe to, in its own words.
fn refused_subject(event: &Event) -> Option<String> {
    let Event::ServerError(error) = event else { return None };
    let told = error.to_string();
    let at = told.to_ascii_lowercase().find("permissions violation for subscription to")?;
    told[at..].split('"').nth(1).map(str::to_owned)
}

fn tell(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; it is tried again and again"),
        Event::SlowConsumer(_) | Event::ServerError(_) => tracing::warn!(%event, "NATS"),
        // Why is found out and told apart.
        Event::ClientError(_) => tracing::debug!(%event, "NATS"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::info!(%event, "NATS"),
    }
}

fn configure(options: &NatsOptions) -> Result<ConnectOptions, NatsError> {
    let mut configured = ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(Duration::from_secs(10))
        .request_timeout(Some(Duration::from_secs(5)))
        .ping_interval(Duration::from_secs(20))
        .read_buffer_capacity(8 * 1024)
        .client_capacity(64)
        .subscription_capacity(64);
    if let Some(path) = &options.creds {
        // The parser wants the last line's end.
        let text = text_of(path)?;
        configured =
            configured.credentials(&text).map_err(|source| NatsError::File { path: path.clone(), source })?;
    }
    if let Some(path) = &options.ca {
        readable(path)?;
        configured = configured.add_root_certificates(path.clone()).require_tls(true);
    }
    if let Some((cert, key)) = &options.identity {
        readable(cert)?;
        readable(key)?;
        configured = configured.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
    }
    if let Some((user, password)) = &options.user {
        configured = configured.user_and_password(user.clone(), secret(password)?);
    }
    if let Some(path) = &options.token {
        configured = configured.token(secret(path)?);
    }
    if let Some(path) = &options.nkey {
        configured = configured.nkey(secret(path)?);
    }
    Ok(configured)
}

/// async-nats reads a user and password, or a token, from an address and does not use them.
fn with_credentials(configured: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let Some((server, user)) = servers.iter().find_map(|server| Some((server, server.username()?))) else {
        return configured;
    };
    match server.password() {
        Some(password) => configured.user_and_password(plain(user), plain(password)),
        None => configured.token(plain(user)),
    }
}

/// Addresses as they may be told.
pub(crate) fn without_password(url: &str) -> String {
    // An address may come without a scheme, and with a password all the same.
    let hide = |one: &str| match (one.find("://"), one.rfind('@')) {
        (Some(scheme), Some(at)) => format!("{}://…{}", &one[..scheme], &one[at..]),
        (None, Some(at)) => format!("…{}", &one[at..]),
        _ => one.to_owned(),
    };
    url.split(',').map(hide).collect::<Vec<_>>().join(",")
}

/// Up to half a minute, spread, so that a server that comes back is not met by its whole fleet at once.
fn delay(attempts: usize) -> Duration {
    let bound = Duration::from_millis(200).saturating_mul(1 << attempts.min(8)).min(Duration::from_secs(30));
    let chance = u32::from(rand_byte(attempts)) + 1;
    bound * chance / 256
}

/// A byte that differs from agent to agent and from try to try.
fn rand_byte(attempts: usize) -> u8 {
    let now = crate::clock::Now::read().boot.as_duration().as_nanos() as u64;
    let chance = crate::plan::backoff::chance(now, "reconnect", attempts as u64);
    chance.to_le_bytes()[7]
}

fn secret(path: &Path) -> Result<String, NatsError> {
    Ok(text_of(path)?.trim_end().to_owned())
}

fn text_of(path: &Path) -> Result<String, NatsError> {
    std::fs::read_to_string(path).map_err(|source| NatsError::File { path: path.to_owned(), source })
}

fn readable(path: &Path) -> Result<(), NatsError> {
    std::fs::File::open(path).map(drop).map_err(|source| NatsError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_password() {
        for (url, told) in [
            ("nats://ada:s3cret@a:4222,tls://b", "nats://…@a:4222,tls://b"),
            ("ada:s3cret@a:4222", "…@a:4222"),
            ("a:4222", "a:4222"),
        ] {
            assert_eq!(without_password(url), told);
        }
    }

    #[test]
    fn what_a_server_does_not_let_us_hear_is_known() {
        let of =
            |told: &str| refused_subject(&Event::ServerError(async_nats::ServerError::Other(told.into())));
        let told = "Permissions Violation for Subscription to \"holdfast.fleet.desired-state.pump-17\"";
        assert_eq!(of(told).as_deref(), Some("holdfast.fleet.desired-state.pump-17"));
        assert_eq!(of("Permissions Violation for Publish to \"a\""), None);
        assert_eq!(refused_subject(&Event::Connected), None);
    }

    #[test]
    fn a_connection_has_an_odd_number() {
        let mut state = 0;
        assert!(note(&mut state, &Event::Connected) && state == 1);
        assert!(note(&mut state, &Event::Disconnected) && state == 2);
        assert!(!note(&mut state, &Event::Disconnected));
        assert!(note(&mut state, &Event::Connected) && state == 3);
        assert!(note(&mut state, &Event::Connected) && state == 5);
        assert!(note(&mut state, &Event::SlowConsumer(1)) && state == 7, "what was dropped must be read");
    }
}

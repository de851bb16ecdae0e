//! The connection to NATS, and the two buckets on it.

use std::{path::PathBuf, time::Duration};

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr,
    jetstream::{
        self, Context, ErrorCode,
        context::GetStreamErrorKind,
        kv::Store,
        stream::{Info, Stream},
    },
};
use manifest_types::keys::{FLEET_BUCKET, HEARTBEAT_BUCKET};
use tokio::sync::watch;

use crate::error::Error;

/// An answer that takes longer than this is taken for lost.
const ANSWER: Duration = Duration::from_secs(10);

/// Where the fleet is.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct Address {
    /// The server, or several with commas; user and password, or a token, may stand in it: nats://user:password@host:4222.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222",
        hide_env_values = true
    )]
    pub nats_url: String,
    /// A credentials file (JWT and nkey seed).
    #[arg(long, global = true, value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// A file of CA certificates (PEM) to trust besides the system's.
    #[arg(long, global = true, value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// A client certificate (PEM), for servers that ask for one.
    #[arg(long, global = true, value_name = "FILE", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// The client certificate's key (PEM).
    #[arg(long, global = true, value_name = "FILE", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
    /// The bucket of manifests and statuses.
    #[arg(long, global = true, value_name = "NAME", default_value = FLEET_BUCKET)]
    pub bucket: String,
    /// The bucket of heartbeats.
    #[arg(long, global = true, value_name = "NAME", default_value = HEARTBEAT_BUCKET)]
    pub heartbeat_bucket: String,
}

impl Address {
    /// The fleet with the usual bucket names on the server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            nats_url: url.into(),
            nats_creds: None,
            nats_ca: None,
            nats_cert: None,
            nats_key: None,
            bucket: FLEET_BUCKET.to_owned(),
            heartbeat_bucket: HEARTBEAT_BUCKET.to_owned(),
        }
    }
}

/// A connection to the fleet.
#[derive(Debug, Clone)]
pub struct Link {
    client: Client,
    jetstream: Context,
    address: Address,
    connections: watch::Receiver<u64>,
}

impl Link {
    /// Connects. A server that is not there is an error at once.
    pub async fn connect(address: &Address) -> Result<Self, Error> {
        let (count, connections) = watch::channel(0);
        let mut options = ConnectOptions::new()
            .name("holdfast control-plane-sim")
            .request_timeout(Some(ANSWER))
            .event_callback(move |event| {
                if matches!(event, Event::Connected) {
                    count.send_modify(|count| *count += 1);
                }
                std::future::ready(())
            });
        if let Some(ca) = &address.nats_ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let (Some(cert), Some(key)) = (&address.nats_cert, &address.nats_key) {
            options = options.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
        }
        if let Some(creds) = &address.nats_creds {
            let read = options.credentials_file(creds).await;
            options = read.map_err(|source| Error::ReadFile { path: creds.clone(), source })?;
        }
        let url = without_credentials(&address.nats_url);
        let servers: Result<Vec<ServerAddr>, _> = address.nats_url.split(',').map(str::parse).collect();
        let connected = match servers {
            Ok(servers) => with_credentials(options, &servers).connect(servers).await,
            Err(error) => Err(ConnectError::with_source(ConnectErrorKind::ServerParse, error)),
        };
        let client = connected.map_err(|source| Error::Connect { url, source })?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(ANSWER);
        Ok(Self { client, jetstream, address: address.clone(), connections })
    }

    /// The plain connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// JetStream on it.
    pub fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Counts connections: it changes whenever a lost one is there again.
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.connections.clone()
    }

    /// The bucket of manifests and statuses.
    pub async fn fleet(&self) -> Result<Store, Error> {
        self.bucket(&self.address.bucket).await
    }

    /// The bucket of heartbeats.
    pub async fn heartbeats(&self) -> Result<Store, Error> {
        self.bucket(&self.address.heartbeat_bucket).await
    }

    async fn bucket(&self, bucket: &str) -> Result<Store, Error> {
        let stream = self.stream(bucket).await?.ok_or_else(|| Error::NoBucket {
            bucket: bucket.to_owned(),
            url: without_credentials(&self.address.nats_url),
        })?;
        Ok(Store {
            name: bucket.to_owned(),
            stream_name: stream.cached_info().config.name.clone(),
            prefix: manifest_types::keys::kv_subject(bucket, ""),
            put_prefix: None,
            use_jetstream_prefix: false,
            stream,
        })
    }

    /// The stream behind a bucket; `None` if it is not there.
    pub async fn stream(&self, bucket: &str) -> Result<Option<Stream<Info>>, Error> {
        match self.jetstream.get_stream(format!("KV_{bucket}")).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(answer)
                    if answer.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    Ok(None)
                }
                _ => Err(Error::LookUp { bucket: bucket.to_owned(), source: Box::new(error) }),
            },
        }
    }
}

/// User and password, or a token, as they stand in a URL: async-nats 0.51 reads them and does not use them.
fn with_credentials(options: ConnectOptions, servers: &[ServerAddr]) -> ConnectOptions {
    let Some((server, user)) = servers.iter().find_map(|server| Some((server, server.username()?))) else {
        return options;
    };
    match server.password() {
        Some(password) => options.user_and_password(decoded(user), decoded(password)),
        None => options.token(decoded(user)),
    }
}

/// A part of a URL without its percent encoding. What is not encoded right stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let code = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| first == b'%');
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The URL as it may be shown: what stands before the `@` is left out.
fn without_credentials(urls: &str) -> String {
    let shown = urls.split(',').map(|url| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{host}")
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        assert_eq!(without_credentials("nats://user:p@ss@host:4222"), "nats://host:4222");
        assert_eq!(without_credentials("tls://token@host"), "tls://host");
        assert_eq!(without_credentials("host:4222"), "nats://host:4222");
        assert_eq!(without_credentials("nats://a:b@c,nats://d:e@f"), "nats://c,nats://f");
    }

    #[test]
    fn a_url_is_decoded() {
        assert_eq!(decoded("p%40ss%2"), "p@ss%2");
        assert_eq!(decoded("100%zz%C3%BC"), "100%zzü");
    }

    #[tokio::test]
    async fn a_connection_that_fails_shows_no_credentials() {
        let address = Address::new("nats://ada:secret@127.0.0.1:1");
        let error = Link::connect(&address).await.unwrap_err();
        assert!(!error.report().contains("secret"), "{}", error.report());
        assert!(error.report().contains("cannot connect to nats://127.0.0.1:1"), "{}", error.report());
    }
}

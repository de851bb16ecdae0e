//! Contents from outside the device: objects of a NATS object store, and HTTP.

use std::{sync::OnceLock, time::Duration};

use async_nats::jetstream;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use reconcilers::host::{Blob, BlobError, BlobSource, Blobs};
use tokio::io::AsyncReadExt;

use crate::{chain::chain, nats::Link};

/// So many bytes of an object are in memory at once.
const CHUNK: usize = 64 * 1024;
/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// Fetches contents by the connections that the agent has.
pub struct Fetcher {
    link: Option<Link>,
    http: OnceLock<Result<reqwest::Client, String>>,
}

impl Fetcher {
    /// With a connection to NATS or without one.
    pub fn new(link: Option<Link>) -> Self {
        Self { link, http: OnceLock::new() }
    }

    /// Made when it is first needed: most devices never do, and it holds a list of authorities.
    fn http(&self) -> Result<reqwest::Client, String> {
        let make = || {
            drop(rustls::crypto::ring::default_provider().install_default());
            let client =
                reqwest::Client::builder().connect_timeout(Duration::from_secs(30)).read_timeout(SILENCE);
            client
                .user_agent(concat!("holdfast/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(|error| error.to_string())
        };
        self.http.get_or_init(make).clone()
    }
}

impl Blobs for Fetcher {
    fn open(&self, source: &BlobSource) -> BoxFuture<'static, Result<Blob, BlobError>> {
        let source = source.clone();
        match &source {
            BlobSource::Object { bucket, name } => {
                let Some(link) = self.link.clone() else {
                    let why = "this agent has no connection to NATS; objects need --source nats".to_owned();
                    return async move { Err(BlobError::Unreachable { from: source, why }) }.boxed();
                };
                object(link, bucket.clone(), name.clone()).boxed()
            }
            BlobSource::Url(url) => {
                let (client, url) = (self.http(), url.clone());
                download(client, url, source).boxed()
            }
        }
    }
}

async fn object(link: Link, bucket: String, name: String) -> Result<Blob, BlobError> {
    let from = BlobSource::Object { bucket: bucket.clone(), name: name.clone() };
    let unreachable = |why: String| BlobError::Unreachable { from: from.clone(), why };
    let jetstream = jetstream::new(link.client.clone());
    let store = jetstream.get_object_store(&bucket).await.map_err(|error| unreachable(error.to_string()))?;
    let object = store.get(&name).await.map_err(|error| unreachable(error.to_string()))?;
    let size = object.info.size as u64;
    let chunks = stream::try_unfold((object, from), |(mut object, from)| async move {
        let mut buffer = vec![0; CHUNK];
        let read = tokio::time::timeout(SILENCE, object.read(&mut buffer)).await;
        let read = match read {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(_) => Err("the server sends nothing".into()),
        };
        match read {
            Ok(0) => Ok(None),
            Ok(count) => {
                buffer.truncate(count);
                Ok(Some((Bytes::from(buffer), (object, from))))
            }
            Err(why) => Err(BlobError::Unreachable { from, why }),
        }
    });
    Ok(Blob { size: Some(size), chunks: chunks.boxed() })
}

async fn download(
    client: Result<reqwest::Client, String>,
    url: String,
    from: BlobSource,
) -> Result<Blob, BlobError> {
    let unreachable = |why: String| BlobError::Unreachable { from: from.clone(), why };
    let client = client.map_err(unreachable)?;
    // An address may hold a signature, and so may an error that quotes it.
    let plainly = |error: reqwest::Error| chain(&error.without_url());
    let response = client.get(&url).send().await.map_err(|error| unreachable(plainly(error)))?;
    let status = response.status();
    if !status.is_success() {
        return Err(BlobError::Refused { from, why: format!("the server answered {status}") });
    }
    let size = response.content_length();
    let told = from.clone();
    let chunks = stream::try_unfold(response, |mut response| async move {
        Ok(response.chunk().await?.map(|chunk| (chunk, response)))
    });
    let chunks = chunks.map_err(move |error: reqwest::Error| BlobError::Unreachable {
        from: told.clone(),
        why: plainly(error),
    });
    Ok(Blob { size, chunks: chunks.boxed() })
}

//! What reconcilers are built from: where they may work, and how they reach what is not on the device.

use std::{fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use manifest_types::name::AgentId;

/// The device as reconcilers meet it.
#[derive(Clone)]
pub struct Host {
    /// The directory below which the paths of File resources are; `/` on a device.
    pub root: PathBuf,
    /// Where originals and what was displaced are kept; the agent's own, on a durable file system.
    pub state_dir: PathBuf,
    /// Directories and files of the agent itself, which no resource may touch: absolute paths on the real file system.
    pub protected: Vec<PathBuf>,
    /// The agent, whose mark is on what it makes where marks can be.
    pub agent_id: AgentId,
    /// Where a container engine may listen, in this order: `unix:///path` or `tcp://host:port`.
    pub engine_places: Vec<String>,
    /// Where init systems are.
    pub services: Services,
    /// How contents that are not in the manifest are fetched.
    pub blobs: Arc<dyn Blobs>,
    /// Whether those can be reached who say what this device is to be.
    pub reach: Arc<dyn Reachability>,
}

/// Where init systems and their units' files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// The directory below which the paths of units' files are; `/` on a device, whatever `Host::root` is: systemd reads them there.
    pub root: PathBuf,
    /// The system's message bus, as a D-Bus address.
    pub system_bus: String,
    /// The message bus of the agent's own user, if there is one.
    pub user_bus: Option<String>,
    /// Where units of the agent's own user are, below the root.
    pub user_units: Option<String>,
    /// The unit that the agent runs as, if it does.
    pub own_unit: Option<String>,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            root: "/".into(),
            system_bus: "unix:path=/run/dbus/system_bus_socket".into(),
            user_bus: None,
            user_units: None,
            own_unit: None,
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("root", &self.root)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// Where a content is.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// An object of a NATS object store.
    Object {
        /// The object store's bucket.
        bucket: String,
        /// The object's name.
        name: String,
    },
    /// An HTTP or HTTPS address. It may hold a signature, so it is not printed whole.
    Url(String),
}

impl fmt::Display for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { bucket, name } => write!(f, "object {bucket}/{name}"),
            Self::Url(url) => f.write_str(without_secrets(url)),
        }
    }
}

impl fmt::Debug for BlobSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address without its query and fragment, and with nothing at all where it names a user.
fn without_secrets(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    if url[..end].contains('@') { "an address with a user in it" } else { &url[..end] }
}

/// A content on its way.
pub struct Blob {
    /// Its size in bytes, if it is known beforehand.
    pub size: Option<u64>,
    /// Its bytes, in pieces that fit in memory.
    pub chunks: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// Fetches contents from outside the device. The bytes are not to be trusted: whoever asks checks their digest.
pub trait Blobs: Send + Sync {
    /// Begins to fetch.
    fn open(&self, source: &BlobSource) -> BoxFuture<'static, Result<Blob, BlobError>>;
}

/// Tells whether the source of manifests can be reached. A connection that stands proves nothing: it may be that of a network which is gone.
pub trait Reachability: Send + Sync {
    /// Makes a new connection to it and has it answered; or why not.
    fn control_plane(&self) -> BoxFuture<'static, Result<(), String>>;

    /// The network is another one now, or is there again: what was connected over it may hang for a long time.
    fn network_changed(&self) {}
}

/// A device whose manifests come from itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlwaysThere;

impl Reachability for AlwaysThere {
    fn control_plane(&self) -> BoxFuture<'static, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A content that cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The way to it is not configured or not connected.
    #[error("cannot reach {from}: {why}")]
    Unreachable {
        /// What was asked for.
        from: BlobSource,
        /// Why.
        why: String,
    },
    /// The other side answered that it will not give it.
    #[error("{from} was refused: {why}")]
    Refused {
        /// What was asked for.
        from: BlobSource,
        /// Its answer.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_secrets() {
        let told = |url: &str| BlobSource::Url(url.into()).to_string();
        assert_eq!(told("https://a/b?sig=1"), "https://a/b");
        assert_eq!(told("https://u:p@a/b"), "an address with a user in it");
    }
}

//! Where manifests come from. A source knows transports, not meaning: it brings bytes and their revision.

use std::fmt;

use tokio::sync::oneshot;

use crate::admit::Form;

pub mod balena;
pub mod file;
pub mod nats;

/// What a source brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What the key, or the file, holds now; nothing if it is not there.
    Content {
        /// The bytes.
        bytes: Option<Vec<u8>>,
        /// Their revision.
        revision: u64,
    },
    /// What the source has is none of its own documents, and says nothing of what is wanted.
    Unusable {
        /// Why.
        message: String,
        /// Its revision.
        revision: u64,
    },
    /// The source can be reached.
    Connected,
    /// It cannot, and why.
    Disconnected(String),
}

/// The kinds of sources.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A key in a NATS KV bucket.
    #[default]
    Nats,
    /// A file on the device.
    File,
    /// The target state of balenaCloud or openBalena.
    Balena,
}

/// What a source that has to ask is told.
#[derive(Debug)]
pub enum Order {
    /// Ask now; with `force`, whatever forbids to disrupt something is ignored until it is asked again.
    Poll {
        /// Whether to ignore it.
        force: bool,
        /// Told when that is known.
        reply: oneshot::Sender<()>,
    },
    /// Say how it fares.
    Tell(oneshot::Sender<serde_json::Value>),
}

impl SourceKind {
    /// The form in which it brings manifests.
    pub fn form(self) -> Form {
        match self {
            Self::Nats => Form::Json,
            Self::File | Self::Balena => Form::Yaml,
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nats => "nats",
            Self::File => "file",
            Self::Balena => "balena",
        })
    }
}

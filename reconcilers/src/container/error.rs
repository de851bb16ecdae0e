//! What can go wrong with a container, beyond what its engine refuses.

use std::path::PathBuf;

use crate::books::NotRemembered;
use crate::error::Fault;

/// A container that cannot be brought to its spec.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Somebody else's has the name.
    #[error(
        "a container {name} is there that is not this agent's; it is left alone. Remove or rename it, or give the spec another name"
    )]
    Conflict {
        /// The name.
        name: String,
    },
    /// There is none.
    #[error("there is no container {name}")]
    NotThere {
        /// The name.
        name: String,
    },
    /// The new one proved bad, and the old one is back.
    #[error("{new} did not take the place of {old}, which is back: {why}")]
    RolledBack {
        /// The image of the old one.
        old: String,
        /// The image of the new one.
        new: String,
        /// Why.
        why: String,
    },
    /// The engine takes the spec and makes something else of it.
    #[error(
        "the engine has made {name} with another {fields} than was asked for; it is left as it is. Ask for what this engine can do"
    )]
    NotKept {
        /// Its name.
        name: String,
        /// What differs.
        fields: String,
    },
    /// Somebody forbids to disrupt it.
    #[error("{} is there, and forbids to disrupt it", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// A lock cannot be taken.
    #[error("the lock {} cannot be taken", path.display())]
    CannotLock {
        /// The lock.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is about to be done cannot be written down, and nobody would know of it after a kill.
    #[error(transparent)]
    NotRemembered(#[from] NotRemembered),
    /// What was done was undone again and again.
    #[error("after {moves} moves it is still not as wanted: something else keeps changing it")]
    Contended {
        /// How many.
        moves: usize,
    },
}

impl Fault for ContainerError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "Conflict",
            Self::NotThere { .. } => "NotThere",
            Self::RolledBack { .. } => "UpdateRolledBack",
            Self::NotKept { .. } => "NotKeptByEngine",
            Self::Locked { .. } => "Locked",
            Self::CannotLock { .. } => "CannotLock",
            Self::NotRemembered(error) => error.reason(),
            Self::Contended { .. } => "Contended",
        }
    }

    fn can_retry(&self) -> bool {
        !matches!(self, Self::NotKept { .. } | Self::RolledBack { .. })
    }

    fn was_rolled_back(&self) -> bool {
        matches!(self, Self::RolledBack { .. })
    }
}

//! What a command says when it cannot do what was asked: what, where, and what to do.

use std::{io, path::PathBuf};

use super::client::ClientError;
use crate::{chain::chain, config::ConfigError, ledger::store::LedgerError};

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The agent did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A document is not what it should be.
    #[error("{file} is no target state: {problems}")]
    NoTargetState {
        /// The file.
        file: String,
        /// What is wrong with it.
        problems: String,
    },
    /// The agent's source is another one.
    #[error("this agent's source is not balena")]
    NotBalena,
    /// The API, or what is kept of it, cannot be used.
    #[error("{0}")]
    Balena(String),
    /// The output cannot be written.
    #[error("cannot write the output")]
    Write(#[source] io::Error),
    /// There is no runtime to be had.
    #[error("cannot start")]
    Start(#[source] io::Error),
}

impl CliError {
    /// What to do about it.
    fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Client(ClientError::NoAgent { .. }) => {
                Some("is it running? start it with `holdfast run`, or name its socket with --api-socket PATH")
            }
            Self::Client(ClientError::NotAllowed { .. }) => {
                Some("only the agent's own user may ask it: try as root, with sudo")
            }
            Self::Client(ClientError::Broken { .. } | ClientError::Silent { .. }) => {
                Some("its log says more: `journalctl -u holdfast`, or where it was started")
            }
            Self::Ledger(LedgerError::InUse { .. }) => Some(
                "an agent runs that does not answer at this socket: name its socket with --api-socket PATH",
            ),
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("name a file that is there, or - for the standard input")
            }
            Self::NotBalena => {
                Some("say --source balena, or name the configuration file that says so with --config")
            }
            Self::NoTargetState { .. } => Some(
                "it is what GET /device/v3/UUID/state answers: an object with this device's uuid, and in it name, config and apps",
            ),
            _ => None,
        }
    }

    /// Whether whoever read the output has gone, as `head` does: no failure to tell.
    pub(super) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error with its causes, and what to do, as lines.
    pub(super) fn told(&self) -> String {
        let told = format!("holdfast: {}", chain(self));
        match self.advice() {
            Some(advice) => format!("{told}\n  {advice}\n"),
            None => format!("{told}\n"),
        }
    }
}

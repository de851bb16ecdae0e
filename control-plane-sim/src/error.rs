//! What can go wrong, and what the person can do about it.

use std::{error::Error as _, fmt::Write as _, io, path::PathBuf};

use async_nats::{
    ConnectError,
    jetstream::{
        context::{CreateStreamError, GetStreamError},
        kv::{EntryError, UpdateError, WatchError, WatcherError},
        stream::InfoError,
    },
};
use manifest_types::{manifest::Generation, name::AgentId};

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that the command line names cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file; `-` is the standard input.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The simulation does not answer.
    #[error("the simulation at {address} does not answer")]
    NoSimulation {
        /// Where it was to be.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The simulation does not do it.
    #[error("the simulation answers {status}: {message}")]
    NotDone {
        /// Its status.
        status: u16,
        /// What it says.
        message: String,
    },
    /// Nobody can listen there.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The manifest is wrong; the lines tell every problem with its place.
    #[error("{lines}\n{file} is not applied: {}", problems(*count))]
    Manifest {
        /// The file.
        file: String,
        /// One line for each problem.
        lines: String,
        /// How many.
        count: usize,
    },
    /// There is no connection to the NATS server.
    #[error("cannot connect to {url}")]
    Connect {
        /// The server, without credentials.
        url: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// A bucket is not there.
    #[error("there is no bucket {bucket} on {url}")]
    NoBucket {
        /// The bucket.
        bucket: String,
        /// The server, without credentials.
        url: String,
    },
    /// What the server says of a bucket could not be read.
    #[error("cannot look up bucket {bucket}")]
    LookUp {
        /// The bucket.
        bucket: String,
        /// Why.
        #[source]
        source: Box<GetStreamError>,
    },
    /// What the server says of a bucket's state could not be read.
    #[error("cannot read the state of bucket {bucket}")]
    State {
        /// The bucket.
        bucket: String,
        /// Why.
        #[source]
        source: Box<InfoError>,
    },
    /// A bucket cannot be made.
    #[error("cannot make bucket {bucket}")]
    Create {
        /// The bucket.
        bucket: String,
        /// Why.
        #[source]
        source: Box<CreateStreamError>,
    },
    /// Buckets are there, but not as wanted; the lines tell how.
    #[error("{lines}\na bucket is not as it should be, and was left as it is")]
    BucketDiffers {
        /// What was found of each bucket.
        lines: String,
    },
    /// A key's value cannot be read.
    #[error("cannot read {key}")]
    Read {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: EntryError,
    },
    /// A key or a bucket cannot be followed.
    #[error("cannot follow {key}")]
    Follow {
        /// The key, or a pattern of keys.
        key: String,
        /// Why.
        #[source]
        source: WatchError,
    },
    /// Following a key or a bucket broke off.
    #[error("following {key} broke off")]
    BrokenOff {
        /// The key, or a pattern of keys.
        key: String,
        /// Why.
        #[source]
        source: WatcherError,
    },
    /// The server did not deliver what it said it had.
    #[error("the server did not deliver all of {key} in time")]
    Incomplete {
        /// The key, or a pattern of keys.
        key: String,
    },
    /// A key's value cannot be written.
    #[error("cannot write {key}")]
    Write {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: UpdateError,
    },
    /// Others wrote the key again and again.
    #[error("{key} was written by others {attempts} times in a row")]
    Contended {
        /// The key.
        key: String,
        /// How often this was tried.
        attempts: usize,
    },
    /// The device has no generation left to count up to.
    #[error("{agent} has no generation left: the highest is {}", Generation::MAX)]
    NoGenerationLeft {
        /// The device.
        agent: AgentId,
    },
    /// Nothing is known of a device.
    #[error("nothing is known of {agent}: it has no manifest, no status and no heartbeat")]
    UnknownDevice {
        /// The device.
        agent: AgentId,
    },
    /// A device has not reported.
    #[error("{agent} has not reported a status")]
    NoStatus {
        /// The device.
        agent: AgentId,
    },
    /// A device never had a manifest.
    #[error("{agent} has no manifest and no history of one")]
    NoManifest {
        /// The device.
        agent: AgentId,
    },
    /// The history does not hold a generation.
    #[error("generation {generation} of {agent} is not in the history, which holds {held}")]
    NotInHistory {
        /// The device.
        agent: AgentId,
        /// What was asked for.
        generation: Generation,
        /// What is there.
        held: String,
    },
    /// The status is none that this build can read.
    #[error("the status of {agent} cannot be read")]
    Status {
        /// The device.
        agent: AgentId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The device refused the manifest.
    #[error("{agent} refused generation {generation}: {reason}: {message}")]
    Refused {
        /// The device.
        agent: AgentId,
        /// What it refused.
        generation: Generation,
        /// Why, in one word.
        reason: String,
        /// Why, in a sentence.
        message: String,
    },
    /// A newer generation came before this one was ready.
    #[error("{agent} went on to generation {newer} before {generation} was ready")]
    Superseded {
        /// The device.
        agent: AgentId,
        /// What was waited for.
        generation: Generation,
        /// What it holds now.
        newer: u64,
    },
    /// The device was not ready in time; the lines tell what is not, and why.
    #[error("{agent}: generation {generation} was not ready after {after}\n{lines}")]
    TimedOut {
        /// The device.
        agent: AgentId,
        /// What was waited for.
        generation: Generation,
        /// How long.
        after: String,
        /// What is not ready.
        lines: String,
    },
    /// Nothing can be written to the terminal or the pipe.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

fn problems(count: usize) -> String {
    if count == 1 { "1 problem".to_owned() } else { format!("{count} problems") }
}

impl Error {
    /// What the person can do, where there is something.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Connect { .. } => "start a NATS server with JetStream, or name another one with --nats-url",
            Self::NoBucket { .. } => "make both buckets with `control-plane-sim init`",
            Self::LookUp { .. } | Self::Create { .. } => {
                "the server needs JetStream (`nats-server -js`) and the user leave to use it"
            }
            Self::BucketDiffers { .. } => {
                "change it (`nats stream edit KV_<bucket>`), or remove it (`nats kv del <bucket>`) and run this again"
            }
            Self::Write { .. } => {
                "it may have been written all the same: see `control-plane-sim history ID`, then run it again"
            }
            Self::Contended { .. } => "let one control plane write at a time, then run it again",
            Self::NoGenerationLeft { .. } => {
                "on the device: `holdfast forget-generation`; here: `nats kv purge` of its keys, then apply again"
            }
            Self::UnknownDevice { .. } | Self::NoManifest { .. } => {
                "see the known devices with `control-plane-sim get`; give one a manifest with `apply`"
            }
            Self::NoStatus { .. } => "is the agent running, with this server and this agent id?",
            Self::NotInHistory { .. } => "choose one that is there (`control-plane-sim history ID`)",
            Self::TimedOut { .. } | Self::Refused { .. } => {
                "see more with `control-plane-sim describe ID`, or `holdfast explain` on the device"
            }
            _ => return None,
        })
    }

    /// The process's exit code: 3 where the device refused, 4 where time ran out, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::TimedOut { .. } => 4,
            _ => 1,
        }
    }

    /// Whether the reader of the output has gone away, as `head` does: no failure.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The error with its causes and the advice, as it is printed. A cause that the one before it has already told is left out.
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut cause = self.source();
        while let Some(source) = cause {
            let told = source.to_string();
            if !report.contains(&told) {
                let _ = write!(report, ": {told}");
            }
            cause = source.source();
        }
        if let Some(advice) = self.advice() {
            let _ = write!(report, "\n{advice}");
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::kv::UpdateErrorKind;

    use super::*;

    #[test]
    fn the_chain_is_told_once_with_advice() {
        let deepest = io::Error::other("disk on fire");
        let source = UpdateError::with_source(UpdateErrorKind::Other, deepest);
        let error = Error::Write { key: "desired-state.a".to_owned(), source };
        let report = error.report();
        assert_eq!(report.matches("disk on fire").count(), 1, "{report}");
        assert!(report.starts_with("cannot write desired-state.a: "), "{report}");
        assert!(report.lines().count() == 2, "{report}");
    }
}

//! What can go wrong with an engine, with a stable reason for each.

use std::time::Duration;

use crate::error::{Fault, Unseen};

/// A call to an engine that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// There is no socket of an engine.
    #[error(
        "no container engine answers at {places}; install Docker or Podman, or name its socket with --docker-host"
    )]
    NoEngine {
        /// Where it was looked for, and what was found there.
        places: String,
    },
    /// The connection cannot be made, or broke.
    #[error("the container engine at {endpoint} cannot be reached: {why}")]
    Away {
        /// Its socket.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// It did not answer in time.
    #[error("the container engine did not {doing} within {limit:?}")]
    TooSlow {
        /// What it was asked for.
        doing: String,
        /// How long it had.
        limit: Duration,
    },
    /// Its API is too old.
    #[error("{name} {version} speaks API {api_version}; 1.41 is needed at least (Docker 20.10, Podman 4)")]
    TooOld {
        /// Its name.
        name: String,
        /// Its version.
        version: String,
        /// The highest API version that it speaks.
        api_version: String,
    },
    /// It answered something that this build cannot read.
    #[error("the container engine's answer to {doing:?} cannot be read: {why}")]
    Garbled {
        /// What it was asked for.
        doing: String,
        /// Why.
        why: String,
    },
    /// It cannot do what a spec asks for.
    #[error("{what} needs a newer container engine: {needs}")]
    Unsupported {
        /// The member of the spec.
        what: &'static str,
        /// What would do.
        needs: &'static str,
    },
    /// It answered that it will not.
    #[error("the container engine will not {doing}: {message}")]
    Refused {
        /// What it was asked for.
        doing: String,
        /// Why, as far as it is known.
        cause: Cause,
        /// Its words.
        message: String,
    },
}

/// Why an engine will not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// What was named is not there.
    NotFound,
    /// It is there already, or in use.
    InConflict,
    /// It is on its way out.
    Leaving,
    /// The registry does not know the image.
    ImageNotFound,
    /// The registry wants other credentials.
    Unauthorized,
    /// The registry does not answer.
    RegistryUnreachable,
    /// What the registry gave is not what its digest says.
    DigestMismatch,
    /// There is no room.
    InsufficientStorage,
    /// The host's port or address is taken.
    PortTaken,
    /// All addresses that the engine may give to networks are given.
    NoAddresses,
    /// A network that the container is to be in is not there.
    NetworkNotFound,
    /// A directory or device of the host is not there.
    SourceMissing,
    /// What is asked for is not possible.
    Invalid,
    /// Something else.
    Other,
}

/// What engines and registries say, in small letters, and what it means. The first that fits counts.
const MEANINGS: &[(&str, Cause)] = &[
    ("no space left on device", Cause::InsufficientStorage),
    ("verification failed for digest", Cause::DigestMismatch),
    ("digest did not match", Cause::DigestMismatch),
    ("does not match the digest", Cause::DigestMismatch),
    ("digest mismatch", Cause::DigestMismatch),
    ("manifest unknown", Cause::ImageNotFound),
    ("repository does not exist", Cause::ImageNotFound),
    // Nothing has this name, and several ids begin with it.
    ("multiple ids found", Cause::NotFound),
    ("more than one result", Cause::NotFound),
    ("no such image", Cause::ImageNotFound),
    ("image not known", Cause::ImageNotFound),
    ("name unknown", Cause::ImageNotFound),
    // With whom something is to be shared; Docker calls that a bad request.
    ("no such container", Cause::NotFound),
    ("no container with name", Cause::NotFound),
    ("unauthorized", Cause::Unauthorized),
    ("authentication required", Cause::Unauthorized),
    ("no basic auth credentials", Cause::Unauthorized),
    ("invalid username/password", Cause::Unauthorized),
    ("access denied", Cause::Unauthorized),
    ("non-overlapping", Cause::NoAddresses),
    ("could not find free subnet", Cause::NoAddresses),
    ("pool overlaps", Cause::NoAddresses),
    ("port is already allocated", Cause::PortTaken),
    ("address already in use", Cause::PortTaken),
    ("marked for removal", Cause::Leaving),
    ("removal of container", Cause::Leaving),
    ("has active endpoints", Cause::InConflict),
    ("is in use", Cause::InConflict),
    ("already in use", Cause::InConflict),
    ("is being used", Cause::InConflict),
    ("already used", Cause::InConflict),
    ("already exists", Cause::InConflict),
    ("already connected", Cause::InConflict),
    ("is not connected to", Cause::NotFound),
    ("network not found", Cause::NetworkNotFound),
    ("unable to find network", Cause::NetworkNotFound),
    ("bind source path does not exist", Cause::SourceMissing),
    ("error gathering device information", Cause::SourceMissing),
    ("connection refused", Cause::RegistryUnreachable),
    ("http response to https client", Cause::RegistryUnreachable),
    ("no such host", Cause::RegistryUnreachable),
    ("i/o timeout", Cause::RegistryUnreachable),
    ("connection reset", Cause::RegistryUnreachable),
    ("tls handshake", Cause::RegistryUnreachable),
    ("server misbehaving", Cause::RegistryUnreachable),
    ("context deadline exceeded", Cause::RegistryUnreachable),
];

impl Cause {
    /// Why an engine answers with this status (0 where it has none) and these words.
    pub fn of(status: u16, message: &str) -> Self {
        let message = message.to_lowercase();
        if let Some((_, cause)) = MEANINGS.iter().find(|(words, _)| message.contains(words)) {
            return *cause;
        }
        let is_network = message.contains("network") && message.contains("not found");
        match status {
            404 if is_network => Self::NetworkNotFound,
            404 => Self::NotFound,
            409 => Self::InConflict,
            400 => Self::Invalid,
            _ => Self::Other,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::InConflict | Self::Leaving => "InUse",
            Self::ImageNotFound => "ImageNotFound",
            Self::Unauthorized => "Unauthorized",
            Self::RegistryUnreachable => "RegistryUnreachable",
            Self::DigestMismatch => "DigestMismatch",
            Self::InsufficientStorage => "InsufficientStorage",
            Self::PortTaken => "PortTaken",
            Self::NoAddresses => "NoFreeAddresses",
            Self::NetworkNotFound => "NetworkNotFound",
            Self::SourceMissing => "SourceMissing",
            Self::Invalid => "RefusedByEngine",
            Self::Other => "EngineError",
        }
    }
}

impl EngineError {
    /// Why the engine will not, if that is what it answered.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Self::Refused { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// Whether it was not the call that failed, but the engine that is not there.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::NoEngine { .. } | Self::Away { .. } | Self::TooOld { .. })
    }
}

impl Fault for EngineError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NoEngine { .. } => "NoEngine",
            Self::Away { .. } => "EngineAway",
            Self::TooSlow { .. } => "EngineTooSlow",
            Self::TooOld { .. } => "EngineTooOld",
            Self::Garbled { .. } => "EngineNotUnderstood",
            Self::Unsupported { .. } => "UnsupportedByEngine",
            Self::Refused { cause, .. } => cause.reason(),
        }
    }

    fn can_retry(&self) -> bool {
        !matches!(self, Self::Unsupported { .. } | Self::Refused { cause: Cause::Invalid, .. })
    }
}

impl From<EngineError> for Unseen {
    fn from(error: EngineError) -> Self {
        Self { reason: error.reason(), message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_is_understood() {
        for (status, message, cause) in [
            (
                0,
                "manifest for localhost:5000/a:9 not found: manifest unknown: manifest unknown",
                Cause::ImageNotFound,
            ),
            (
                500,
                "Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
                Cause::RegistryUnreachable,
            ),
            (500, "Head \"http://r/v2/a/manifests/1\": no basic auth credentials", Cause::Unauthorized),
            (0, "write /var/lib/docker/tmp/x: no space left on device", Cause::InsufficientStorage),
            (
                500,
                "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated",
                Cause::PortTaken,
            ),
            (403, "Pool overlaps with other one on this address space", Cause::NoAddresses),
            (404, "network shop not found", Cause::NetworkNotFound),
            (404, "No such container: web", Cause::NotFound),
            (409, "Conflict. The container name \"/web\" is already in use", Cause::InConflict),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                Cause::SourceMissing,
            ),
            (400, "invalid CapAdd: unknown capability: \"CAP_X\"", Cause::Invalid),
            (500, "something", Cause::Other),
        ] {
            assert_eq!(Cause::of(status, message), cause, "{message}");
        }
    }
}

//! Where statuses go. A sink knows transports, not meaning: it gets bytes and the revision that they replace.

use crate::engine::outbox::Fact;

pub mod balena;
pub mod file;
pub mod nats;

/// What a sink is asked to do, one after the other.
#[derive(Debug)]
pub enum Order {
    /// Say what is held.
    Read,
    /// Replace the revision `over`, and only that.
    Write {
        /// The status.
        bytes: Vec<u8>,
        /// The revision that it replaces; 0 where there is none.
        over: u64,
    },
    /// Give a sign of life.
    Heartbeat {
        /// The heartbeat.
        bytes: Vec<u8>,
    },
    /// Look for signs of life of another instance.
    Listen,
}

/// What a sink answers.
#[derive(Debug)]
pub enum Answer {
    /// A fact for the engine.
    Fact(Fact),
    /// How many bytes it takes at once.
    Limit(usize),
}

/// The instance that wrote a status or a heartbeat, if that can be read.
pub(crate) fn instance_of(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    value.get("instanceId")?.as_str().map(str::to_owned)
}

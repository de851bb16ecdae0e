//! The device agent: holds a device to its desired state.
//!
//! Bytes flow one way: a source brings them, [`admit`] judges them, the [`engine`] holds them against what is there and says what should
//! be under way, reconcilers do it, [`report`] tells it, a sink delivers it. The [`ledger`] remembers. Decisions are pure; [`clock`] alone reads the time.

pub mod admit;
pub mod alarm;
pub mod api;
pub mod ask;
pub mod blobs;
mod chain;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod execute;
pub mod ledger;
pub mod logging;
pub mod nats;
pub mod plan;
pub mod preview;
pub mod report;
pub mod run;
pub mod secret;
pub mod sink;
pub mod source;

//! The wire contract of Holdfast: data and its validation, with no I/O and no clock.
//!
//! A text becomes a value ([`document`]), a value becomes an [`manifest::AgentManifest`] with all its problems told ([`decode`], [`problem`]),
//! each entry by the table of [`kinds`]; [`status`] is what comes back. [`keys`] says where both stand in NATS, [`schema`] describes them to editors.

#![cfg_attr(test, recursion_limit = "256")]

pub mod claim;
pub mod decode;
pub mod digest;
pub mod document;
pub mod keys;
pub mod kinds;
pub mod manifest;
pub mod name;
pub mod problem;
pub mod quantity;
pub mod schema;
pub mod status;
mod text;
mod validate;

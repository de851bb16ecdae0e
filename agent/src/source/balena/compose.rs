//! What a release's composition says of a service, a network or a volume, in the manifest's terms. Pure.
//!
//! Every syntax of a field that the Compose specification has is read; a value in none of them is a problem with its place. Where balena's two agents read a value
//! differently, it is read as that specification says (ADR 0021).

pub mod depends;
mod devices;
mod health;
mod mounts;
pub mod network;
pub mod networks;
mod ports;
mod quantities;
pub mod service;
pub mod texts;
pub mod volume;
mod words;

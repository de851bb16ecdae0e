//! A control plane to develop and test Holdfast against.
//!
//! [`cli`] says what a person may ask for, [`commands`] does it. Effects are in [`link`] (the connection and its buckets), [`store`] (keys) and
//! [`terminal`]; what is decided is decided by functions of values: [`history`] and [`publish::decide`] (which generation comes next), [`manifest_file`]
//! (what is wrong with a file), [`buckets`] (what differs), [`verdict`] (whether a device has arrived), [`fleet`] and [`table`] (what is shown).
//!
//! [`balena`] is another sort of control plane: a simulation of balena's API, with its state in memory.
//!
//! Of ours it imports `manifest-types` only: what it cannot say with these, a real control plane cannot say either.

pub mod age;
pub mod balena;
pub mod buckets;
pub mod cli;
pub mod commands;
pub mod error;
pub mod fleet;
pub mod follow;
pub mod history;
pub mod link;
pub mod manifest_file;
pub mod publish;
pub mod store;
pub mod table;
pub mod terminal;
pub mod verdict;

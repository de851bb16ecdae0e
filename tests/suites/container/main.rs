//! Containers on real engines.

#![expect(clippy::unwrap_used, reason = "all of this is tests, also what stands outside of a test function")]

mod abuse;
mod away;
mod balena;
mod engines;
mod images;
mod kinds;
mod logs;
mod networks;
mod probes;
mod pulls;
mod rig;
mod seeds;
mod settings;
mod stack;
mod updates;

/// The image that both engines have.
const IMAGE: &str = reconcilers::engine::bed::IMAGE;

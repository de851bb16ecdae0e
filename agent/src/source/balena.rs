//! balenaCloud and openBalena as a source: their target state, in this agent's terms.
//!
//! Their words stop here. [`target`] reads the document that the API sends, [`compose`] reads what a release says of a service, and [`translate`] makes a
//! manifest of both. All of that is pure: the same document, the same [`facts`] of the device and the same memory of what was accepted before make the same manifest.

pub mod api;
pub mod cadence;
pub mod compose;
pub mod document;
pub mod facts;
pub mod host;
pub mod identity;
pub mod keep;
pub mod options;
pub mod provision;
pub mod reach;
pub mod register;
pub mod registries;
pub mod target;
pub mod task;
pub mod told;
pub mod translate;

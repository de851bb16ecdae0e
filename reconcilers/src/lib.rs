//! The only code of Holdfast that touches the device: one [`reconciler::Reconciler`] per kind, which sees, brings about and takes away.
//!
//! It knows no NATS, no balena and no plan. The engine reaches it through the [`registry`], the one place where kinds' types are erased,
//! and gets back [`observation`]s and failures as plain data ([`error`]). Reconcilers are built from a [`host::Host`].

pub mod books;
mod bus;
pub mod container;
pub mod container_network;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod durable;
pub mod engine;
pub mod error;
pub mod file;
pub mod host;
pub mod image;
pub mod network_config;
pub mod observation;
pub mod reconciler;
pub mod registry;
pub mod systemd_unit;
mod tail;
pub mod volume;

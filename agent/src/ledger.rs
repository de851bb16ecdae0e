//! The durable memory: what this agent owns, and the last manifest that it admitted.
//!
//! [`store`] keeps it in an embedded, crash-safe database; [`memory`] is all of it as values, [`row`] what it remembers of one resource, and [`writer`] the thread that writes.

pub mod memory;
pub mod row;
pub mod store;
pub mod writer;

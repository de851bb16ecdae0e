//! Units of a real systemd and interfaces of a real kernel, on devices where systemd is the first process.

#![expect(clippy::unwrap_used, reason = "all of this is tests, also what stands outside of a test function")]

mod held;
mod hostile;
mod network;
mod rig;
mod units;

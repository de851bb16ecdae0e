//! Units of a real systemd, on a device where it is the first process.

#![expect(clippy::unwrap_used, reason = "all of this is tests, also what stands outside of a test function")]

mod held;
mod units;

//! Containers on real engines.

mod engines;

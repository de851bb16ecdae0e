//! Containers on real engines.

mod engines;
mod kinds;
mod stack;

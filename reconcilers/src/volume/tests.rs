//! Volumes keep the contract in the fake engine.

use super::fixture::Volumes;
use crate::engine::bed::FakeBed;

crate::promises!(Volumes<FakeBed>);

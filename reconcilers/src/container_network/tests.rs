//! Networks keep the contract in the fake engine.

use super::fixture::Networks;
use crate::engine::bed::FakeBed;

crate::promises!(Networks<FakeBed>);

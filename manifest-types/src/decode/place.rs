//! Where a reading is, and what of that place is left out of it.

use std::collections::BTreeSet;

use crate::problem::{JsonPath, Segment};

/// Where a reading is: a list from the value at hand up to the root, on the stack.
pub(super) enum Place<'p> {
    Root,
    Key(&'p Place<'p>, &'p str),
    Index(&'p Place<'p>, usize),
}

impl Place<'_> {
    pub(super) fn path(&self) -> JsonPath {
        let mut segments = Vec::new();
        let mut place = self;
        loop {
            place = match place {
                Place::Root => break,
                Place::Key(parent, key) => {
                    segments.push(Segment::Key((*key).to_owned()));
                    parent
                }
                Place::Index(parent, index) => {
                    segments.push(Segment::Index(*index));
                    parent
                }
            };
        }
        segments.reverse();
        JsonPath(segments)
    }
}

/// Which parts of one array or object are left out of a reading.
#[derive(Default)]
pub(super) struct Gaps<'a> {
    pub(super) keys: BTreeSet<&'a str>,
    pub(super) indices: BTreeSet<usize>,
}

impl<'a> Gaps<'a> {
    /// Those of what is at `place`. What is below a place follows it in the order of paths.
    pub(super) fn of(place: &Place<'_>, left_out: &'a BTreeSet<JsonPath>) -> Self {
        let mut gaps = Self::default();
        if left_out.is_empty() {
            return gaps;
        }
        let here = place.path();
        for path in left_out.range(&here..).take_while(|path| path.0.starts_with(&here.0)) {
            match &path.0[here.0.len()..] {
                [Segment::Key(key)] => _ = gaps.keys.insert(key),
                [Segment::Index(index)] => _ = gaps.indices.insert(*index),
                _ => {}
            }
        }
        gaps
    }
}

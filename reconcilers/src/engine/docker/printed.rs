//! What a container has printed, as engines tell it.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, future::ready};
use hyper::Method;

use super::{
    found::Found,
    http::{Call, encode},
};
use crate::engine::{Output, terms::Printed};

/// Which output it is, three zeros, and the length.
const HEADER: usize = 8;

/// The request for it.
pub(super) fn call(found: &Found, id: &str, wanted: &Printed) -> Call {
    let path = format!("/containers/{}/logs?stdout=true&stderr=true", encode(id));
    let mut call = found.call(Method::GET, &path, format!("tell what {id} prints"));
    if let Some(last) = wanted.last {
        call = call.query("tail", last);
    }
    if let Some(since) = wanted.since {
        call = call.query("since", format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    if wanted.follow { call.query("follow", true) } else { call }
}

/// What was printed alone.
pub(super) fn without_frames(told: Output) -> Output {
    let mut frames = Frames::default();
    told.map(move |told| told.map(|told| frames.take(&told)))
        .filter(|printed| ready(!printed.as_ref().is_ok_and(Bytes::is_empty)))
        .boxed()
}

/// Takes off the headers that tell the standard output from the standard error. A terminal's output has none.
#[derive(Debug, Default)]
struct Frames {
    /// What came and is not whole yet.
    waits: BytesMut,
    /// So much of the present frame is still to come.
    left: usize,
    /// Whether there are frames, once that can be said.
    framed: Option<bool>,
}

impl Frames {
    fn take(&mut self, told: &[u8]) -> Bytes {
        self.waits.extend_from_slice(told);
        let begins_as_frame = |bytes: &[u8]| matches!(bytes, [0..=2, 0, 0, 0, ..]);
        if self.framed.is_none() && self.waits.len() >= HEADER {
            self.framed = Some(begins_as_frame(&self.waits));
        }
        match self.framed {
            Some(false) => self.waits.split().freeze(),
            Some(true) => self.payload(),
            // What begins like a header may become one.
            None if matches!(self.waits.as_ref(), [0..=2] | [0..=2, 0, ..]) => Bytes::new(),
            None => {
                self.framed = (!self.waits.is_empty()).then_some(false);
                self.waits.split().freeze()
            }
        }
    }

    fn payload(&mut self) -> Bytes {
        let mut printed = BytesMut::new();
        loop {
            let now = self.left.min(self.waits.len());
            printed.extend_from_slice(&self.waits.split_to(now));
            self.left -= now;
            if self.waits.len() < HEADER {
                return printed.freeze();
            }
            self.waits.advance(4);
            self.left = self.waits.get_u32() as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(chunks: &[&[u8]]) -> Vec<u8> {
        let mut frames = Frames::default();
        chunks.iter().flat_map(|chunk| frames.take(chunk)).collect()
    }

    #[test]
    fn frames_are_taken_off_however_they_are_cut() {
        let mut told = vec![1, 0, 0, 0, 0, 0, 0, 3];
        told.extend(b"out");
        told.extend([2, 0, 0, 0, 0, 0, 0, 4]);
        told.extend(b"err\n");
        assert_eq!(taken(&[&told]), b"outerr\n");
        for cut in 0..told.len() {
            let (one, other) = told.split_at(cut);
            assert_eq!(taken(&[one, other]), b"outerr\n", "cut at {cut}");
        }
        let bytes: Vec<_> = told.chunks(1).collect();
        assert_eq!(taken(&bytes), b"outerr\n");
    }

    #[test]
    fn a_terminal_has_no_frames() {
        assert_eq!(taken(&[b"plain\n", b"\x01\0\0\0\0\0\0\x03"]), b"plain\n\x01\0\0\0\0\0\0\x03");
        assert_eq!(taken(&[b"a", b"", b"b"]), b"ab");
    }
}

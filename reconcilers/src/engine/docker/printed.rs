//! What a container has printed, as engines tell it: with the time of each line, which tells one line from another when it is read again.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use hyper::Method;
use jiff::Timestamp;

use super::{
    found::Found,
    http::{Call, encode},
};
use crate::engine::{
    Answer, Output,
    terms::{Line, Printed},
};

/// Which output it is, three zeros, and the length.
const HEADER: usize = 8;
/// Podman takes memory for as many lines as it is asked for.
const MOST_LINES: u32 = 100_000;
/// A line that is longer is handed over in parts.
const LONGEST: usize = 1 << 20;

/// The request for it.
pub(super) fn call(found: &Found, id: &str, wanted: &Printed) -> Call {
    let path = format!("/containers/{}/logs?stdout=true&stderr=true&timestamps=true", encode(id));
    let mut call = found.call(Method::GET, &path, format!("tell what {id} prints"));
    if let Some(last) = wanted.last {
        call = call.query("tail", last.min(MOST_LINES));
    }
    if let Some(since) = wanted.since {
        call = call.query("since", format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    if wanted.follow { call.query("follow", true) } else { call }
}

/// The lines of what an engine tells.
pub(super) fn lines(told: stream::BoxStream<'static, Answer<Bytes>>) -> Output {
    let state = (told, Frames::default(), VecDeque::new());
    let lines = stream::unfold(state, |(mut told, mut frames, mut whole)| async move {
        loop {
            if let Some(line) = whole.pop_front() {
                return Some((Ok(line), (told, frames, whole)));
            }
            match told.next().await {
                Some(Ok(more)) => whole.extend(frames.take(&more)),
                Some(Err(error)) => return Some((Err(error), (told, frames, whole))),
                None => {
                    let last = frames.rest()?;
                    return Some((Ok(last), (told, frames, whole)));
                }
            }
        }
    });
    lines.boxed()
}

/// Takes what is told apart. Each line of a program has a header that tells its standard output from its standard error; those of a
/// terminal have none.
#[derive(Debug, Default)]
struct Frames {
    /// What came and is not whole yet.
    waits: BytesMut,
    /// So much of the present line is still to come.
    left: usize,
    /// Whether there are headers, once that can be said.
    framed: Option<bool>,
}

impl Frames {
    fn take(&mut self, told: &[u8]) -> Vec<Line> {
        self.waits.extend_from_slice(told);
        if self.framed.is_none() && self.waits.len() >= HEADER {
            self.framed = Some(matches!(self.waits.as_ref(), [0..=2, 0, 0, 0, ..]));
        }
        let mut lines = Vec::new();
        while let Some(line) = self.next() {
            lines.push(read(line));
        }
        lines
    }

    fn next(&mut self) -> Option<Bytes> {
        if self.framed? {
            if self.left == 0 {
                self.left = self.waits.get(4..HEADER)?.get_u32() as usize;
                self.waits.advance(HEADER);
            }
            let part = self.left.min(LONGEST);
            if self.waits.len() < part {
                return None;
            }
            self.left -= part;
            Some(self.waits.split_to(part).freeze())
        } else {
            let end = self.waits.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
            let end = end.or_else(|| (self.waits.len() > LONGEST).then_some(self.waits.len()))?;
            Some(self.waits.split_to(end).freeze())
        }
    }

    /// What is left when nothing more comes.
    fn rest(&mut self) -> Option<Line> {
        let is_cut_off = self.framed == Some(true);
        let rest = self.waits.split().freeze();
        (!rest.is_empty() && !is_cut_off).then(|| read(rest))
    }
}

/// A line, without its time.
fn read(mut line: Bytes) -> Line {
    let time = line.iter().position(|byte| *byte == b' ').and_then(|end| {
        let at: Timestamp = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
        Some((at, end + 1))
    });
    match time {
        Some((at, start)) => {
            line.advance(start);
            Line { at: Some(at), bytes: line }
        }
        None => Line { at: None, bytes: line },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-21T05:00:00.000000007Z";

    fn framed(lines: &[(u8, &str)]) -> Vec<u8> {
        let mut told = Vec::new();
        for (output, line) in lines {
            told.extend([*output, 0, 0, 0]);
            told.extend(u32::try_from(line.len()).unwrap().to_be_bytes());
            told.extend(line.as_bytes());
        }
        told
    }

    fn taken<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Option<Timestamp>, String)> {
        let mut frames = Frames::default();
        let mut lines: Vec<_> = chunks.into_iter().flat_map(|chunk| frames.take(chunk)).collect();
        lines.extend(frames.rest());
        lines.into_iter().map(|line| (line.at, String::from_utf8(line.bytes.to_vec()).unwrap())).collect()
    }

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let told = framed(&[(1, &format!("{TIME} out and out\n")), (2, "plain\n")]);
        let lines = [(TIME.parse().ok(), "out and out\n".to_owned()), (None, "plain\n".to_owned())];
        assert_eq!(taken([told.as_slice()]), lines);
        for cut in 0..told.len() {
            let (one, other) = told.split_at(cut);
            assert_eq!(taken([one, other]), lines, "cut at {cut}");
        }
        assert_eq!(taken(told.chunks(1)), lines);
        assert_eq!(
            taken([&told[..told.len() - 1]]).len(),
            1,
            "what was cut off is not told as if it were whole"
        );
    }

    #[test]
    fn a_terminal_has_no_headers() {
        let told = format!("{TIME} one\r\n{TIME} two");
        let lines = [(TIME.parse().ok(), "one\r\n".to_owned()), (TIME.parse().ok(), "two".to_owned())];
        assert_eq!(taken(told.as_bytes().chunks(3)), lines);
        assert_eq!(taken([b"a".as_slice()]), [(None, "a".to_owned())]);
        assert!(taken([]).is_empty());
    }
}

//! The end of what something has printed, for a message. Pure.

/// So much of it is told.
pub(crate) const TOLD: usize = 2048;

/// The end of a text, without the blank after it: `most` bytes at most, and whole characters.
pub(crate) fn tail(printed: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(printed);
    let text = text.trim_end();
    let start = text.len().saturating_sub(most);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_in_whole_characters() {
        assert_eq!(tail(b"one\ntwo\n \n", 100), "one\ntwo");
        assert_eq!(tail("aöb".as_bytes(), 2), "b");
        assert_eq!(tail("aöb".as_bytes(), 3), "öb");
        assert_eq!(tail(&[b'x', 0xff], 4), "x\u{fffd}");
        assert_eq!(tail(b"", 4), "");
    }
}

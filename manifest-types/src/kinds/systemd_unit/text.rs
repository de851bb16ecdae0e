//! The text of a unit file or a drop-in.

use std::{fmt, str::FromStr};

use crate::{
    digest::Digest,
    kinds::file::INLINE_LIMIT,
    text::{read_as_text, schema_as},
};

/// The text of a unit file or a drop-in. Printing it for debugging shows its digest only: `Environment=` may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct UnitText(String);

/// A text that no unit file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitTextError {
    /// It is too large.
    #[error("has {0} bytes, {INLINE_LIMIT} at most")]
    TooLarge(usize),
    /// It has a character that systemd does not read.
    #[error("has a control character in line {0}; a unit file is plain text")]
    Control(usize),
}

impl UnitText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UnitText {
    type Err = UnitTextError;

    fn from_str(text: &str) -> Result<Self, UnitTextError> {
        if text.len() > INLINE_LIMIT {
            return Err(UnitTextError::TooLarge(text.len()));
        }
        let is_wrong = |line: &str| line.chars().any(|letter| letter.is_control() && letter != '\t');
        match text.split('\n').position(is_wrong) {
            Some(index) => Err(UnitTextError::Control(index + 1)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for UnitText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnitText({})", Digest::of(self.0.as_bytes()))
    }
}

impl serde::Serialize for UnitText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

read_as_text!(UnitText, "the text of a unit file");
schema_as!(UnitText, {
    "description": "The text of a unit file or a drop-in.",
    "type": "string",
    "maxLength": 262144,
    "examples": ["[Service]\nRestart=always\n"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plain_text_of_a_bounded_size() {
        assert!("[Service]\n\tExecStart=/bin/ä\n".parse::<UnitText>().is_ok());
        assert_eq!("[Unit]\nA=b\0".parse::<UnitText>(), Err(UnitTextError::Control(2)));
        assert_eq!("[Unit]\r\n".parse::<UnitText>(), Err(UnitTextError::Control(1)));
        let size = INLINE_LIMIT + 1;
        assert_eq!("x".repeat(size).parse::<UnitText>(), Err(UnitTextError::TooLarge(size)));
    }

    #[test]
    fn printing_it_shows_no_content() {
        let text: UnitText = "[Service]\nEnvironment=KEY=secret\n".parse().unwrap();
        assert!(!format!("{text:?}").contains("secret"));
    }
}

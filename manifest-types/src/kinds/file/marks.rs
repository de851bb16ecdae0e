//! Permission bits and owners, as people write them.

use std::{fmt, str::FromStr};

use crate::text::{read_as_text, schema_as, write_as_text};

/// Permission bits with set-user-ID, set-group-ID and sticky: an octal text such as "0640".
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(Self(bits)),
            _ => Err("must be three or four octal digits such as \"0640\"".into()),
        }
    }
}

write_as_text!(Mode);
read_as_text!(Mode, "a quoted octal text such as \"0640\"");
schema_as!(Mode, { "type": "string", "pattern": "^[0-7]{3,4}$", "examples": ["0644", "0755"] });

/// A user or a group, by name or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// By number.
    Id(u32),
    /// By name, looked up on the device.
    Name(String),
}

impl FromStr for Principal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@');
        match text.parse() {
            // The kernel reads u32::MAX as "leave as it is".
            Ok(u32::MAX) => Err("4294967295 is no user or group".into()),
            Ok(id) => Ok(Self::Id(id)),
            Err(_) if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) => {
                Ok(Self::Name(text.into()))
            }
            Err(_) => Err("must be the name or number of a user or group".into()),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

write_as_text!(Principal);
read_as_text!(Principal or number, "the name or number of a user or group");
schema_as!(Principal, {
    "description": "A user or a group, by name or number.",
    "type": ["string", "integer"],
    "minimum": 0,
    "maximum": 4_294_967_294_u32,
    "pattern": "^[A-Za-z0-9_.$@-]{1,64}$"
});

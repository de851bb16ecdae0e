//! The names of units and of their drop-ins.

use std::{fmt, str::FromStr};

use crate::text::{read_as_text, schema_as, write_as_text};

/// The name of a unit, with its type: `pump.service`, `getty@tty1.service`; `getty@.service` is a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    text: String,
    unit_type: UnitType,
}

/// The name of a drop-in: a file name that ends with `.conf`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DropInName(String);

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitType {
    /// Processes.
    Service,
    /// A socket that starts a service.
    Socket,
    /// A device of the kernel's.
    Device,
    /// A mounted file system.
    Mount,
    /// A file system that is mounted when it is needed.
    Automount,
    /// Memory on a disk.
    Swap,
    /// A point that others gather at.
    Target,
    /// A path that is watched.
    Path,
    /// A time.
    Timer,
    /// A group of processes for their limits.
    Slice,
    /// Processes that others started.
    Scope,
}

/// The types by the ends of their units' names.
const TYPES: [(&str, UnitType); 11] = [
    ("service", UnitType::Service),
    ("socket", UnitType::Socket),
    ("device", UnitType::Device),
    ("mount", UnitType::Mount),
    ("automount", UnitType::Automount),
    ("swap", UnitType::Swap),
    ("target", UnitType::Target),
    ("path", UnitType::Path),
    ("timer", UnitType::Timer),
    ("slice", UnitType::Slice),
    ("scope", UnitType::Scope),
];

/// systemd's bound (`UNIT_NAME_MAX`, 256 with the NUL at its end).
const LONGEST: usize = 255;

/// A text that names no unit, or no drop-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// Its end is no type of units.
    #[error(
        "must end with a type of units: .service, .socket, .mount, .automount, .swap, .target, .path, .timer, .slice, .scope or .device"
    )]
    Type,
    /// It has a character that the names of units do not have.
    #[error("must have letters, digits and : - _ . \\ only, and one @ before an instance")]
    Character,
    /// There is nothing before the type, or before the `@`.
    #[error("must have a name before its type, and before the @ of an instance")]
    Empty,
    /// It is too long.
    #[error("must have {LONGEST} bytes at most")]
    TooLong,
    /// It is no name of a drop-in.
    #[error(
        "must be a file name of letters, digits and : - _ . @ that does not begin with a dot and ends with .conf"
    )]
    DropIn,
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.' | b'\\')
}

impl UnitName {
    /// What it is.
    pub fn unit_type(&self) -> UnitType {
        self.unit_type
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether instances are made from it, and it is none itself.
    pub fn is_template(&self) -> bool {
        self.stem().ends_with('@')
    }

    /// The template that an instance is made from.
    pub fn template(&self) -> Option<String> {
        let (prefix, instance) = self.stem().split_once('@')?;
        (!instance.is_empty()).then(|| format!("{prefix}@.{}", self.unit_type))
    }

    /// How an instance of a template is written.
    pub(super) fn example_instance(&self) -> String {
        format!("{}1.{}", self.stem(), self.unit_type)
    }

    fn stem(&self) -> &str {
        self.text.rsplit_once('.').map_or(self.text.as_str(), |(stem, _)| stem)
    }
}

impl FromStr for UnitName {
    type Err = UnitNameError;

    fn from_str(text: &str) -> Result<Self, UnitNameError> {
        if text.len() > LONGEST {
            return Err(UnitNameError::TooLong);
        }
        if !text.bytes().all(|byte| is_plain(byte) || byte == b'@') || text.matches('@').count() > 1 {
            return Err(UnitNameError::Character);
        }
        let (stem, end) = text.rsplit_once('.').ok_or(UnitNameError::Type)?;
        let (_, unit_type) = *TYPES.iter().find(|(name, _)| *name == end).ok_or(UnitNameError::Type)?;
        if stem.is_empty() || stem.starts_with('@') {
            return Err(UnitNameError::Empty);
        }
        Ok(Self { text: text.to_owned(), unit_type })
    }
}

impl FromStr for DropInName {
    type Err = UnitNameError;

    fn from_str(text: &str) -> Result<Self, UnitNameError> {
        let is_good = text.len() <= LONGEST
            && text.bytes().all(|byte| (is_plain(byte) && byte != b'\\') || byte == b'@')
            && !text.starts_with('.')
            && text.strip_suffix(".conf").is_some_and(|stem| !stem.is_empty());
        if is_good { Ok(Self(text.to_owned())) } else { Err(UnitNameError::DropIn) }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Display for DropInName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for UnitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = TYPES.iter().find(|(_, of)| of == self).expect("every type is in the table");
        f.write_str(name)
    }
}

write_as_text!(UnitName);
read_as_text!(UnitName, "the name of a unit, such as \"pump.service\"");
schema_as!(UnitName, {
    "description": "The name of a unit with its type.",
    "type": "string",
    "pattern": r"^[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|device|mount|automount|swap|target|path|timer|slice|scope)$",
    "maxLength": 255,
    "examples": ["pump.service", "getty@tty1.service"]
});
write_as_text!(DropInName);
read_as_text!(DropInName, "the name of a drop-in, such as \"10-limits.conf\"");
schema_as!(DropInName, {
    "description": "The name of a drop-in: a file name that ends with .conf.",
    "type": "string",
    "pattern": r"^[A-Za-z0-9:_@-][A-Za-z0-9:_.@-]*\.conf$",
    "maxLength": 255,
    "examples": ["10-limits.conf"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_systemd_takes() {
        for (good, of) in [
            ("pump.service", UnitType::Service),
            ("getty@tty1.service", UnitType::Service),
            ("getty@.service", UnitType::Service),
            ("a.b-c_d:e.timer", UnitType::Timer),
            (r"mnt-data\x2done.mount", UnitType::Mount),
            ("-.slice", UnitType::Slice),
        ] {
            let name: UnitName = good.parse().unwrap();
            assert_eq!((name.as_str(), name.unit_type()), (good, of));
        }
        let long = format!("{}.service", "x".repeat(248));
        for (bad, why) in [
            ("pump", UnitNameError::Type),
            ("pump.", UnitNameError::Type),
            ("pump.conf", UnitNameError::Type),
            (".service", UnitNameError::Empty),
            ("@a.service", UnitNameError::Empty),
            ("../pump.service", UnitNameError::Character),
            ("a/b.service", UnitNameError::Character),
            ("a\0b.service", UnitNameError::Character),
            ("a\nb.service", UnitNameError::Character),
            ("a b.service", UnitNameError::Character),
            ("ä.service", UnitNameError::Character),
            ("a@b@c.service", UnitNameError::Character),
            ("", UnitNameError::Type),
            (&long, UnitNameError::TooLong),
        ] {
            assert_eq!(bad.parse::<UnitName>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn an_instance_knows_its_template() {
        let name = |text: &str| text.parse::<UnitName>().unwrap();
        assert_eq!(name("getty@tty1.service").template().as_deref(), Some("getty@.service"));
        assert!(name("getty@.service").is_template() && name("getty@.service").template().is_none());
        assert!(!name("pump.service").is_template() && name("pump.service").template().is_none());
        assert_eq!(name("getty@.service").example_instance(), "getty@1.service");
    }

    #[test]
    fn a_drop_in_is_one_file_in_the_directory() {
        for good in ["10-limits.conf", "a.conf", "a.b@c.conf"] {
            assert!(good.parse::<DropInName>().is_ok(), "{good}");
        }
        for bad in
            ["a", ".conf", ".a.conf", "../a.conf", "a/b.conf", "a\n.conf", "a\0.conf", "a.conf\n", "a b.conf"]
        {
            assert_eq!(bad.parse::<DropInName>(), Err(UnitNameError::DropIn), "{bad:?}");
        }
    }
}

//! Names: what a device, a resource and a group may be called.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {what}: it must match {pattern}")]
pub struct NameError {
    what: &'static str,
    pattern: &'static str,
    found: String,
}

/// Lower-case letters, digits and `inner` characters; the first and the last are letters or digits.
fn well_formed(text: &str, longest: usize, inner: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= longest
        && plain(first)
        && plain(last)
        && bytes.iter().all(|&byte| plain(byte) || inner.contains(&byte))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $inner:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The rule, as a regular expression.
            pub const PATTERN: &'static str = $pattern;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if well_formed(text, $longest, $inner) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError {
                        what: $what,
                        pattern: $pattern,
                        found: text.chars().take(300).collect(),
                    })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": concat!("^", $pattern, "$") })
            }
        }
    };
}

name!(
    /// The name of a device's agent: the last part of its keys.
    AgentId, "an agent id", 63, b"-", "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
);
name!(
    /// The name of a resource: unique in a manifest and stable across generations.
    ResourceId, "a resource id", 253, b"-.", "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
);
name!(
    /// The name of a group of resources that may only be disrupted together.
    GroupName, "a group name", 63, b"-", "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_its_rule() {
        for good in ["a", "0", "pump-17", "a--b", &"x".repeat(63)] {
            assert_eq!(good.parse::<AgentId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "ü", "a\n", &"x".repeat(64)] {
            assert!(bad.parse::<AgentId>().is_err(), "{bad:?}");
        }
        assert!("web.conf-1".parse::<ResourceId>().is_ok());
        assert!("x".repeat(253).parse::<ResourceId>().is_ok());
        assert!("x".repeat(254).parse::<ResourceId>().is_err());
        assert!("web.".parse::<ResourceId>().is_err());
    }

    #[test]
    fn an_error_tells_the_rule() {
        let error = "Pump".parse::<AgentId>().unwrap_err().to_string();
        assert_eq!(error, "\"Pump\" is not an agent id: it must match [a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?");
    }
}

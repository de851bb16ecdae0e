//! Absolute paths that mean one place only.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// An absolute path with no `.`, `..` or empty part, so that two different texts are two different paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AbsolutePath(String);

/// Why a text is not such a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("must be absolute: begin with /")]
    Relative,
    /// It is `/` itself.
    #[error("must name something below /")]
    Root,
    /// It has a part `.` or `..`.
    #[error("must not have a part . or ..")]
    Dots,
    /// It has two slashes in a row, or one at its end.
    #[error("must not have two slashes in a row or one at its end")]
    EmptyPart,
    /// It has a NUL.
    #[error("must not have a NUL")]
    Nul,
    /// A part has more than 255 bytes, or the whole more than 4000.
    #[error("must not have more than 4000 bytes, nor more than 255 between two slashes")]
    TooLong,
}

impl AbsolutePath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts between the slashes, the last one being the name.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0[1..].split('/')
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that holds it: `/` or a path.
    pub fn parent(&self) -> &str {
        match self.0.rfind('/') {
            Some(0) | None => "/",
            Some(end) => &self.0[..end],
        }
    }

    /// Whether it is `directory` or in it, by the text alone.
    pub fn is_at_or_below(&self, directory: &str) -> bool {
        let rest = self.0.strip_prefix(directory);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for AbsolutePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let rest = text.strip_prefix('/').ok_or(PathError::Relative)?;
        if rest.is_empty() {
            return Err(PathError::Root);
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        for part in rest.split('/') {
            match part {
                "" => return Err(PathError::EmptyPart),
                "." | ".." => return Err(PathError::Dots),
                _ if part.len() > 255 => return Err(PathError::TooLong),
                _ => {}
            }
        }
        // The kernel's bound is 4096 with its NUL; room is left for the root and for a name beside it.
        if text.len() > 4000 {
            return Err(PathError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> String {
        path.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl JsonSchema for AbsolutePath {
    fn schema_name() -> Cow<'static, str> {
        "AbsolutePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An absolute path with no empty part, no `.` and no `..`.",
            "pattern": r"^(/(?!\.{1,2}(/|$))[^/]+)+$",
            "maxLength": 4000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_one_place() {
        for good in ["/a", "/etc/..a/b.", "/a b/…", "/.hidden"] {
            assert_eq!(good.parse::<AbsolutePath>().unwrap().as_str(), good);
        }
        let long = format!("/{}", "x".repeat(256));
        for (bad, why) in [
            ("etc/a", PathError::Relative),
            ("", PathError::Relative),
            ("/", PathError::Root),
            ("/a/../b", PathError::Dots),
            ("/a/.", PathError::Dots),
            ("/a//b", PathError::EmptyPart),
            ("/a/", PathError::EmptyPart),
            ("/a\0b", PathError::Nul),
            (&long, PathError::TooLong),
            (&"/x".repeat(2001), PathError::TooLong),
        ] {
            assert_eq!(bad.parse::<AbsolutePath>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn its_parts_are_told_by_the_text() {
        let path: AbsolutePath = "/etc/web/app.toml".parse().unwrap();
        assert_eq!((path.parent(), path.name()), ("/etc/web", "app.toml"));
        assert_eq!(path.parts().collect::<Vec<_>>(), ["etc", "web", "app.toml"]);
        assert!(path.is_at_or_below("/etc") && !path.is_at_or_below("/et"));
        assert_eq!("/a".parse::<AbsolutePath>().unwrap().parent(), "/");
    }
}

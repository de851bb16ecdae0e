//! Absolute paths of directories, the root's among them.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{AbsolutePath, PathError};

/// An absolute path that may be `/` itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DirectoryPath(Option<AbsolutePath>);

impl DirectoryPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("/", AbsolutePath::as_str)
    }
}

impl FromStr for DirectoryPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text == "/" { Ok(Self(None)) } else { text.parse().map(|path| Self(Some(path))) }
    }
}

impl TryFrom<String> for DirectoryPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<DirectoryPath> for String {
    fn from(path: DirectoryPath) -> String {
        path.as_str().to_owned()
    }
}

impl fmt::Display for DirectoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DirectoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl JsonSchema for DirectoryPath {
    fn schema_name() -> Cow<'static, str> {
        "DirectoryPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`/`, or an absolute path with no empty part, no `.` and no `..`.",
            "pattern": r"^(/|(/(?!\.{1,2}(/|$))[^/]+)+)$",
            "maxLength": 4000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_one_and_all_else_is_a_path() {
        for good in ["/", "/srv", "/srv/web"] {
            assert_eq!(good.parse::<DirectoryPath>().unwrap().as_str(), good);
        }
        for (bad, why) in
            [("", PathError::Relative), ("//", PathError::EmptyPart), ("/a/", PathError::EmptyPart)]
        {
            assert_eq!(bad.parse::<DirectoryPath>(), Err(why), "{bad}");
        }
    }
}

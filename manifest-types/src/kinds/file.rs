//! `File`: a file, a directory or a symbolic link.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ResourceSpec, is_default};
use crate::{
    claim::Claim,
    digest::Digest,
    name::ResourceId,
    problem::{JsonPath, Problem},
};

mod content;
mod directory;
mod marks;
mod path;

pub use content::{FileContent, INLINE_LIMIT};
pub use directory::DirectoryPath;
pub use marks::{Mode, Principal};
pub use path::{AbsolutePath, PathError};

/// What a manifest wants of a file, a directory or a symbolic link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(example = serde_json::json!({ "path": "/etc/motd", "mode": "0644", "content": { "inline": "Welcome.\n" } }))]
pub struct FileSpec {
    /// What is to be at the path.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub file_type: FileType,
    /// Where: absolute, without `.` or `..`.
    pub path: AbsolutePath,
    /// Permission bits as an octal text. Default: 0644 for a file, 0755 for a directory; a symbolic link has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The owning user, by name or number. Default: left as it is, the agent's own user for what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Principal>,
    /// The owning group, by name or number. Default: left as it is, the agent's own group for what it makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Principal>,
    /// A file's content. Required for a file, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<FileContent>,
    /// Where a symbolic link points. Required for a symbolic link, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether missing parent directories are made (mode 0755). They stay when the resource goes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub create_parents: bool,
}

/// What can be at a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FileType {
    /// A regular file.
    #[default]
    File,
    /// A directory; what is in it is not looked at.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FileSpec {
    /// The mode that what is at the path is to have; `None` for a symbolic link.
    pub fn wanted_mode(&self) -> Option<Mode> {
        match self.file_type {
            FileType::File => Some(self.mode.unwrap_or(Mode(0o644))),
            FileType::Directory => Some(self.mode.unwrap_or(Mode(0o755))),
            FileType::Symlink => None,
        }
    }
}

impl ResourceSpec for FileSpec {
    const KIND: &'static str = "File";

    fn problems(&self) -> Vec<Problem> {
        use FileType::{Directory, File, Symlink};
        let at = |key: &str, message: String| Some(Problem::new(JsonPath::root().key(key), message));
        let of = self.file_type;
        let content = match (of, &self.content) {
            (File, None) => at("content", "is required for a File".into()),
            (Directory | Symlink, Some(_)) => at("content", format!("does not go with a {of}")),
            _ => None,
        };
        let target = match (of, &self.target) {
            (Symlink, None) => at("target", "is required for a Symlink".into()),
            (Symlink, Some(text)) if text.is_empty() || text.len() > 4095 || text.contains('\0') => {
                at("target", "must have 1 to 4095 bytes and no NUL".into())
            }
            (File | Directory, Some(_)) => at("target", format!("does not go with a {of}")),
            _ => None,
        };
        let mode = match (of, self.mode) {
            (Symlink, Some(_)) => at("mode", "does not go with a Symlink".into()),
            _ => None,
        };
        let kernel = ["/proc", "/sys"].into_iter().find(|root| self.path.is_at_or_below(root));
        let path = kernel.and_then(|root| {
            at("path", format!("is in {root}, which the kernel makes up; a file there cannot be held"))
        });
        [path, content, target, mode].into_iter().flatten().collect()
    }

    fn claims(&self, _: &ResourceId) -> Vec<Claim> {
        vec![Claim::Path(self.path.as_str().to_owned())]
    }

    fn contradicts(&self, other: &Self) -> bool {
        let bytes = self.content.as_ref().and_then(FileContent::bytes);
        let others = other.content.as_ref().and_then(FileContent::bytes);
        let other_content = bytes.zip(others).is_some_and(|(one, other)| one != other);
        self.path == other.path
            && (self.file_type != other.file_type
                || self.wanted_mode() != other.wanted_mode()
                || self.target != other.target
                || other_content)
    }
}

/// What a status shows of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileDetails {
    /// Where it is.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

#[cfg(test)]
mod tests;

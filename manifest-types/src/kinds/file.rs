//! `File`: a file, a directory or a symbolic link.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ResourceSpec;
use crate::{
    claim::Claim,
    digest::Digest,
    name::ResourceId,
    problem::{JsonPath, Problem},
};

mod path;
pub use path::{AbsolutePath, PathError};

/// The most bytes that a manifest itself may carry for one file: 256 KiB. Larger contents come from an object store or a URL.
pub const INLINE_LIMIT: usize = 256 * 1024;

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

/// Where a file's content comes from. Printing it for debugging shows digests only: a content may be a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ContentText", into = "ContentText")]
pub enum FileContent {
    /// Text in the manifest itself.
    Inline(String),
    /// Bytes in the manifest itself, in base64 (RFC 4648 §4, padded); kept decoded.
    Base64(Vec<u8>),
    /// An object of a NATS object store.
    Object {
        /// The object store's bucket.
        bucket: String,
        /// The object's name.
        name: String,
        /// The digest that the bytes must have.
        sha256: Digest,
    },
    /// A download over HTTP or HTTPS.
    Url {
        /// Where.
        url: String,
        /// The digest that the bytes must have.
        sha256: Digest,
    },
}

impl FileContent {
    /// The content's bytes, where the manifest itself has them.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Inline(text) => Some(text.as_bytes()),
            Self::Base64(bytes) => Some(bytes),
            Self::Object { .. } | Self::Url { .. } => None,
        }
    }

    /// The content's digest.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(text) => Digest::of(text.as_bytes()),
            Self::Base64(bytes) => Digest::of(bytes),
            Self::Object { sha256, .. } | Self::Url { sha256, .. } => *sha256,
        }
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileContent({})", self.digest())
    }
}

/// A file's content as it is written: exactly one of `inline`, `base64`, `object`, or `url` with `sha256`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "FileContent", transform = exactly_one_origin)]
struct ContentText {
    /// Text, 256 KiB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inline: Option<String>,
    /// Bytes in base64, 256 KiB at most when decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// An object of a NATS object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<ObjectText>,
    /// An HTTP or HTTPS address; needs `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://"))]
    url: Option<String>,
    /// The digest of what `url` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
}

/// An object of a NATS object store.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ObjectContent")]
struct ObjectText {
    /// The object store's bucket.
    bucket: String,
    /// The object's name.
    name: String,
    /// The digest that the object's bytes must have.
    sha256: Digest,
}

fn exactly_one_origin(schema: &mut Schema) {
    let origins = ["inline", "base64", "object"].map(|name| json_schema!({ "required": [name] }));
    let mut one_of: Vec<_> = origins.into_iter().map(|origin| origin.to_value()).collect();
    one_of.push(json_schema!({ "required": ["url", "sha256"] }).to_value());
    schema.insert("oneOf".into(), one_of.into());
}

impl JsonSchema for FileContent {
    fn schema_name() -> Cow<'static, str> {
        "FileContent".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ContentText::json_schema(generator)
    }
}

impl TryFrom<ContentText> for FileContent {
    type Error = String;

    fn try_from(text: ContentText) -> Result<Self, String> {
        match text {
            ContentText { inline: Some(inline), base64: None, object: None, url: None, sha256: None } => {
                within_limit("inline", inline.len())?;
                Ok(Self::Inline(inline))
            }
            ContentText { inline: None, base64: Some(base64), object: None, url: None, sha256: None } => {
                let bytes = STANDARD.decode(&base64);
                let bytes = bytes.map_err(|error| format!("base64 is not base64: {error}"))?;
                within_limit("base64", bytes.len())?;
                Ok(Self::Base64(bytes))
            }
            ContentText { inline: None, base64: None, object: Some(object), url: None, sha256: None } => {
                let ObjectText { bucket, name, sha256 } = object;
                Ok(Self::Object { bucket, name, sha256 })
            }
            ContentText {
                inline: None,
                base64: None,
                object: None,
                url: Some(url),
                sha256: Some(sha256),
            } => {
                if url.starts_with("http://") || url.starts_with("https://") {
                    Ok(Self::Url { url, sha256 })
                } else {
                    Err("url must start with http:// or https://".into())
                }
            }
            _ => Err("must have exactly one of inline, base64, object, or url with sha256".into()),
        }
    }
}

fn within_limit(what: &str, size: usize) -> Result<(), String> {
    if size <= INLINE_LIMIT {
        return Ok(());
    }
    Err(format!(
        "{what} has {size} bytes, {INLINE_LIMIT} at most; put larger contents into an object store or behind a url"
    ))
}

impl From<FileContent> for ContentText {
    fn from(content: FileContent) -> Self {
        let mut text = Self { inline: None, base64: None, object: None, url: None, sha256: None };
        match content {
            FileContent::Inline(inline) => text.inline = Some(inline),
            FileContent::Base64(bytes) => text.base64 = Some(STANDARD.encode(bytes)),
            FileContent::Object { bucket, name, sha256 } => {
                text.object = Some(ObjectText { bucket, name, sha256 });
            }
            FileContent::Url { url, sha256 } => {
                text.url = Some(url);
                text.sha256 = Some(sha256);
            }
        }
        text
    }
}

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
            _ => Err(format!("{text:?} is not a mode: three or four octal digits such as \"0640\"")),
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ModeVisitor;
        impl de::Visitor<'_> for ModeVisitor {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quoted octal text such as \"0640\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(ModeVisitor)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$", "examples": ["0644", "0755"] })
    }
}

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
            Err(_) => Err(format!("{text:?} is not the name or number of a user or group")),
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

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PrincipalVisitor;
        impl de::Visitor<'_> for PrincipalVisitor {
            type Value = Principal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or number of a user or group")
            }

            fn visit_u64<E: de::Error>(self, id: u64) -> Result<Principal, E> {
                id.to_string().parse().map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Principal, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(PrincipalVisitor)
    }
}

impl JsonSchema for Principal {
    fn schema_name() -> Cow<'static, str> {
        "Principal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A user or a group, by name or number.",
            "type": ["string", "integer"],
            "minimum": 0,
            "maximum": u32::MAX - 1,
            "pattern": "^[A-Za-z0-9_.$@-]{1,64}$"
        })
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;

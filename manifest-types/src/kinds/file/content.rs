//! Where a file's content comes from.

use std::{borrow::Cow, fmt};

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The most bytes that a manifest itself may carry for one file: 256 KiB. Larger contents come from an object store or a URL.
pub const INLINE_LIMIT: usize = 256 * 1024;
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
                let bytes = bytes.map_err(not_base64)?;
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

/// What is wrong, without the symbol that is: it is a part of a content.
fn not_base64(error: DecodeError) -> String {
    match error {
        DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol { offset, .. } => {
            format!("base64 is not base64: what stands at offset {offset} does not belong there")
        }
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
            "base64 is not base64: it is cut off, or not padded".into()
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

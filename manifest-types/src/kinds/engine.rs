//! What the three kinds of a container engine share: names, images, and tables of texts.

use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    name::ResourceId,
    problem::{JsonPath, Problem},
    text::{read_as_text, schema_as, write_as_text},
};

/// Labels, options, variables: texts by name.
pub type Texts = BTreeMap<String, String>;

/// What is there already, whoever has made it, and is taken over: it is changed, replaced and removed as if it had been made here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TakeOver {
    /// Only what has all of these labels. A container that has them is taken over under any name.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub labels: Texts,
}

impl TakeOver {
    /// Whether something with these labels is meant.
    pub fn means(&self, labels: &Texts) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// The labels that begin like this are the agent's own marks.
pub const LABEL_PREFIX: &str = "holdfast.";

/// The labels of a spec that would pass for the agent's own.
pub(super) fn foreign_marks(key: &str, labels: &Texts) -> Vec<Problem> {
    let marks = labels.keys().filter(|name| name.starts_with(LABEL_PREFIX));
    let told = |name: &String| {
        let path = JsonPath::root().key(key).key(name);
        Problem::new(path, format!("labels that begin with {LABEL_PREFIX} are the agent's own"))
    };
    marks.map(told).collect()
}

/// The name of a container, a volume or a network in its engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineName(String);

/// An image by tag, by digest, or by both, as engines write it: `registry.example/web:1.2@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageRef(String);

impl EngineName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that a resource has in its engine, if its spec names none.
    pub fn of(name: Option<&Self>, id: &ResourceId) -> String {
        name.map_or_else(|| id.as_str().to_owned(), |name| name.0.clone())
    }
}

impl FromStr for EngineName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let good = (1..=253).contains(&text.len())
            && text.bytes().all(fits)
            && text.as_bytes()[0].is_ascii_alphanumeric();
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a letter or digit, then letters, digits, `_`, `.` and `-`, 253 at most".into())
        }
    }
}

impl ImageRef {
    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest (`sha256:…`) that pins it, if one does.
    pub fn digest(&self) -> Option<&str> {
        self.0.split_once('@').map(|(_, digest)| digest)
    }

    /// The reference in full: with its registry, and with the tag `latest` where it has neither tag nor digest.
    pub fn canonical(&self) -> String {
        let (name, digest) = match self.0.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (self.0.as_str(), None),
        };
        let (path, tag) = split_tag(name);
        let (registry, rest) = match path.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => ("docker.io", path),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let library = if registry == "docker.io" && !rest.contains('/') { "library/" } else { "" };
        let tag = tag.or_else(|| digest.is_none().then_some("latest"));
        let mut full = format!("{registry}/{library}{rest}");
        if let Some(tag) = tag {
            full = format!("{full}:{tag}");
        }
        match digest {
            Some(digest) => format!("{full}@{digest}"),
            None => full,
        }
    }

    /// The registry that it is pulled from.
    pub fn registry(&self) -> String {
        let full = self.canonical();
        full.split_once('/').map_or_else(String::new, |(registry, _)| registry.to_owned())
    }
}

/// The first part of a path is a registry when it cannot be anything else.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

/// A colon after the last slash begins a tag; one before it, a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (name, None),
    }
}

impl FromStr for ImageRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("must be an image such as \"registry.example/web:1.2\": {why}"));
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                return wrong("after @ comes sha256: and 64 hexadecimal digits");
            }
        }
        let (path, tag) = split_tag(name);
        if let Some(tag) = tag {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
            let begins = tag.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if tag.len() > 128 || !begins || !tag.bytes().all(fits) {
                return wrong("a tag has letters, digits, `_`, `.` and `-`, 128 at most");
            }
        }
        let parts: Vec<_> = path.split('/').collect();
        let (registry, parts) = match parts.split_first() {
            Some((first, rest)) if !rest.is_empty() && is_registry(first) => (Some(*first), rest),
            _ => (None, parts.as_slice()),
        };
        let host =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        if registry.is_some_and(|registry| !registry.bytes().all(host)) {
            return wrong("the registry is no host name");
        }
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
        };
        let is_part = |part: &&str| {
            let ends = [part.bytes().next(), part.bytes().last()];
            let good_ends = ends
                .iter()
                .all(|end| end.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            good_ends && part.bytes().all(fits)
        };
        if text.len() > 512 || !parts.iter().all(is_part) {
            return wrong(
                "a repository has lower-case letters and digits, with `.`, `_`, `-` and `/` between them",
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

write_as_text!(EngineName);
read_as_text!(EngineName, "a name");
schema_as!(EngineName, {
    "description": "A name in a container engine.",
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,252}$"
});
write_as_text!(ImageRef);
read_as_text!(ImageRef, "an image such as \"registry.example/web:1.2\"");
schema_as!(ImageRef, {
    "description": "An image by tag, by digest, or by both.",
    "type": "string",
    "maxLength": 512,
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
    "examples": [
        "registry.example/web:1.2",
        "web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_and_told_in_full() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        for (text, full) in [
            ("web", "docker.io/library/web:latest".to_owned()),
            ("web:1.2", "docker.io/library/web:1.2".into()),
            ("shop/web", "docker.io/shop/web:latest".into()),
            ("localhost/web", "localhost/web:latest".into()),
            ("127.0.0.1:5000/shop/web:v1", "127.0.0.1:5000/shop/web:v1".into()),
            (&format!("web@{digest}"), format!("docker.io/library/web@{digest}")),
            (&format!("registry.example/web:1@{digest}"), format!("registry.example/web:1@{digest}")),
        ] {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!((image.as_str(), image.canonical()), (text, full));
        }
        assert_eq!("127.0.0.1:5000/a".parse::<ImageRef>().unwrap().registry(), "127.0.0.1:5000");
        for bad in [
            "",
            "Web",
            "web:",
            "web:a b",
            "web@sha256:12",
            "/web",
            "web/",
            "a//b",
            "web\n",
            "-web",
            "web@md5:aa",
            "web:-x",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["a", "Web_1.x-y"] {
            assert_eq!(good.parse::<EngineName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a b", "a/b", &"a".repeat(254)] {
            assert!(bad.parse::<EngineName>().is_err(), "{bad:?}");
        }
    }
}

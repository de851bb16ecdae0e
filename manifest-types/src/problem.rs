//! What is wrong with a document, and where.

use std::fmt;

use serde::{Serialize, Serializer};

/// One step into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A member of an object.
    Key(String),
    /// An element of an array, counted from 0.
    Index(usize),
}

/// A place in a JSON document, printed as a JSONPath (RFC 9535): `$.resources[1].spec.mode`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JsonPath(pub Vec<Segment>);

impl JsonPath {
    /// The document itself, `$`.
    pub fn root() -> Self {
        Self::default()
    }

    /// The member `key` of this place.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// The element `index` of this place.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The place `below` seen from here.
    #[must_use]
    pub fn join(&self, below: &JsonPath) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// The place that holds this one; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        let end = self.0.len().saturating_sub(1);
        Self(self.0[..end].to_vec())
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in &self.0 {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_shorthand(key) => write!(f, ".{key}")?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_shorthand(key: &str) -> bool {
    let mut chars = key.chars();
    let head = |c: char| c.is_ascii_alphabetic() || c == '_';
    chars.next().is_some_and(head) && chars.all(|c| head(c) || c.is_ascii_digit())
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A place in a text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where in the document.
    pub path: JsonPath,
    /// Where in the text, if it came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: JsonPath, message: impl Into<String>) -> Self {
        Self { path, position: None, message: message.into() }
    }

    /// The same problem seen from a document that has this one at `base`.
    #[must_use]
    pub fn below(mut self, base: &JsonPath) -> Self {
        self.path = base.join(&self.path);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// So many bytes of one problem are told where it is printed: a path, or what a problem quotes, may be as long as a manifest.
const TOLD: usize = 500;

/// Several problems in words: no more than `most` of them, and none longer than anybody reads. The others are counted.
pub fn in_words(problems: &[Problem], most: usize) -> String {
    let mut lines: Vec<_> =
        problems.iter().take(most).map(|problem| shortened(problem.to_string(), TOLD)).collect();
    let more = problems.len().saturating_sub(most);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("; ")
}

/// A text of `most` bytes at most, with a sign where the rest was.
pub fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_it_is_it_is_told_in_a_few_lines() {
        let long = Problem::new(JsonPath::root().key("ä".repeat(100_000)), "is not known here");
        let told = in_words(&vec![long; 30], 10);
        assert!(told.len() < 6000 && told.ends_with("and 20 more"), "{} bytes", told.len());
        assert_eq!(shortened("äb".into(), 1), "…");
        assert_eq!(shortened("äb".into(), 3), "äb");
    }

    #[test]
    fn a_path_reads_as_rfc_9535() {
        let path = JsonPath::root().key("resources").index(1).key("a b");
        assert_eq!(path.to_string(), r#"$.resources[1]["a b"]"#);
        assert_eq!(path.parent().to_string(), "$.resources[1]");
        assert_eq!(JsonPath::root().to_string(), "$");
    }
}

//! The source tree as text.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context, Result};

use super::code::Code;

/// All files that rules are about, by their path from the workspace's root.
#[derive(Default)]
pub(super) struct Tree {
    texts: BTreeMap<String, String>,
    codes: BTreeMap<String, Code>,
}

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) path: String,
    /// Counted from 1; 0: the file as a whole.
    pub(super) line: usize,
    pub(super) message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        if *line == 0 { write!(f, "{path}: {message}") } else { write!(f, "{path}:{line}: {message}") }
    }
}

impl Tree {
    /// Reads everything below `root` but what is built, hidden, or neither Rust, TOML, YAML nor JSON.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries =
                fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
            for entry in entries {
                let entry = entry?;
                let (path, name) = (entry.path(), entry.file_name());
                let Some(name) = name.to_str().filter(|name| !name.starts_with('.') && *name != "target")
                else {
                    continue;
                };
                if entry.file_type()?.is_dir() {
                    folders.push(path);
                } else if [".rs", ".toml", ".yaml", ".json"].iter().any(|ending| name.ends_with(ending)) {
                    let text = fs::read_to_string(&path)
                        .with_context(|| format!("cannot read {}", path.display()))?;
                    let below = path.strip_prefix(root).unwrap_or(&path);
                    tree.add(&below.to_string_lossy(), &text);
                }
            }
        }
        Ok(tree)
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        if path.ends_with(".rs") {
            self.codes.insert(path.to_owned(), Code::of(text));
        }
        self.texts.insert(path.to_owned(), text.to_owned());
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The Rust files, without what stands in comments and texts.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &Code)> {
        self.codes.iter().map(|(path, code)| (path.as_str(), code))
    }

    /// All files as they are.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// One file as it is.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }
}

/// A violation of a file as a whole.
pub(super) fn file(path: &str, message: impl Into<String>) -> Violation {
    line(path, 0, message)
}

/// A violation in a line, counted from 1.
pub(super) fn line(path: &str, line: usize, message: impl Into<String>) -> Violation {
    Violation { path: path.to_owned(), line, message: message.into() }
}

/// What a rule finds in a tree of these files, as text: for the rules' tests.
#[cfg(test)]
pub(super) fn found(rule: fn(&Tree) -> Vec<Violation>, files: &[(&str, &str)]) -> Vec<String> {
    let mut tree = Tree::default();
    files.iter().for_each(|(path, text)| tree.add(path, text));
    rule(&tree).iter().map(ToString::to_string).collect()
}

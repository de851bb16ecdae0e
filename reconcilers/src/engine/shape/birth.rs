//! What a container's spec had set when it was made, as its label keeps it. Pure.

use std::{collections::BTreeMap, fmt};

use manifest_types::digest::Digest;
use serde_json::Value;

use super::Shape;

/// What a container's spec had set when it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Birth(BTreeMap<String, Option<String>>);

/// What some engine does not tell: of these, a digest is kept with the container.
const UNTOLD: &[&str] = &[
    "annotations.",
    "capabilities.",
    "cgroup",
    "deviceCgroupRules",
    "deviceRequests",
    "devices.",
    "init",
    "ipc",
    "logging.options.",
    "networkMode",
    "options.com.docker.network.bridge.name",
    "securityOpt",
    "storageOpt.",
    "sysctls.",
    "userns",
    "volumeOptions.",
];
/// The same, of each of a network's pools.
const UNTOLD_OF_POOLS: &str = ".ipRange";

fn is_untold(path: &str) -> bool {
    UNTOLD.iter().any(|prefix| path.starts_with(prefix)) || path.ends_with(UNTOLD_OF_POOLS)
}

impl Birth {
    /// What a container has that is made now.
    pub fn of(wanted: &Shape) -> Self {
        let fields =
            wanted.0.iter().map(|(path, value)| (path.clone(), is_untold(path).then(|| short(value))));
        Self(fields.collect())
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Self {
        let fields = text.lines().map(|line| match line.split_once('\t') {
            Some((path, digest)) => (path.to_owned(), Some(digest.to_owned())),
            None => (line.to_owned(), None),
        });
        Self(fields.collect())
    }

    /// The paths, each with a digest of its value where some engine does not tell that.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&String, &Option<String>)> {
        self.0.iter()
    }

    /// Whether it was made with something at a path.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// Whether it was made with this, as far as that is known.
    pub(super) fn had(&self, path: &str, value: &Value) -> bool {
        match self.0.get(path) {
            Some(Some(digest)) => *digest == short(value),
            // Made by a build that thought every engine tells it.
            Some(None) => is_untold(path),
            None => false,
        }
    }
}

impl fmt::Display for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, digest)) in self.0.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            match digest {
                Some(digest) => write!(f, "{line}{path}\t{digest}")?,
                None => write!(f, "{line}{path}")?,
            }
        }
        Ok(())
    }
}

/// The beginning of a value's digest.
fn short(value: &Value) -> String {
    let digest = Digest::of(value.to_string().as_bytes()).to_string();
    digest.chars().skip("sha256:".len()).take(12).collect()
}

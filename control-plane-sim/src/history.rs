//! What a device's key has held, and which generation comes next. Pure.

use jiff::Timestamp;
use manifest_types::{digest::Digest, manifest::Generation};
use serde_json::Value;

/// One value that a manifest's key has had.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The bucket's revision.
    pub revision: u64,
    /// When it was written, by the server's clock.
    pub written: Timestamp,
    /// What was written.
    pub content: Content,
}

/// What was written to a manifest's key.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// JSON, a manifest if it was written by a control plane.
    Json(Value),
    /// The key was deleted or purged.
    Deleted,
    /// Bytes that are no JSON.
    Unreadable,
}

/// There is no generation after the highest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoGenerationLeft;

impl Revision {
    /// The JSON that was written.
    pub fn json(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Deleted | Content::Unreadable => None,
        }
    }

    /// Its generation, if it tells a possible one.
    pub fn generation(&self) -> Option<Generation> {
        generation_of(self.json()?)
    }

    /// How many resources it lists.
    pub fn resources(&self) -> Option<usize> {
        Some(self.json()?.get("resources")?.as_array()?.len())
    }
}

/// The generation that a manifest tells, if it is a possible one.
pub fn generation_of(manifest: &Value) -> Option<Generation> {
    Generation::try_from(manifest.get("generation")?.as_u64()?).ok()
}

/// The highest generation that the device says it has seen or holds; 0 if it says none. Read leniently: a newer agent's status counts, too.
pub fn seen_by_device(status: &Value) -> u64 {
    let told = |key| status.get(key).and_then(Value::as_u64).unwrap_or(0);
    told("observedGeneration").max(told("manifestGeneration"))
}

/// One more than the highest generation in the key's history, also beneath delete markers, and than what the device has seen.
pub fn next_generation(history: &[Revision], seen: u64) -> Result<Generation, NoGenerationLeft> {
    let written = history.iter().filter_map(Revision::generation).map(Generation::get).max().unwrap_or(0);
    let next = written.max(seen).checked_add(1).ok_or(NoGenerationLeft)?;
    Generation::try_from(next).map_err(|_| NoGenerationLeft)
}

/// The newest value of that generation.
pub fn find(history: &[Revision], generation: Generation) -> Option<&Revision> {
    history.iter().rev().find(|revision| revision.generation() == Some(generation))
}

/// The generations that can be rolled back to, oldest first.
pub fn generations(history: &[Revision]) -> Vec<Generation> {
    let mut generations: Vec<_> = history.iter().filter_map(Revision::generation).collect();
    generations.sort_unstable();
    generations.dedup();
    generations
}

/// The digest of what a manifest says, whatever its generation.
pub fn content_digest(manifest: &Value) -> Digest {
    let mut content = manifest.clone();
    if let Some(members) = content.as_object_mut() {
        members.remove("generation");
    }
    Digest::of_json(&content)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn written(revision: u64, generation: u64) -> Revision {
        let value = json!({ "generation": generation, "resources": [{ "id": "a" }] });
        Revision { revision, written: Timestamp::UNIX_EPOCH, content: Content::Json(value) }
    }

    pub(crate) fn deleted(revision: u64) -> Revision {
        Revision { revision, written: Timestamp::UNIX_EPOCH, content: Content::Deleted }
    }

    fn next(history: &[Revision], seen: u64) -> Option<u64> {
        next_generation(history, seen).ok().map(Generation::get)
    }

    #[test]
    fn the_next_generation_is_above_all_that_was_ever_seen() {
        assert_eq!(next(&[], 0), Some(1));
        assert_eq!(next(&[], 7), Some(8));
        assert_eq!(next(&[written(1, 3), written(2, 9), written(3, 4)], 0), Some(10));
        assert_eq!(next(&[written(1, 3), deleted(2)], 0), Some(4), "beneath a delete marker");
        assert_eq!(next(&[written(1, 3)], 12), Some(13), "the device has seen more than the key tells");
    }

    #[test]
    fn what_tells_no_possible_generation_is_not_counted() {
        let mut odd = written(2, 0);
        odd.content = Content::Json(json!({ "generation": "9" }));
        let unreadable =
            Revision { revision: 3, written: Timestamp::UNIX_EPOCH, content: Content::Unreadable };
        let history = [written(1, 5), odd, unreadable, written(4, Generation::MAX + 1), written(5, 0)];
        assert_eq!(next(&history, 0), Some(6));
    }

    #[test]
    fn past_the_highest_there_is_none() {
        assert_eq!(next(&[written(1, Generation::MAX)], 0), None);
        assert_eq!(next(&[], u64::MAX), None);
        assert_eq!(next(&[], Generation::MAX - 1), Some(Generation::MAX));
    }

    #[test]
    fn a_generation_written_twice_is_found_as_it_was_last() {
        let history = [written(1, 3), written(2, 4), written(3, 3)];
        let three = Generation::try_from(3).unwrap();
        assert_eq!(find(&history, three).unwrap().revision, 3);
        assert_eq!(generations(&history).iter().map(|g| g.get()).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(find(&history, Generation::FIRST), None);
    }

    #[test]
    fn the_generation_is_no_content() {
        let digest = |value| content_digest(&value);
        let one = digest(json!({ "generation": 1, "resources": [1.0] }));
        assert_eq!(one, digest(json!({ "resources": [1], "generation": 2 })));
        assert_ne!(one, digest(json!({ "resources": [], "generation": 1 })));
    }

    #[test]
    fn a_status_tells_the_highest_it_has_seen() {
        assert_eq!(seen_by_device(&json!({ "observedGeneration": 8, "manifestGeneration": 7 })), 8);
        assert_eq!(seen_by_device(&json!({ "observedGeneration": 0, "manifestGeneration": 7, "new": 1 })), 7);
        assert_eq!(seen_by_device(&json!(null)), 0);
    }
}

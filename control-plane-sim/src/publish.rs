//! Gives a manifest its generation and writes it.

use manifest_types::{keys, manifest::Generation, name::AgentId};
use serde::Serialize;
use serde_json::Value;

use crate::{
    error::Error,
    history::{Content, NoGenerationLeft, Revision, content_digest, next_generation, seen_by_device},
    link::Link,
    manifest_file::Wanted,
    store::{self, Swap},
};

/// So often a write is tried again when others write the same key.
const ATTEMPTS: usize = 16;

/// What became of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The device.
    pub agent_id: AgentId,
    /// Its generation.
    pub generation: Generation,
    /// The key's revision that holds it; none if nothing was to be written.
    pub revision: Option<u64>,
    /// How many resources it lists.
    pub resources: usize,
    /// Whether the key held just this already.
    pub unchanged: bool,
}

/// What is to be done with a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The key holds it already.
    Unchanged {
        /// Its generation.
        generation: Generation,
        /// Its revision.
        revision: u64,
    },
    /// It is to be written.
    Write {
        /// As this generation.
        generation: Generation,
        /// If the key's last revision is still this one.
        after: u64,
    },
}

/// Decides from what the key has held, and what the device has `seen`, what is to be done with `content`.
///
/// The same content under a generation that the device is already past would be refused as stale, so it is written anew.
pub fn decide(history: &[Revision], seen: u64, content: &Value) -> Result<Decision, NoGenerationLeft> {
    let last = history.last();
    if let Some(Revision { revision, content: Content::Json(present), .. }) = last
        && let Some(generation) = last.and_then(Revision::generation)
        && generation.get() >= seen
        && content_digest(present) == content_digest(content)
    {
        return Ok(Decision::Unchanged { generation, revision: *revision });
    }
    let generation = next_generation(history, seen)?;
    Ok(Decision::Write { generation, after: last.map_or(0, |last| last.revision) })
}

/// Writes a manifest as the device's next generation. With `dry_run` it only says which one that would be.
pub async fn publish(link: &Link, wanted: &Wanted, dry_run: bool) -> Result<Published, Error> {
    let fleet = link.fleet().await?;
    let key = keys::desired_state(&wanted.agent);
    let published = |generation, revision, unchanged| Published {
        agent_id: wanted.agent.clone(),
        generation,
        revision,
        resources: wanted.resources,
        unchanged,
    };
    for _ in 0..ATTEMPTS {
        let history = store::history(&fleet, &key).await?;
        let status = store::get(&fleet, &keys::actual_state(&wanted.agent)).await?;
        let seen = status.map_or(0, |entry| match store::content(&entry) {
            Content::Json(status) => seen_by_device(&status),
            Content::Deleted | Content::Unreadable => 0,
        });
        let decision = decide(&history, seen, &wanted.content);
        match decision.map_err(|NoGenerationLeft| Error::NoGenerationLeft { agent: wanted.agent.clone() })? {
            Decision::Unchanged { generation, revision } => {
                return Ok(published(generation, Some(revision), true));
            }
            Decision::Write { generation, .. } if dry_run => return Ok(published(generation, None, false)),
            Decision::Write { generation, after } => {
                let mut manifest = wanted.content.clone();
                manifest["generation"] = generation.get().into();
                if let Swap::Written(revision) = store::swap(&fleet, &key, &manifest, after).await? {
                    return Ok(published(generation, Some(revision), false));
                }
            }
        }
    }
    Err(Error::Contended { key, attempts: ATTEMPTS })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::tests::{deleted, written};

    fn content() -> Value {
        json!({ "resources": [{ "id": "a" }] })
    }

    fn write(generation: u64, after: u64) -> Result<Decision, NoGenerationLeft> {
        Ok(Decision::Write { generation: Generation::try_from(generation).unwrap(), after })
    }

    #[test]
    fn the_first_manifest_goes_where_nothing_was() {
        assert_eq!(decide(&[], 0, &content()), write(1, 0));
        assert_eq!(decide(&[], 4, &content()), write(5, 0), "a device that knew another bucket");
    }

    #[test]
    fn the_same_content_is_not_written_again() {
        let generation = Generation::try_from(7).unwrap();
        let history = [written(1, 6), written(9, 7)];
        assert_eq!(decide(&history, 7, &content()), Ok(Decision::Unchanged { generation, revision: 9 }));
        assert_eq!(decide(&history, 7, &json!({ "resources": [] })), write(8, 9));
    }

    #[test]
    fn the_same_content_is_written_again_after_a_deletion_or_when_the_device_is_past_it() {
        assert_eq!(decide(&[written(1, 6), deleted(2)], 6, &content()), write(7, 2));
        assert_eq!(decide(&[written(1, 6)], 8, &content()), write(9, 1));
    }
}

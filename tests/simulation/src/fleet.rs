//! What the control plane does: manifests, good and bad, as the bytes that a source brings.

use serde_json::{Value, json};

use crate::chance::Chance;

/// Makes manifests over a small set of ids and paths, so that they collide in every way.
pub(crate) struct Fleet {
    pub(crate) generation: u64,
    /// The bytes that the key holds, and their revision.
    pub(crate) current: Option<(Vec<u8>, u64)>,
    revision: u64,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self { generation: 0, current: None, revision: 0 }
    }

    /// A new manifest, as a rule a good one.
    pub(crate) fn publish(&mut self, chance: &mut Chance) {
        self.generation += 1;
        let mut value = json!({
            "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": self.generation, "resources": resources(chance),
        });
        if chance.percent(10) {
            value["generation"] = json!(chance.below(self.generation as usize));
        }
        if chance.percent(5) {
            value["surprise"] = json!(true);
        }
        self.store(value.to_string().into_bytes());
    }

    /// A good manifest, for the end.
    pub(crate) fn publish_good(&mut self, chance: &mut Chance) {
        self.generation += 1;
        let value = json!({
            "apiVersion": "holdfast/v1", "kind": "AgentManifest", "generation": self.generation, "resources": good(chance),
        });
        self.store(value.to_string().into_bytes());
    }

    /// Something that is no manifest at all.
    pub(crate) fn publish_garbage(&mut self) {
        self.store(b"{\"apiVersion\":".to_vec());
    }

    fn store(&mut self, bytes: Vec<u8>) {
        self.revision += 1;
        self.current = Some((bytes, self.revision));
    }
}

const IDS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const PATHS: [&str; 10] =
    ["/run/a", "/run/b", "/etc/c", "/etc/d", "/etc/e", "/batch/f", "/batch/g", "/etc/h", "/run/i", "/etc/j"];

fn resources(chance: &mut Chance) -> Value {
    let mut entries = good(chance);
    if let Some(entry) = entries.as_array_mut().and_then(|entries| {
        let index = chance.below(entries.len());
        entries.get_mut(index)
    }) {
        match chance.below(12) {
            0 => entry["spec"]["colour"] = json!("red"),
            1 => entry["kind"] = json!("Hologram"),
            2 => entry["dependsOn"] = json!(["nowhere"]),
            _ => {}
        }
    }
    entries
}

/// Entries that are accepted: edges lead only to ids before, so there is no circle.
fn good(chance: &mut Chance) -> Value {
    let mut free: Vec<&str> = PATHS.to_vec();
    let mut before: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    let mut ids = IDS.to_vec();
    for _ in 0..chance.below(IDS.len() + 1) {
        let id = ids.remove(chance.below(ids.len()));
        // As a rule the same id has the same path; now and then they are exchanged.
        let usual = IDS.iter().position(|known| *known == id).unwrap_or(0);
        let index = free.iter().position(|path| *path == PATHS[usual]).filter(|_| !chance.percent(25));
        let path = free.remove(index.unwrap_or_else(|| chance.below(free.len())));
        let content = format!("{}", chance.below(3));
        let mut entry =
            json!({ "id": id, "kind": "File", "spec": { "path": path, "content": { "inline": content } } });
        for (key, percent) in [("dependsOn", 30), ("restartOn", 30)] {
            if !before.is_empty() && chance.percent(percent) {
                entry[key] = json!([before[chance.below(before.len())]]);
            }
        }
        match chance.below(10) {
            0 => entry["drift"] = json!("Report"),
            1 => entry["drift"] = json!("Ignore"),
            2..=4 => entry["group"] = json!("gate"),
            _ => {}
        }
        before.push(id);
        entries.push(entry);
    }
    entries.into()
}

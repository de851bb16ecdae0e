//! A model of a device: things at paths. It keeps the reconcilers' promises, and can be stopped between any two of their effects.

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use holdfast::clock::BootTime;
use manifest_types::{
    claim::Claim,
    kinds::{Spec, file::FileSpec},
};
use reconcilers::{
    observation::{Before, Difference, Health, Observation},
    registry::{AnyChange, AnyTarget, Work},
};

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) content: String,
    /// Whether the agent put it there.
    pub(crate) ours: bool,
    /// Bumped by every change: what others that restart on it must have loaded.
    pub(crate) version: u64,
    /// The versions of its `restartOn` that its last start has loaded.
    pub(crate) loaded: BTreeMap<String, u64>,
    /// When it is healthy.
    pub(crate) healthy_at: BootTime,
}

/// The device.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) things: BTreeMap<String, Thing>,
    /// Originals, kept for the day when their place is given back.
    pub(crate) kept: BTreeMap<String, Thing>,
    /// Where the agent has put something of its own and not taken it away since.
    put: BTreeSet<String>,
    ever_put: BTreeSet<String>,
    disturbed: BTreeMap<String, u64>,
    /// Where somebody forbids to disrupt what is there.
    locked: BTreeSet<String>,
    versions: u64,
    pub(crate) violation: Option<String>,
}

pub(crate) fn file(spec: &Spec) -> &FileSpec {
    let Spec::File(file) = spec else { unreachable!("the adversary writes files only") };
    file
}

pub(crate) fn wanted_content(spec: &Spec) -> String {
    let content = file(spec).content.as_ref().map(|content| content.digest());
    content.map(|digest| digest.short()).unwrap_or_default()
}

fn path_of(spec: &Spec) -> &str {
    file(spec).path.as_str()
}

/// What lives below `/run` runs: replacing it disrupts.
fn runs(path: &str) -> bool {
    path.starts_with("/run/")
}

impl World {
    pub(crate) fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }

    /// The version that somebody else has made of what is there, if they were the last to change it.
    pub(crate) fn disturbed_since_change(&self, path: &str) -> Option<u64> {
        self.disturbed.get(path).copied()
    }

    /// Somebody else puts something there.
    pub(crate) fn disturb(&mut self, path: &str, content: Option<String>, now: BootTime) {
        let version = self.next_version();
        self.disturbed.insert(path.to_owned(), version);
        match (content, self.things.get_mut(path)) {
            (None, _) => drop(self.things.remove(path)),
            (Some(content), Some(thing)) => {
                thing.content = content;
                thing.version = version;
            }
            (Some(content), None) => {
                let thing = Thing { content, ours: false, version, loaded: BTreeMap::new(), healthy_at: now };
                self.things.insert(path.to_owned(), thing);
            }
        }
    }

    /// From now on somebody forbids to disrupt what is there, or does not any more.
    pub(crate) fn lock(&mut self, path: &str, is_locked: bool) {
        match is_locked {
            true => self.locked.insert(path.to_owned()),
            false => self.locked.remove(path),
        };
    }

    pub(crate) fn observe(&self, target: &AnyTarget, now: BootTime) -> Observation {
        let spec = target.wanted.as_ref().or(target.owned.as_ref().map(|owned| &owned.spec));
        let spec = spec.expect("a target is wanted or owned");
        let path = path_of(spec);
        let thing = self.things.get(path);
        let wanted = target.wanted.as_deref().map(wanted_content);
        let differs = wanted.filter(|wanted| thing.is_none_or(|thing| thing.content != *wanted));
        let got = thing.map(|thing| thing.content.clone());
        let mut hasher = DefaultHasher::new();
        let is_locked = self.locked.contains(path);
        (path, thing.map(|thing| (&thing.content, thing.version)), is_locked).hash(&mut hasher);
        Observation {
            present: thing.is_some(),
            differences: differs
                .map(|want| Difference {
                    in_place: !runs(path),
                    ..Difference::in_place("content", want, got)
                })
                .into_iter()
                .collect(),
            health: match thing {
                Some(thing) if thing.healthy_at > now => Health::Starting("it takes its time"),
                _ => Health::Healthy,
            },
            details: None,
            running: runs(path) && thing.is_some(),
            holder: is_locked.then(|| format!("the lock of {path}")),
            marked_ours: false,
            keeps_original: self.kept.contains_key(path),
            fingerprint: hasher.finish(),
        }
    }

    /// Carries out the next effect of a change, the `phase`th; false when there is none left.
    /// `loads` are the paths that it restarts on.
    pub(crate) fn effect(
        &mut self,
        change: &AnyChange,
        phase: u32,
        loads: &[String],
        healthy_at: BootTime,
    ) -> bool {
        let spec = match &change.work {
            Work::Put { spec, .. } => Some(spec),
            Work::Take => None,
        };
        let keep = spec.map(|spec| path_of(spec).to_owned());
        let leftover = change.owned.held.iter().filter_map(|(claim, before)| match claim {
            Claim::Path(path) if Some(path) != keep.as_ref() => Some((path.clone(), *before)),
            _ => None,
        });
        let leftover: Vec<_> = leftover.collect();
        match (phase, &change.work) {
            (0, Work::Put { spec, .. }) => self.keep_original(change, path_of(spec), &wanted_content(spec)),
            (1, Work::Put { spec, restart, .. }) => self.put(spec, *restart, loads, healthy_at),
            (2, _) | (0, Work::Take) => {
                for (path, before) in leftover {
                    self.take(change, &path, before);
                }
            }
            _ => return false,
        }
        true
    }

    /// What is there and not of our doing is kept, once.
    fn keep_original(&mut self, change: &AnyChange, path: &str, wanted: &str) {
        let Some(thing) = self.things.get(path).filter(|thing| !thing.ours && thing.content != wanted) else {
            return;
        };
        let applied_before =
            change.owned.attempted.as_ref().is_none_or(|attempted| **attempted != *change.owned.spec)
                && path_of(&change.owned.spec) == path;
        let is_original = change.owned.held.get(&Claim::Path(path.to_owned())) == Some(&Before::Original)
            || !applied_before;
        if is_original && !self.kept.contains_key(path) {
            self.kept.insert(path.to_owned(), thing.clone());
        }
    }

    fn put(&mut self, spec: &Spec, restart: bool, loads: &[String], healthy_at: BootTime) {
        let (path, content) = (path_of(spec).to_owned(), wanted_content(spec));
        let present = self.things.get(&path).cloned();
        let changes = present.as_ref().is_none_or(|thing| thing.content != content);
        if !changes && !restart {
            return;
        }
        let loaded = loads
            .iter()
            .map(|path| (path.clone(), self.things.get(path).map_or(0, |thing| thing.version)))
            .collect();
        let version =
            if changes { self.next_version() } else { present.as_ref().map_or(0, |thing| thing.version) };
        let ours = changes || present.is_some_and(|thing| thing.ours);
        if changes {
            self.put.insert(path.clone());
            self.ever_put.insert(path.clone());
            self.disturbed.remove(&path);
        }
        self.things.insert(path, Thing { content, ours, version, loaded, healthy_at });
    }

    fn take(&mut self, change: &AnyChange, path: &str, before: Before) {
        if let Some(original) = self.kept.remove(path) {
            self.put.remove(path);
            self.things.insert(path.to_owned(), original);
            return;
        }
        let ours = self.put.remove(path);
        let Some(thing) = self.things.get_mut(path) else { return };
        match before {
            Before::Same => thing.ours = false,
            // The original went away before we came to keep it: there is nothing to put back.
            Before::Original if ours => drop(self.things.remove(path)),
            Before::Original => {}
            Before::Absent => {
                // What was begun may have been done, and a removal may be done twice; of what is there instead by then,
                // the real reconciler keeps a copy.
                let ever_ours = self.ever_put.contains(path) || change.owned.attempted.is_some();
                if !ever_ours {
                    self.violation = Some(format!("invariant 2: {path} was deleted and never ours"));
                }
                self.things.remove(path);
            }
        }
    }
}

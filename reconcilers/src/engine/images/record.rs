//! Which images our pulls brought, and which of them are still needed. Pure.
//!
//! Containers are known by their names in the engine: these stay when only a resource's id changes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::terms::NamedImage;

/// What is remembered of images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Record {
    /// The images that were not there before a pull of ours, by id, and the references that were pulled.
    brought: BTreeMap<String, BTreeSet<String>>,
    /// What each container is made of, and was made of before, where one of the two was brought; and what others hold that was brought.
    made_of: BTreeMap<String, MadeOf>,
    /// The pulls that were begun and are not known to have ended, by who needs them.
    pulls: BTreeMap<String, Pull>,
}

/// What a container is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MadeOf {
    present: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

/// A pull.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pull {
    /// What is pulled.
    pub(super) reference: String,
    /// The ids of the images that were there before.
    pub(super) before: BTreeSet<String>,
    /// When it was begun.
    #[serde(default)]
    pub(super) begun: Timestamp,
}

/// What stands before a reference whose pull was not seen to end, once its user has another one pulled.
const LATE: &str = "late:";
/// An engine may go on with a pull that nobody waits for any more. What is there so long after it began is not its doing.
const LATEST: SignedDuration = SignedDuration::from_hours(1);

/// An image that was brought and that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leftover {
    /// Its id.
    pub(super) id: String,
    /// The names by which it is removed.
    pub(super) names: Vec<String>,
    /// Whether it stays nevertheless, under a name that somebody else gave it.
    pub(super) is_kept: bool,
}

impl Record {
    /// A pull for somebody begins. One before it that was not seen to end may end yet.
    pub(super) fn pull_begins(&mut self, user: &str, mut pull: Pull) {
        match self.pulls.remove(user) {
            Some(former) if former.reference == pull.reference => pull.before = former.before,
            Some(former) => drop(self.pulls.insert(format!("{LATE}{}", former.reference), former)),
            None => {}
        }
        self.pulls.insert(user.to_owned(), pull);
    }

    /// The pull for somebody has ended, and what was pulled is `image`, if it is there.
    pub(super) fn pull_ended(&mut self, user: &str, image: Option<&str>) {
        let Some(pull) = self.pulls.remove(user) else { return };
        let Some(image) = image else { return };
        let is_new = !pull.before.contains(image);
        if is_new || self.brought.contains_key(image) {
            self.brought.entry(image.to_owned()).or_default().insert(pull.reference);
        }
    }

    /// A pull was not seen to end, and what it was to bring is not there.
    pub(super) fn pull_is_late(&mut self, user: &str, now: Timestamp) {
        let is_over = |pull: &Pull| now.duration_since(pull.begun).abs() > LATEST;
        if self.pulls.get(user).is_some_and(is_over) {
            self.pulls.remove(user);
        }
    }

    /// Those for whom a pull was begun and not ended.
    pub(super) fn open_pulls(&self) -> Vec<String> {
        self.pulls.keys().cloned().collect()
    }

    /// What the pull for somebody was to bring, if one was begun and not ended.
    pub(super) fn open_pull(&self, user: &str) -> Option<String> {
        self.pulls.get(user).map(|pull| pull.reference.clone())
    }

    /// A container is as wanted, and made of `image`. What has another name by now than it had is told by `former`.
    pub(super) fn settled(&mut self, container: &str, former: &[String], image: &str) {
        for former in former.iter().filter(|former| *former != container) {
            if let Some(made_of) = self.made_of.remove(former) {
                self.made_of.entry(container.to_owned()).or_insert(made_of);
            }
        }
        let was = self.made_of.get(container);
        if was.is_some_and(|was| was.present == image) {
            return;
        }
        let previous = was.map(|was| was.present.clone());
        let is_brought = |id: &String| self.brought.contains_key(id);
        if previous.as_ref().is_some_and(is_brought) || self.brought.contains_key(image) {
            let present = image.to_owned();
            self.made_of.insert(container.to_owned(), MadeOf { present, previous });
        } else {
            self.made_of.remove(container);
        }
    }

    /// Somebody who is no container has `image`, and needs nothing that it had before.
    pub(super) fn holds(&mut self, user: &str, image: &str) {
        match self.brought.contains_key(image) {
            true => {
                self.made_of.insert(user.to_owned(), MadeOf { present: image.to_owned(), previous: None });
            }
            false => drop(self.made_of.remove(user)),
        }
    }

    /// Whether anybody of these is known to need something.
    pub(super) fn knows_any(&self, is_one: impl Fn(&str) -> bool) -> bool {
        self.made_of.keys().chain(self.pulls.keys()).any(|user| is_one(user))
    }

    /// Nobody is to go back to what it was made of before: whether anybody could have.
    pub(super) fn forget_previous(&mut self) -> bool {
        let forgotten = self.made_of.values_mut().filter_map(|made_of| made_of.previous.take());
        forgotten.count() > 0
    }

    /// They are gone, and nobody wants them any more.
    pub(super) fn forget(&mut self, users: &[String]) {
        for user in users {
            self.made_of.remove(user);
        }
    }

    /// Whether there is anything that could be removed.
    pub(super) fn may_have_leftovers(&self, wanted: &BTreeSet<String>) -> bool {
        self.brought.keys().any(|image| !self.is_needed(image, wanted))
    }

    /// What was `before` and is not `there` is gone.
    pub(super) fn gone(&mut self, before: &Self, there: &[NamedImage]) {
        for image in before.brought.keys().filter(|image| there.iter().all(|there| there.id != **image)) {
            self.let_go(image);
        }
    }

    /// What of the images that are there no container is made of, was made of before, or uses, whosever it is.
    pub(super) fn leftovers(&self, there: &[NamedImage], in_use: &BTreeSet<String>) -> Vec<Leftover> {
        let none = BTreeSet::new();
        let unneeded =
            there.iter().filter(|there| !in_use.contains(&there.id) && !self.is_needed(&there.id, &none));
        let brought = unneeded.filter_map(|there| Some((there, self.brought.get(&there.id)?)));
        brought.map(|(there, pulled)| leftover(there, pulled)).collect()
    }

    /// An image is no longer there, or no longer ours to remove. If it is there when a pull has ended, the pull has brought it.
    pub(super) fn let_go(&mut self, image: &str) {
        self.brought.remove(image);
        for pull in self.pulls.values_mut() {
            pull.before.remove(image);
        }
    }

    /// Whether an image is wanted, or a container's present or previous one.
    pub(super) fn is_needed(&self, image: &str, wanted: &BTreeSet<String>) -> bool {
        let keeps = |made_of: &MadeOf| made_of.present == image || made_of.previous.as_deref() == Some(image);
        wanted.contains(image) || self.made_of.values().any(keeps)
    }
}

/// An image is removed by the names under which we brought it; if it has none by now, by its id. A tag that somebody else gave it keeps it.
fn leftover(image: &NamedImage, pulled: &BTreeSet<String>) -> Leftover {
    let (ours, others): (Vec<_>, Vec<_>) =
        image.names.iter().cloned().partition(|name| pulled.contains(name));
    // A name by digest comes with every pull.
    let is_kept = others.iter().any(|name| !name.contains('@'));
    let names = if ours.is_empty() && !is_kept { vec![image.id.clone()] } else { ours };
    Leftover { id: image.id.clone(), names, is_kept }
}

#[cfg(test)]
mod tests;

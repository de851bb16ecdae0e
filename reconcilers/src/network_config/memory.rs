//! What is remembered of interfaces in the state directory: how each was before us, which specs were confirmed, and the change that is under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use manifest_types::{
    digest::Digest,
    kinds::network_config::{Mac, NetworkConfigSpec},
    name::ResourceId,
};
use serde::{Deserialize, Serialize};

use super::{
    backend::{Saved, Trial},
    moves::Snapshot,
    setup::Setup,
    terms::{Link, Links, of_mac},
};
use crate::books::{Books, NotRemembered};

const FILE: &str = "network.json";
/// One device, one record.
const DEVICE: &str = "device";

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Record {
    /// How interfaces were before us, by the resource that holds them.
    pub(super) held: BTreeMap<ResourceId, Checkpoint>,
    /// The specs that were confirmed.
    pub(super) confirmed: BTreeMap<ResourceId, Digest>,
    /// The change that is under way.
    pub(super) open: Option<Open>,
    /// Specs whose change was taken back by another than the step that made it, and why: they are told once more.
    pub(super) undone: BTreeMap<ResourceId, Undone>,
}

/// How interfaces were at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checkpoint {
    /// In the kernel.
    pub(super) kernel: Snapshot,
    /// In the words of what manages them.
    pub(super) saved: Saved,
    /// Of what is held: the one that the resource is about, beside which it changes others.
    #[serde(default)]
    pub(super) own: Option<Own>,
}

/// The interface that a resource is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own {
    pub(super) name: String,
    /// The address by which it was meant, if it was meant by that: names may change with the boot.
    pub(super) mac: Option<Mac>,
    /// Its ports, of a bridge: they are its own, too.
    #[serde(default)]
    pub(super) ports: BTreeSet<String>,
}

impl Own {
    pub(super) fn of(spec: &NetworkConfigSpec, setup: &Setup) -> Self {
        Self { name: setup.name.clone(), mac: spec.matched.mac, ports: setup.ports.clone() }
    }

    /// Whether it is about the interface of this name now.
    fn is(&self, name: &str, links: &Links) -> bool {
        let own = match self.mac {
            Some(mac) => of_mac(mac, links),
            None => Some(self.name.as_str()),
        };
        own == Some(name)
    }
}

impl Record {
    /// Whose an interface is, but for this one.
    pub(super) fn other_holder(&self, name: &str, links: &Links, but: &ResourceId) -> Option<&ResourceId> {
        let mut others = self.held.iter().filter(|(id, _)| *id != but);
        let has = |own: &Own| own.is(name, links) || own.ports.contains(name);
        let is_own = |held: &Checkpoint| held.own.as_ref().is_some_and(has);
        others.find(|(_, held)| is_own(held)).map(|(id, _)| id)
    }

    /// Who is about an interface, but for this one.
    pub(super) fn former_holder(&self, name: &str, links: &Links, but: &ResourceId) -> Option<&ResourceId> {
        let mut others = self.held.iter().filter(|(id, _)| *id != but);
        let is_about = |held: &Checkpoint| match &held.own {
            Some(own) => own.is(name, links),
            // As an earlier build noted it.
            None => held.kernel.contains_key(name),
        };
        others.find(|(_, held)| is_about(held)).map(|(id, _)| id)
    }

    /// What is held under an id, but for what is another's by now.
    pub(super) fn held_by(&self, id: &ResourceId, links: &Links) -> Option<Checkpoint> {
        let mut held = self.held.get(id)?.clone();
        held.kernel.retain(|name, _| self.other_holder(name, links, id).is_none());
        held.saved.0.retain(|name, _| held.kernel.contains_key(name));
        Some(held)
    }

    /// The same; one that has got another id holds what it held under the former one.
    pub(super) fn held_under(
        &self,
        id: &ResourceId,
        name: Option<&str>,
        links: &Links,
        was_applied: bool,
    ) -> Option<Checkpoint> {
        let former = || self.held_by(self.former_holder(name?, links, id)?, links);
        self.held_by(id, links).or_else(|| former().filter(|_| was_applied))
    }

    /// What was held under one id is held under another from now on.
    pub(super) fn rename(&mut self, from: &ResourceId, to: &ResourceId) {
        if let Some(held) = self.held.remove(from) {
            self.held.insert(to.clone(), held);
        }
        if let Some(digest) = self.confirmed.remove(from) {
            self.confirmed.insert(to.clone(), digest);
        }
        self.undone.remove(from);
    }

    /// A resource holds nothing any more.
    pub(super) fn forget(&mut self, id: &ResourceId) {
        self.held.remove(id);
        self.confirmed.remove(id);
        self.undone.remove(id);
    }
}

impl Checkpoint {
    /// Those of its interfaces that a setup has nothing to do with. What was a port of its bridge before is left out of it in the kernel, and is given back to what manages it
    /// if we have told that otherwise: `former` is what was wanted before.
    pub(super) fn without(&self, setup: &Setup, former: Option<&Setup>) -> Self {
        let names: BTreeSet<&str> = setup.touches().collect();
        let was_port =
            |was: &Option<Link>| was.as_ref().is_some_and(|was| was.master.as_deref() == Some(&setup.name));
        let mut rest = self.clone();
        rest.kernel.retain(|name, was| !names.contains(name.as_str()) && !was_port(was));
        rest.saved.0.retain(|name, _| {
            let was_told = former.is_some_and(|former| former.ports.contains(name));
            rest.kernel.contains_key(name) || (was_told && !names.contains(name.as_str()))
        });
        rest
    }

    /// Takes in another one. What was not there before one of them was not there before both.
    pub(super) fn add(&mut self, other: &Self) {
        for (name, was) in &other.kernel {
            let known = self.kernel.entry(name.clone()).or_insert_with(|| was.clone());
            if was.is_none() {
                *known = None;
            }
        }
        for (name, kept) in &other.saved.0 {
            self.saved.0.entry(name.clone()).or_insert_with(|| kept.clone());
        }
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.kernel.is_empty() && self.saved.0.is_empty()
    }
}

/// A change that is neither confirmed nor taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open {
    /// How it was before.
    pub(super) before: Checkpoint,
    /// What was held under the ids that are changed.
    pub(super) held: BTreeMap<ResourceId, Checkpoint>,
    /// The boot in which it was begun: after another one, the kernel knows nothing of it any more.
    pub(super) boot: String,
    /// What is being changed, and the specs' digests; none for what is taken away.
    pub(super) changes: BTreeMap<ResourceId, Option<Digest>>,
    /// Whether it must be confirmed still: else what is left to do is to say that it stays.
    pub(super) must_confirm: bool,
    /// What is changed, for people.
    pub(super) tried: String,
    /// The backend's name for it.
    #[serde(default)]
    pub(super) trial: Option<Trial>,
    /// Why it is taken back, once that has been decided.
    #[serde(default)]
    pub(super) why: Option<String>,
}

/// A spec whose change was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Undone {
    pub(super) digest: Digest,
    pub(super) why: String,
}

/// The memory.
#[derive(Debug)]
pub(super) struct Memory(Books<Record>);

impl Memory {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self(Books::new(state_dir, FILE))
    }

    pub(super) async fn record(&self) -> Result<Record, NotRemembered> {
        self.0.record(DEVICE).await
    }

    /// Changes it; durable when it returns.
    pub(super) async fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), NotRemembered> {
        self.0.change(DEVICE, change).await
    }
}

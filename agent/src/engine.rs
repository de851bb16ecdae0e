//! The engine: all facts, and what follows from them. No I/O, no clock, no async.
//!
//! [`Engine::apply`] takes one fact ([`event`]); [`Engine::plan`] returns, as [`command`]s, the difference between what should be under way
//! and what is. [`resource`] holds the facts of one resource; [`intake`] turns manifests into wanted resources; [`sights`] and [`steps`] take in what
//! reconcilers answer; [`outbox`] decides when which status is sent, and who may send it.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use manifest_types::{
    manifest::Generation,
    name::ResourceId,
    status::{Capability, DriftRecord},
};

use crate::{
    clock::{BootTime, Now},
    engine::{command::Plan, event::Event, outbox::Outbox, resource::Resource},
    ledger::{
        memory::{Admission, LedgerWrite, Memory},
        row::Row,
    },
    plan::{self, backoff, order},
    report::Since,
};

pub mod command;
pub mod event;
mod facts;
mod intake;
pub mod outbox;
pub mod resource;
pub mod sabotage;
pub mod settings;
mod sights;
pub mod standing;
mod steps;

pub(crate) use facts::{KindFacts, LedgerFacts, LedgerFault, ManifestFacts, Members, Unseen};
use sabotage::Rule;
use settings::Settings;

/// The engine.
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) resources: BTreeMap<ResourceId, Resource>,
    /// The looks under way.
    pub(crate) looks: BTreeMap<u64, Vec<ResourceId>>,
    /// The steps under way.
    pub(crate) steps: BTreeMap<u64, Members>,
    /// Whose decision may have changed since the last plan.
    pub(crate) touched: BTreeSet<ResourceId>,
    /// When whose decision changes by time alone.
    pub(crate) alarms: BTreeSet<(BootTime, ResourceId)>,
    pub(crate) manifest: ManifestFacts,
    pub(crate) kinds: BTreeMap<String, KindFacts>,
    pub(crate) gates: BTreeMap<String, String>,
    pub(crate) ledger: LedgerFacts,
    pub(crate) outbox: Outbox,
    pub(crate) paused_until: Option<BootTime>,
    pub(crate) capabilities: BTreeMap<String, Capability>,
    /// Those that wait, and for what depends on more than their neighbours.
    pub(crate) waiters: BTreeSet<ResourceId>,
    /// Drifts that were found and not told yet.
    pub(crate) drifts: Vec<(ResourceId, DriftRecord)>,
    /// Since when each condition's status is what it is.
    pub(crate) condition_since: Since,
    pub(crate) next_id: u64,
    /// Who waits in a circle, once somebody has asked and until it may be otherwise.
    pub(crate) circling: OnceCell<BTreeSet<ResourceId>>,
    /// Bumped by every fact that a status may show.
    pub(crate) changes: u64,
}

impl Engine {
    /// An engine that remembers `memory`.
    pub fn new(settings: Settings, memory: Memory, now: Now) -> Self {
        let outbox = Outbox::new(&settings, memory.instances.clone());
        let mut engine = Self {
            settings,
            resources: BTreeMap::new(),
            looks: BTreeMap::new(),
            steps: BTreeMap::new(),
            touched: BTreeSet::new(),
            alarms: BTreeSet::new(),
            manifest: ManifestFacts::default(),
            kinds: BTreeMap::new(),
            gates: BTreeMap::new(),
            ledger: LedgerFacts::default(),
            outbox,
            paused_until: None,
            capabilities: BTreeMap::new(),
            waiters: BTreeSet::new(),
            drifts: Vec::new(),
            condition_since: Since::new(),
            next_id: 1,
            circling: OnceCell::new(),
            changes: 1,
        };
        engine.remember(memory, now);
        engine
    }

    /// Takes in one fact.
    pub fn apply(&mut self, event: Event, now: Now) {
        match event {
            Event::Admitted { admitted, revision } => self.admitted(*admitted, revision, now),
            Event::Refused { rejection, revision } => self.refused(&rejection, revision),
            Event::KeyAbsent { revision } => {
                self.manifest.observed_revision = revision;
                self.manifest.refused = None;
            }
            Event::Source { away } => self.manifest.source_away = away,
            Event::Observed { ticket, kind, result } => self.observed(ticket, &kind, result, now),
            Event::LookReturned { ticket } => self.look_returned(ticket),
            Event::Capabilities(found) if found == self.capabilities => return,
            Event::Capabilities(found) => self.capabilities = found,
            Event::StepEnded { step, ended } => self.step_ended(step, ended, now),
            Event::Progress { step, id, progress } => self.progressed(step, &id, progress),
            Event::Hint { kind, hint } => self.hinted(kind, hint, now.boot),
            Event::Remembered { seq } => self.remembered(seq),
            Event::LedgerSlow { seq } => self.ledger_slow(seq),
            Event::LedgerFailed { seq, message, full } => self.ledger_failed(seq, message, full, now),
            Event::Gate { group, holder } => self.gate(group, holder),
            Event::Retry { id } => self.retry(id.as_ref(), now),
            Event::Pause { id, until } => self.pause(id.as_ref(), until),
            Event::Resync => self.look_at_all(),
            Event::Flush => self.ledger.flush = true,
            Event::ForgetGeneration => {
                self.manifest.admissions.clear();
                self.ledger.forgets_generations = true;
                self.ledger.urgent = true;
            }
            Event::Outbox(event) => {
                let was_fenced = self.outbox.is_fenced();
                self.outbox.apply(event, &self.settings, now);
                if was_fenced != self.outbox.is_fenced() {
                    self.touch_all();
                }
            }
        }
        self.changes += 1;
    }

    /// What follows from all facts together.
    pub fn plan(&mut self, now: Now) -> Plan {
        plan::plan(self, now)
    }

    /// What admission of a manifest from `source` is held against.
    pub fn last_admission(&self, source: &str) -> Option<Admission> {
        self.manifest.admissions.get(source).copied()
    }

    /// The facts of all resources, for those who explain and report.
    pub fn resources(&self) -> &BTreeMap<ResourceId, Resource> {
        &self.resources
    }

    /// Those whose decisions depend on the facts of `id`.
    pub fn neighbours(&self, id: &ResourceId) -> Vec<ResourceId> {
        self.resources
            .get(id)
            .map(|resource| resource.neighbours.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The generation in force, and the one last processed.
    pub fn generations(&self) -> (u64, u64) {
        (self.manifest.generation.map_or(0, Generation::get), self.manifest.observed_generation)
    }

    /// What the engine was told at its start.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The sink takes so many bytes at once.
    pub fn set_status_limit(&mut self, limit: usize) {
        self.settings.status_limit = limit;
    }

    /// Whether another agent of this id holds the status.
    pub fn is_fenced(&self) -> bool {
        self.outbox.is_fenced()
    }

    pub(crate) fn breaks(&self, rule: Rule) -> bool {
        self.settings.sabotage.breaks(rule)
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn chance(&self, of: &str, turn: u64) -> u64 {
        backoff::chance(self.settings.seed, of, turn)
    }

    /// The decision on `id`, and on those that depend on it or share something with it, must be made again.
    pub(crate) fn touch(&mut self, id: &ResourceId) {
        self.touch_neighbours(id);
        self.touched.insert(id.clone());
    }

    pub(crate) fn touch_neighbours(&mut self, id: &ResourceId) {
        if let Some(resource) = self.resources.get(id) {
            self.touched.extend(resource.neighbours.iter().cloned());
        }
    }

    pub(crate) fn touch_all(&mut self) {
        self.touched.extend(self.resources.keys().cloned());
    }

    pub(crate) fn touch_kind(&mut self, kind: &str) {
        let of_kind = self.resources.iter().filter(|(_, resource)| resource.kind() == kind);
        self.touched.extend(of_kind.map(|(id, _)| id.clone()));
    }

    /// Takes the write under way, if it is this one.
    fn take_write(&mut self, seq: u64) -> Option<Arc<LedgerWrite>> {
        let (_, write) = self.ledger.in_flight.take_if(|(in_flight, _)| *in_flight == seq)?;
        self.ledger.slow = false;
        Some(write)
    }

    fn ledger_slow(&mut self, seq: u64) {
        let Some((in_flight, write)) = &self.ledger.in_flight else { return };
        if *in_flight == seq {
            self.ledger.slow = true;
            self.touched.extend(write.rows.keys().cloned());
        }
    }

    /// Whether there is anything that the ledger does not hold yet.
    pub(crate) fn has_unsaved(&self) -> bool {
        let ledger = &self.ledger;
        let is_any = !ledger.unsaved.is_empty() || !ledger.removed.is_empty() || ledger.forgets_generations;
        is_any || self.manifest.unsaved.is_some()
    }

    fn remembered(&mut self, seq: u64) {
        let Some(write) = self.take_write(seq) else { return };
        // What came from the reserve does not say that there is room again: the rest, if there is any, is tried when that is due.
        if !write.lets_go || !self.has_unsaved() {
            self.ledger.broken = None;
        }
        for id in write.rows.keys() {
            if let Some(resource) = self.resources.get_mut(id) {
                resource.saved.committed(seq);
            }
            self.touched.insert(id.clone());
        }
        if let (Some((saved, _)), Some((unsaved, ..))) = (&write.manifest, &self.manifest.unsaved)
            && saved == unsaved
        {
            self.manifest.unsaved = None;
        }
    }

    fn ledger_failed(&mut self, seq: u64, message: String, full: bool, now: Now) {
        let Some(write) = self.take_write(seq) else { return };
        self.ledger.forgets_generations |= write.forgets_generations;
        for (id, row) in &write.rows {
            let owns_again = self.resources.get(id).is_some_and(|resource| resource.row.is_some());
            match self.resources.get_mut(id) {
                _ if row.is_none() && !owns_again => drop(self.ledger.removed.insert(id.clone())),
                Some(resource) => {
                    resource.saved.failed(seq);
                    self.ledger.unsaved.insert(id.clone());
                }
                None => {}
            }
        }
        // What lets go of things is tried by itself next, from the reserve.
        let lets_go = |row: &Option<Arc<Row>>| row.as_ref().is_none_or(|row| row.lets_go());
        self.ledger.urgent |= full && !write.lets_go && write.rows.values().any(lets_go);
        let times = self.ledger.broken.as_ref().map_or(0, |fault| fault.times) + 1;
        let retry_at = now.boot + backoff::delay(times.min(6), self.chance("ledger", u64::from(times)));
        self.ledger.broken = Some(LedgerFault { message, full, times, retry_at });
        self.touch_all();
    }

    fn gate(&mut self, group: String, holder: Option<String>) {
        match holder {
            Some(holder) => drop(self.gates.insert(group, holder)),
            None => drop(self.gates.remove(&group)),
        }
        self.touch_all();
    }

    fn retry(&mut self, id: Option<&ResourceId>, now: Now) {
        let asked: Vec<_> = match id {
            Some(id) => vec![id.clone()],
            None => self.resources.keys().cloned().collect(),
        };
        for id in asked {
            let Some(resource) = self.resources.get_mut(&id) else { continue };
            if resource.retry() {
                self.unsaved(&id, now.boot);
                // Its intent counts as durable only once this is.
                self.ledger.urgent = true;
            }
            self.touched.insert(id);
        }
    }

    fn pause(&mut self, id: Option<&ResourceId>, until: Option<BootTime>) {
        match id {
            None => {
                self.paused_until = until;
                // To hold all again means those, too, that were let go of one by one.
                if until.is_none() {
                    self.resources.values_mut().for_each(|resource| resource.paused_until = None);
                }
            }
            Some(id) => {
                if let Some(resource) = self.resources.get_mut(id) {
                    resource.paused_until = until;
                }
            }
        }
        self.touch_all();
    }

    /// Who waits in a circle, or for one that does.
    pub(crate) fn circling(&self) -> &BTreeSet<ResourceId> {
        self.circling.get_or_init(|| order::circling(&self.resources))
    }

    fn look_at_all(&mut self) {
        for resource in self.resources.values_mut() {
            resource.look.due = true;
        }
        for kind in self.kinds.values_mut() {
            kind.unseen = None;
        }
        self.touch_all();
    }
}

#[cfg(test)]
pub(crate) mod tests;

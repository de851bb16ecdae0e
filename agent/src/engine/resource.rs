//! The facts of one resource.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::Spec,
    manifest::{DriftPolicy, Edges, Until},
    name::{GroupName, ResourceId},
    status::{Phase, Progress},
};
use reconcilers::{
    error::Failure,
    observation::{Health, Observation},
    reconciler::Batch,
    registry::{AnyOwned, AnyTarget},
};

use crate::{
    clock::BootTime,
    ledger::row::{OpaqueRow, Row},
    plan::backoff::Repairs,
};

pub use super::standing::Standing;

/// The facts of one resource.
#[derive(Debug)]
pub struct Resource {
    /// What the manifest wants of it, if it is in the manifest.
    pub wanted: Option<Wanted>,
    /// What we own under this id.
    pub row: Option<Arc<Row>>,
    /// What we own under this id and cannot understand.
    pub opaque: Option<Box<OpaqueRow>>,
    /// How far the row is on its way to the disk.
    pub(crate) saved: Saved,
    /// Whether and how it is being looked at.
    pub(crate) look: Look,
    /// What was last seen, unless a change was made since.
    pub sight: Option<Sight>,
    /// What is being done with it.
    pub(crate) step: Option<RunningStep>,
    /// The last failure, until something gives reason to hope.
    pub trouble: Option<Box<Trouble>>,
    /// How often it was changed of late, and when it may be changed again.
    pub(crate) repairs: Repairs,
    /// Until when an operator wants it left alone.
    pub paused_until: Option<BootTime>,
    /// Whether the last drift recorded still lasts.
    pub(crate) drift_lasts: bool,
    /// Those whose decisions depend on these facts.
    pub(crate) neighbours: BTreeSet<ResourceId>,
    /// What was last decided to be told of it.
    pub standing: Standing,
    /// Since when it is in its phase.
    pub since: Timestamp,
    /// When its decision changes by time alone.
    pub(crate) alarm: Option<BootTime>,
}

/// What the manifest wants of a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its kind, as written.
    pub kind: String,
    /// What is wanted, as far as it can be understood.
    pub body: WantedBody,
    /// How it hangs together with others.
    pub edges: Edges,
    /// What is done about drift.
    pub drift: DriftPolicy,
}

/// What is wanted, as far as it can be understood.
#[derive(Debug, Clone, PartialEq)]
pub enum WantedBody {
    /// A good spec.
    Spec(Aim),
    /// A kind that this build does not know.
    UnknownKind,
    /// Wrong in itself.
    Invalid {
        /// All that is wrong with it.
        message: String,
    },
}

/// A spec to be held.
#[derive(Debug, Clone, PartialEq)]
pub struct Aim {
    /// The spec.
    pub spec: Arc<Spec>,
    /// Its digest as written.
    pub digest: Digest,
    /// What it holds.
    pub claims: Vec<Claim>,
    /// What changes together with it.
    pub batch: Option<Batch>,
}

/// What is to become of a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal<'a> {
    /// Bring it to this spec and hold it there.
    Hold(&'a Arc<Spec>, Digest),
    /// Take it away: it is not wanted, or not as this kind.
    Release,
    /// Leave it as it is.
    Leave,
}

/// What is being done with a resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunningStep {
    pub(crate) id: u64,
    /// The digest that it brings about; none when it takes away.
    pub(crate) puts: Option<Digest>,
    /// Whether it is taken away only to make room, and is still wanted.
    pub(crate) makes_room: bool,
    pub(crate) cancelled: bool,
    pub(crate) progress: Option<Progress>,
}

/// Whether and how a resource is being looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Look {
    /// Whether it must be looked at.
    pub(crate) due: bool,
    /// The look under way, and the digest that it compares with.
    pub(crate) ticket: Option<(u64, Option<Digest>)>,
    /// Whether it must be looked at by itself, because a look at several hung.
    pub(crate) alone: bool,
    /// A look at it alone that took too long and has not returned: another one would hang beside it.
    pub(crate) hung: Option<u64>,
    /// Looks in vain, in a row.
    pub(crate) failures: u32,
    /// Not before then.
    pub(crate) not_before: Option<BootTime>,
    /// Whether its kind was told of it since the agent started: else what it holds may be taken for another's.
    pub(crate) is_known: bool,
}

/// What was last seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// The digest of the spec it was compared with; none when it was not.
    pub against: Option<Digest>,
    /// Whether that spec came later, and what was seen only contradicts it (ADR 0014).
    pub foreseen: bool,
    /// What was seen.
    pub seen: Result<Observation, Failure>,
    /// When.
    pub at: BootTime,
}

/// A failure that still stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// What went wrong.
    pub failure: Failure,
    /// The digest that was to be brought about; none when it was to be taken away.
    pub of: Option<Digest>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; not by itself without one.
    pub until: Option<BootTime>,
    /// What was seen right after.
    pub left: Option<u64>,
}

/// How far a row is on its way to the disk.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Saved {
    unsaved: bool,
    in_flight: Option<u64>,
}

impl Saved {
    pub(crate) fn is_durable(&self) -> bool {
        !self.unsaved && self.in_flight.is_none()
    }

    pub(crate) fn is_unsaved(&self) -> bool {
        self.unsaved
    }

    pub(crate) fn changed(&mut self) {
        self.unsaved = true;
    }

    pub(crate) fn written(&mut self, seq: u64) {
        self.unsaved = false;
        self.in_flight = Some(seq);
    }

    pub(crate) fn committed(&mut self, seq: u64) {
        self.in_flight.take_if(|in_flight| *in_flight == seq);
    }

    pub(crate) fn failed(&mut self, seq: u64) {
        if self.in_flight.take_if(|in_flight| *in_flight == seq).is_some() {
            self.unsaved = true;
        }
    }
}

impl Resource {
    /// A resource of which nothing is known.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            wanted: None,
            row: None,
            opaque: None,
            saved: Saved::default(),
            look: Look { due: true, ..Look::default() },
            sight: None,
            step: None,
            trouble: None,
            repairs: Repairs::default(),
            paused_until: None,
            drift_lasts: false,
            neighbours: BTreeSet::new(),
            standing: Standing::of(Phase::Pending),
            since: now,
            alarm: None,
        }
    }

    /// The kind whose reconciler has to do with it now.
    pub fn kind(&self) -> &str {
        let row = self.row.as_ref().map(|row| &row.kind).or(self.opaque.as_ref().map(|row| &row.kind));
        let wanted = self.wanted.as_ref().map(|wanted| &wanted.kind);
        row.or(wanted).map_or("", String::as_str)
    }

    /// The good spec that is wanted.
    pub fn aim(&self) -> Option<&Aim> {
        match &self.wanted.as_ref()?.body {
            WantedBody::Spec(aim) => Some(aim),
            WantedBody::UnknownKind | WantedBody::Invalid { .. } => None,
        }
    }

    /// Whether the wanted spec is one that failed before and is not tried again.
    pub fn is_quarantined(&self) -> bool {
        let quarantined = self.row.as_ref().and_then(|row| row.quarantine.as_ref());
        quarantined.is_some_and(|quarantine| self.aim().is_some_and(|aim| aim.digest == quarantine.digest))
    }

    /// What is to become of it.
    pub(crate) fn goal(&self) -> Goal<'_> {
        if self.opaque.is_some() {
            return Goal::Leave;
        }
        match (&self.wanted, &self.row) {
            (None, None) => Goal::Leave,
            (None, Some(_)) => Goal::Release,
            (Some(wanted), row) => match (&wanted.body, row) {
                (WantedBody::UnknownKind | WantedBody::Invalid { .. }, _) => Goal::Leave,
                (WantedBody::Spec(_), Some(row)) if row.kind != wanted.kind => Goal::Release,
                (WantedBody::Spec(_), Some(row)) if self.is_quarantined() => {
                    row.applied.as_ref().map_or(Goal::Leave, |good| Goal::Hold(&good.spec, good.digest))
                }
                (WantedBody::Spec(aim), _) => Goal::Hold(&aim.spec, aim.digest),
            },
        }
    }

    /// The digest that a look compares with now.
    pub(crate) fn compared(&self) -> Option<Digest> {
        match self.goal() {
            Goal::Hold(_, digest) => Some(digest),
            Goal::Release | Goal::Leave => None,
        }
    }

    /// What a look needs to know.
    pub(crate) fn target(&self, id: &ResourceId) -> AnyTarget {
        let wanted = match self.goal() {
            Goal::Hold(spec, _) => Some(spec.clone()),
            Goal::Release | Goal::Leave => None,
        };
        AnyTarget { id: id.clone(), wanted, owned: self.owned() }
    }

    /// What we hold, as reconcilers are told.
    pub(crate) fn owned(&self) -> Option<AnyOwned> {
        let row = self.row.as_ref()?;
        Some(AnyOwned {
            spec: row.spec()?.clone(),
            applied: row.applied.is_some(),
            attempted: row.attempted().map(|attempted| attempted.spec.clone()),
            held: row.held.clone(),
        })
    }

    /// What was seen and still counts: it was compared with what is wanted now.
    pub fn observation(&self) -> Option<&Observation> {
        let sight = self.sight.as_ref().filter(|sight| sight.against == self.compared())?;
        sight.seen.as_ref().ok()
    }

    /// The group that it is in, or was in last.
    pub(crate) fn group(&self) -> Option<&GroupName> {
        let wanted = self.wanted.as_ref().and_then(|wanted| wanted.edges.group.as_ref());
        wanted.or(self.row.as_ref().and_then(|row| row.edges.group.as_ref()))
    }

    /// Whether the spec that is wanted is the one that was applied last, whole.
    pub fn is_applied(&self) -> bool {
        let applied = self.row.as_ref().and_then(|row| row.applied_digest());
        applied.is_some() && applied == self.aim().map(|aim| aim.digest)
    }

    /// Whether what drifted is left: after the first Ready, as the policy says.
    pub(crate) fn tolerates_drift(&self) -> bool {
        let policy = self.wanted.as_ref().map(|wanted| wanted.drift);
        let reached = self.is_applied() && self.row.as_ref().is_some_and(|row| row.reached);
        reached && matches!(policy, Some(DriftPolicy::Report | DriftPolicy::Ignore))
    }

    /// Whether it has been left to itself: once it was Ready, nobody wants to know. One that was restarted since is not yet.
    pub(crate) fn is_ignored(&self) -> bool {
        let is_starting = self.observation().is_some_and(|seen| matches!(seen.health, Health::Starting(_)));
        !is_starting
            && self.tolerates_drift()
            && self.wanted.as_ref().is_some_and(|wanted| wanted.drift == DriftPolicy::Ignore)
    }

    /// Whether a hint leads to a look at once. What is known to drift and only told may change all day long.
    pub(crate) fn heeds_hints(&self) -> bool {
        let is_known_to_drift = self.drift_lasts && self.tolerates_drift();
        !self.is_ignored() && !is_known_to_drift
    }

    /// Whether it is not repaired now, whatever is seen: somebody keeps changing it, or it is paused.
    pub(crate) fn is_left_to_drift(&self, now: BootTime) -> bool {
        self.repairs.next() > now || self.paused_until.is_some_and(|until| until > now)
    }

    /// Whether it is as far as one that depends on it needs.
    pub(crate) fn satisfies(&self, until: Until) -> bool {
        let (Some(seen), None) = (self.observation(), &self.step) else {
            return false;
        };
        let as_wanted = seen.on_target() || self.tolerates_drift();
        let far_enough = match until {
            Until::Started => seen.present,
            Until::Ready | Until::Completed => as_wanted,
        };
        self.is_applied() && far_enough && seen.health.satisfies(until)
    }

    /// Whether it holds something of which its kind has not been told yet.
    pub(crate) fn is_to_be_made_known(&self) -> bool {
        self.row.is_some() && !self.look.is_known && self.look.ticket.is_none() && self.look.hung.is_none()
    }

    /// The revision of what is there.
    pub(crate) fn revision(&self) -> u64 {
        self.row.as_ref().map_or(0, |row| row.revision)
    }

    /// Forgets the last failure, because an operator asks. Whether the row has changed.
    pub(crate) fn retry(&mut self) -> bool {
        self.trouble = None;
        self.repairs = Repairs::default();
        self.look.due = true;
        self.look.not_before = None;
        let Some(row) = self.row.as_mut().filter(|row| row.attempts > 0 || row.quarantine.is_some()) else {
            return false;
        };
        let row = Arc::make_mut(row);
        row.attempts = 0;
        row.quarantine = None;
        self.saved.changed();
        true
    }

    /// The revision that one that starts now has surely seen: the change that is under way may come about later.
    pub(crate) fn seen_revision(&self) -> u64 {
        let under_way = self.row.as_ref().is_some_and(|row| row.intent.is_some());
        self.revision().saturating_sub(u64::from(under_way))
    }
}

//! The decision on one resource: what to do now, what to tell, and when to think again. Pure.

use std::sync::Arc;

use manifest_types::{digest::Digest, kinds::Spec, name::ResourceId, status::Phase};
use reconcilers::{
    error::Failure,
    observation::{Health, Observation},
    registry::Work,
};

use crate::{
    clock::BootTime,
    engine::{
        Engine,
        resource::{Goal, Resource, Standing, WantedBody},
        sabotage::Rule,
    },
    ledger::row::Row,
};

mod hold;
mod release;
mod rows;

/// The decision on one resource.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) act: Act,
    pub(crate) standing: Standing,
    /// When the decision changes by time alone.
    pub(crate) alarm: Option<BootTime>,
}

/// What to do with one resource now.
#[derive(Debug)]
pub(crate) enum Act {
    /// Nothing.
    Rest,
    /// Nothing is known or wanted of it any more.
    Forget,
    /// Look at it.
    Look,
    /// Tell its step to stop.
    Cancel(u64),
    /// Write the row when it suits; nothing on the device changes.
    Settle(Arc<Row>),
    /// Write the row now: a change is about to be made.
    Intend(Arc<Row>),
    /// Make the change: its intent is durable.
    Start {
        work: Work,
        /// Whether it is taken away only so that others can go on.
        makes_room: bool,
    },
    /// Take over another's row.
    Inherit(ResourceId),
    /// Nothing until others let go of what it claims; what was seen of it before counts no more.
    AwaitClaims,
    /// Nothing: it waits, and for what depends on more than its neighbours.
    Await,
}

impl Verdict {
    pub(crate) fn rest(standing: Standing) -> Self {
        Self { act: Act::Rest, standing, alarm: None }
    }

    pub(crate) fn act(act: Act, standing: Standing) -> Self {
        Self { act, standing, alarm: None }
    }

    pub(crate) fn until(mut self, alarm: Option<BootTime>) -> Self {
        self.alarm = alarm;
        self
    }

    /// The same, which changes at a certain time in any case.
    fn no_longer_than(self, at: Option<BootTime>) -> Self {
        let alarm = self.alarm.into_iter().chain(at).min();
        self.until(alarm)
    }
}

/// Decides on `id`.
pub(crate) fn decide(engine: &Engine, id: &ResourceId, now: BootTime) -> Verdict {
    let Some(me) = engine.resources.get(id) else {
        return Verdict::act(Act::Forget, Standing::of(Phase::Unknown));
    };
    if let Some(verdict) = under_way(engine, me) {
        return verdict;
    }
    if engine.is_fenced() {
        let standing = Standing::of(Phase::Unknown);
        return Verdict::rest(standing.because("Fenced", "another agent of this id is at work"));
    }
    if me.is_to_be_made_known() && !matches!(me.goal(), Goal::Release if engine.manifest.generation.is_none())
    {
        return made_known(engine, me, now);
    }
    match me.goal() {
        Goal::Leave => left_alone(me),
        Goal::Release if engine.manifest.generation.is_none() => {
            let standing = Standing::of(Phase::Unknown);
            Verdict::rest(
                standing.because("NoManifest", "no manifest was admitted, so nothing is taken away"),
            )
        }
        Goal::Release => {
            look_first(engine, me, now, Phase::Deleting, |_| release::release(engine, id, me, now))
        }
        Goal::Hold(spec, _) if let Some(verdict) = hold::await_claims(engine, id, me, spec, now) => verdict,
        Goal::Hold(spec, digest) => look_first(engine, me, now, Phase::Reconciling, |seen| {
            hold::hold(&hold::Case { engine, id, me, spec, digest, seen, now })
        }),
    }
}

/// Whatever becomes of it, its kind is told first what it holds: also of what is left as it is, and of what waits for others.
fn made_known(engine: &Engine, me: &Resource, now: BootTime) -> Verdict {
    let retry_at =
        engine.kinds.get(me.kind()).and_then(|facts| facts.unseen.as_ref()).map(|away| away.retry_at);
    let waits = retry_at.filter(|at| *at > now);
    let standing = match me.goal() {
        Goal::Leave => left_alone(me).standing,
        Goal::Release => Standing::of(Phase::Deleting).because("Observing", ""),
        Goal::Hold(..) => Standing::of(Phase::Reconciling).because("Observing", ""),
    };
    let act = if waits.is_some() { Act::Rest } else { Act::Look };
    Verdict::act(act, standing).until(waits)
}

/// While a step runs, nothing else is done; one that brings about what is not wanted any more is told to stop.
fn under_way(engine: &Engine, me: &Resource) -> Option<Verdict> {
    let step = me.step.as_ref()?;
    let wrong = match (me.goal(), step.puts) {
        (Goal::Hold(_, digest), Some(puts)) => puts != digest,
        (Goal::Hold(..), None) => !step.makes_room,
        (Goal::Release, puts) => puts.is_some(),
        (Goal::Leave, puts) => puts.is_none(),
    };
    let outdated = (wrong || engine.is_fenced()) && !engine.breaks(Rule::NewestWins);
    let phase = if me.wanted.is_none() { Phase::Deleting } else { Phase::Reconciling };
    let doing = if step.puts.is_some() { "Applying" } else { "TakingAway" };
    let standing = Standing::of(phase).because(doing, "");
    let act = if outdated && !step.cancelled { Act::Cancel(step.id) } else { Act::Rest };
    Some(Verdict::act(act, standing))
}

/// What this build does not understand, or knows to be bad, is left as it is.
fn left_alone(me: &Resource) -> Verdict {
    let body = me.wanted.as_ref().map(|wanted| &wanted.body);
    let standing = match (body, &me.opaque) {
        (None, None) => return Verdict::act(Act::Forget, Standing::of(Phase::Unknown)),
        (None, Some(row)) => {
            let message =
                format!("it is a {}, which this agent does not know and so cannot take away", row.kind);
            Standing::of(Phase::Deleting).because("UnknownKind", message)
        }
        (Some(WantedBody::UnknownKind), _) => Standing::of(Phase::Unknown)
            .because("UnknownKind", "this agent does not know the kind; a newer one may"),
        (Some(WantedBody::Invalid { message }), _) => invalid(message),
        (Some(WantedBody::Spec(_)), Some(row)) => {
            let message =
                format!("what is held under this id is a {}, which this agent does not know", row.kind);
            Standing::of(Phase::Pending).because("HeldByUnknownKind", message)
        }
        (Some(WantedBody::Spec(_)), None) => quarantined(me).unwrap_or_else(|| Standing::of(Phase::Unknown)),
    };
    Verdict::rest(standing)
}

fn invalid(message: &str) -> Standing {
    let failure = Failure::new("InvalidSpec", message, false);
    Standing::of(Phase::Failed).failed(&failure, 0, None)
}

/// What is told of a resource whose spec proved bad: the former one is held.
fn quarantined(me: &Resource) -> Option<Standing> {
    let quarantine = me.row.as_ref()?.quarantine.as_ref().filter(|_| me.is_quarantined())?;
    let failure = Failure::new(&quarantine.reason, quarantine.message.clone(), false);
    Some(Standing::of(Phase::Failed).failed(&failure, 1, None))
}

/// Nothing is decided on a sight that may be outdated.
fn look_first(
    engine: &Engine,
    me: &Resource,
    now: BootTime,
    phase: Phase,
    decided: impl FnOnce(&Observation) -> Verdict,
) -> Verdict {
    let unseen = engine.kinds.get(me.kind()).and_then(|facts| facts.unseen.as_ref());
    if let Some(away) = unseen {
        let phase = if phase == Phase::Deleting { phase } else { Phase::Unknown };
        let standing = Standing::of(phase).because("Unseen", format!("{}: {}", away.reason, away.message));
        let act = if away.retry_at <= now && me.look.ticket.is_none() { Act::Look } else { Act::Rest };
        return Verdict::act(act, standing).until(Some(away.retry_at).filter(|at| *at > now));
    }
    let fits = me.sight.as_ref().filter(|sight| sight.against == me.compared());
    let not_before = me.look.not_before.filter(|at| *at > now);
    let due = (me.look.due || fits.is_none()) && me.look.hung.is_none();
    if me.look.ticket.is_some() || (due && not_before.is_none()) {
        let standing = match fits.map(|sight| &sight.seen) {
            Some(Ok(seen)) => decided(seen).standing,
            // What the last look ended with is told until the next one has ended.
            Some(Err(failure)) => unreadable(me, phase, failure),
            None => Standing::of(phase).because("Observing", ""),
        };
        let act = if me.look.ticket.is_none() { Act::Look } else { Act::Rest };
        return Verdict::act(act, standing);
    }
    match fits.map(|sight| &sight.seen) {
        // What is not looked at yet is decided on by what was seen.
        Some(Ok(seen)) => decided(seen).no_longer_than(not_before.filter(|_| due)),
        Some(Err(failure)) => {
            let again = not_before.filter(|_| me.look.hung.is_none());
            let mut standing = unreadable(me, phase, failure);
            standing.retry_at = again;
            Verdict::rest(standing).until(again)
        }
        None if me.look.hung.is_some() => Verdict::rest(
            Standing::of(phase).because("LookHangs", "the last look at it has not returned yet"),
        ),
        None => Verdict::rest(Standing::of(phase).because("Observing", "")).until(not_before),
    }
}

/// What is told of a resource that cannot be looked at.
fn unreadable(me: &Resource, phase: Phase, failure: &Failure) -> Standing {
    let phase = if phase == Phase::Deleting { phase } else { Phase::Failed };
    Standing::of(phase).failed(failure, me.look.failures, None)
}

/// What holds a change back, whichever it is: an operator, or a failure that is too fresh.
fn held_back(
    engine: &Engine,
    me: &Resource,
    of: Option<Digest>,
    phase: Phase,
    now: BootTime,
) -> Option<Verdict> {
    let paused =
        [engine.paused_until, me.paused_until].into_iter().flatten().filter(|until| *until > now).max();
    if let Some(until) = paused {
        let phase = if phase == Phase::Deleting { phase } else { Phase::Pending };
        let mut standing = Standing::of(phase).because("Paused", "an operator asked to leave it as it is");
        standing.retry_at = Some(until);
        return Some(Verdict::rest(standing).until(Some(until)));
    }
    let trouble = me.trouble.as_ref().filter(|trouble| trouble.of == of)?;
    let standing = match phase {
        Phase::Deleting => Standing::of(phase),
        _ => Standing::of(Phase::Failed),
    };
    let standing = standing.failed(&trouble.failure, trouble.attempts, trouble.until);
    let waits = trouble.until.is_none_or(|until| until > now);
    waits.then(|| Verdict::rest(standing).until(trouble.until))
}

/// Who holds the gate of a resource closed, if a change would disrupt something that runs.
fn closed_gate(engine: &Engine, id: &ResourceId, me: &Resource, phase: Phase) -> Option<Verdict> {
    if engine.breaks(Rule::GateHolds) {
        return None;
    }
    let group = me.group();
    let gate = group.map_or(id.as_str(), |group| group.as_str());
    let of_group = |other: &&Resource| group.is_some() && other.group() == group;
    let members = engine.resources.values().filter(of_group).chain([me]);
    let is_followed = |other: &&Resource| !matches!(other.goal(), Goal::Leave) && !other.is_ignored();
    // After a start, somebody may hold a lock that nobody has seen yet.
    let mut unseen = engine.resources.iter().filter(|(_, other)| of_group(other) && is_followed(other));
    if let Some((id, _)) = unseen.find(|(_, other)| other.row.is_some() && !other.look.is_known) {
        let message = format!("{gate} may not be disrupted: {id} was not looked at yet");
        return Some(Verdict::act(Act::Await, Standing::of(phase).because("Locked", message)));
    }
    // What was seen last counts, also where it was held against another spec; but not of what nobody looks at any more.
    let held = members
        .filter(is_followed)
        .filter_map(|other| other.sight.as_ref()?.seen.as_ref().ok()?.holder.as_ref());
    let holder = engine.gates.get(gate).or_else(|| held.into_iter().next())?;
    let message = format!("{gate} may not be disrupted: {holder}");
    Some(Verdict::rest(Standing::of(phase).because("Locked", message)))
}

/// While an intent is on its way to the disk, or cannot get there.
fn not_durable_yet(engine: &Engine, phase: Phase) -> Verdict {
    match &engine.ledger.broken {
        Some(fault) => {
            let waiting = if phase == Phase::Deleting { phase } else { Phase::Pending };
            let message = format!("the ledger cannot be written: {}", fault.message);
            Verdict::rest(Standing::of(waiting).because("LedgerUnwritable", message))
        }
        None if engine.ledger.slow => {
            let waiting = if phase == Phase::Deleting { phase } else { Phase::Pending };
            let message = "a write to the ledger takes very long; the disk may hang";
            Verdict::rest(Standing::of(waiting).because("LedgerSlow", message))
        }
        None => Verdict::rest(Standing::of(phase).because("Starting", "")),
    }
}

fn on_health(health: &Health) -> Standing {
    match health {
        Health::Healthy | Health::Completed => Standing::of(Phase::Ready),
        Health::Starting(why) => Standing::of(Phase::Reconciling).because("Starting", *why),
        Health::Unhealthy { reason, message } => {
            let failure = Failure::new(reason, message.clone(), false);
            Standing::of(Phase::Failed).failed(&failure, 0, None)
        }
    }
}

fn put(spec: &Arc<Spec>, digest: Digest, restart: bool) -> Work {
    Work::Put { spec: spec.clone(), digest, restart }
}

//! What follows from all facts: the difference between what should be under way and what is. Pure.
//!
//! Each touched resource is decided on by [`verdict`], in the [`order`] that edges and claims give; [`backoff`] says when to try again;
//! [`writing`] says what goes to the ledger, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use manifest_types::name::ResourceId;
use reconcilers::registry::{AnyChange, Work};

use crate::{
    clock::{BootTime, Now},
    engine::{
        Engine, Members,
        command::{Command, Plan},
        outbox::{Outgoing, Shown},
        resource::{RunningStep, Standing},
        sabotage::Rule,
    },
    report,
};

pub mod backoff;
mod lone;
pub(crate) mod order;
mod verdict;
mod writing;

use verdict::{Act, Verdict, decide};

/// So many resources of one kind that must be looked at alone are looked at at the same time.
const LONE_LOOKS: usize = 4;
/// With so many looks that hang, no more are begun that may hang, too: each keeps a thread.
const HUNG_LOOKS: usize = 24;
/// The same, of all kinds together.
const MOST_HUNG_LOOKS: usize = 48;

/// What is gathered while the touched resources are decided on.
#[derive(Default)]
struct Gathered {
    looks: BTreeMap<String, Vec<ResourceId>>,
    starts: Vec<Command>,
    cancels: Vec<Command>,
    /// What was decided last on a resource counts.
    changes: Vec<(ResourceId, Standing)>,
    gone: Vec<ResourceId>,
}

/// Plans once. Everything in the result counts as under way from now on.
pub(crate) fn plan(engine: &mut Engine, now: Now) -> Plan {
    engine.circling.take();
    let was_fenced = engine.is_fenced();
    let takeover_at = engine.outbox.take_over(&engine.settings, now.boot);
    if was_fenced && !engine.is_fenced() {
        engine.touch_all();
    }
    wake(engine, now.boot);
    let mut gathered = Gathered::default();
    while let Some(id) = engine.touched.pop_first() {
        let verdict = decide(engine, &id, now.boot);
        tell(engine, &id, &verdict, &mut gathered, now);
        carry_out(engine, id, verdict.act, &mut gathered, now);
    }
    let mut commands = observe(engine, gathered.looks);
    commands.append(&mut gathered.cancels);
    commands.append(&mut gathered.starts);
    commands.extend(writing::remember(engine, now.boot));
    report::note_changes(engine, now);
    let (outgoing, publish_at) = publish(engine, now);
    commands.extend(outgoing);
    let alarm = engine.alarms.first().map(|(at, _)| *at);
    let resync = engine.kinds.values().filter_map(|kind| kind.resync_at).min();
    let wakes = [takeover_at, publish_at, alarm, resync, engine.paused_until, writing::due(engine, now.boot)];
    Plan {
        commands,
        wake_at: wakes.into_iter().flatten().min(),
        changes: last_of_each(gathered.changes, &gathered.gone),
        gone: gathered.gone,
        drifts: std::mem::take(&mut engine.drifts),
    }
}

/// What was gathered last of each, in the order of the ids, but for those that are gone.
fn last_of_each(
    mut changes: Vec<(ResourceId, Standing)>,
    gone: &[ResourceId],
) -> Vec<(ResourceId, Standing)> {
    changes.sort_by(|(one, _), (other, _)| one.cmp(other));
    changes.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            std::mem::swap(later, earlier);
        }
        is_same
    });
    if !gone.is_empty() {
        let gone: BTreeSet<_> = gone.iter().collect();
        changes.retain(|(id, _)| !gone.contains(id));
    }
    changes
}

/// Touches whatever time alone has changed.
fn wake(engine: &mut Engine, now: BootTime) {
    while let Some((_, id)) = engine.alarms.first().filter(|(at, _)| *at <= now).cloned() {
        engine.alarms.pop_first();
        engine.touched.insert(id);
    }
    if engine.paused_until.take_if(|until| *until <= now).is_some() {
        engine.touch_all();
    }
    let period =
        if engine.breaks(Rule::Quiet) { engine.settings.resync / 60 } else { engine.settings.resync };
    for (kind, facts) in &mut engine.kinds {
        let chance = backoff::chance(engine.settings.seed, kind, now.as_duration().as_secs());
        let next = now + backoff::jittered(period, chance);
        let due = *facts.resync_at.get_or_insert(next) <= now;
        if !due {
            continue;
        }
        facts.resync_at = Some(next);
        for (id, resource) in &mut engine.resources {
            if resource.kind() == kind && !resource.is_ignored() {
                resource.look.due = true;
                engine.touched.insert(id.clone());
            }
        }
    }
    let again: Vec<_> = engine.waiters.iter().cloned().collect();
    engine.touched.extend(again);
}

/// Notes what is to be told of a resource, and when to think of it again.
fn tell(engine: &mut Engine, id: &ResourceId, verdict: &Verdict, gathered: &mut Gathered, now: Now) {
    let waits = matches!(verdict.act, Act::Await | Act::AwaitClaims);
    if waits {
        engine.waiters.insert(id.clone());
    } else {
        engine.waiters.remove(id);
    }
    let Some(resource) = engine.resources.get_mut(id) else { return };
    if let Some(former) = std::mem::replace(&mut resource.alarm, verdict.alarm) {
        engine.alarms.remove(&(former, id.clone()));
    }
    if let Some(alarm) = verdict.alarm {
        engine.alarms.insert((alarm, id.clone()));
    }
    if resource.standing == verdict.standing || matches!(verdict.act, Act::Forget) {
        return;
    }
    if resource.standing.phase != verdict.standing.phase {
        resource.since = now.wall;
    }
    resource.standing = verdict.standing.clone();
    gathered.changes.push((id.clone(), verdict.standing.clone()));
}

fn carry_out(engine: &mut Engine, id: ResourceId, act: Act, gathered: &mut Gathered, now: Now) {
    match act {
        Act::Rest | Act::Await => {}
        Act::AwaitClaims => {
            if let Some(resource) = engine.resources.get_mut(&id) {
                resource.sight = None;
                resource.look.ticket = None;
            }
        }
        Act::Forget => {
            engine.circling.take();
            engine.resources.remove(&id);
            gathered.gone.push(id);
        }
        Act::Look => {
            if let Some(resource) = engine.resources.get(&id) {
                gathered.looks.entry(resource.kind().to_owned()).or_default().push(id);
            }
        }
        Act::Cancel(step) => {
            for id in engine.steps.get(&step).map_or(&[][..], |members| &members.ids) {
                if let Some(running) =
                    engine.resources.get_mut(id).and_then(|resource| resource.step.as_mut())
                {
                    running.cancelled = true;
                }
            }
            gathered.cancels.push(Command::Cancel { step });
        }
        Act::Settle(row) => {
            if let Some(resource) = engine.resources.get_mut(&id) {
                resource.row = Some(row);
                resource.saved.changed();
            }
            engine.unsaved(&id, now.boot);
            engine.touch(&id);
        }
        Act::Intend(row) => {
            if let Some(resource) = engine.resources.get_mut(&id) {
                resource.row = Some(row);
                resource.saved.changed();
                engine.touched.extend(resource.neighbours.iter().cloned());
            }
            engine.unsaved(&id, now.boot);
            engine.ledger.urgent = true;
            if engine.breaks(Rule::IntentFirst) {
                engine.touched.insert(id);
            }
        }
        Act::Start { work, makes_room } => start(engine, id, work, makes_room, gathered, now),
        Act::Inherit(from) => inherit(engine, id, &from, now),
    }
}

/// Starts a change, alone or with all of its batch, if there is room for another step of its kind.
fn start(
    engine: &mut Engine,
    id: ResourceId,
    work: Work,
    makes_room: bool,
    gathered: &mut Gathered,
    now: Now,
) {
    let Some(resource) = engine.resources.get(&id) else { return };
    let kind = resource.kind().to_owned();
    let batch = engine.batch_of(resource);
    let clashes = |members: &Members| batch.is_some() && members.kind == kind && members.batch == batch;
    let under_way: usize = engine.kinds.values().map(|facts| facts.steps).sum();
    let full = engine.kinds.get(&kind).is_some_and(|facts| facts.steps >= engine.settings.parallel_of(&kind));
    let full = full || (engine.breaks(Rule::Independent) && under_way > 0);
    if full || engine.steps.values().any(clashes) {
        engine.kinds.entry(kind).or_default().waiting.insert(id);
        return;
    }
    let members = match &batch {
        None => vec![(id, work, makes_room)],
        Some(_) => match together(engine, &kind, &batch, now.boot) {
            Some(members) => members,
            // Whoever is still on the way may be anywhere in the batch.
            None => {
                engine.waiters.insert(id);
                return;
            }
        },
    };
    let step = engine.fresh_id();
    let mut changes = Vec::new();
    for (id, work, makes_room) in &members {
        engine.touched.insert(id.clone());
        let chance = engine.chance(id.as_str(), step);
        let Some(resource) = engine.resources.get_mut(id) else { continue };
        let Some(owned) = resource.owned() else { continue };
        let puts = match work {
            Work::Put { .. } => resource.compared(),
            Work::Take => None,
        };
        if puts.is_some() {
            resource.repairs.take(now.boot, chance);
        }
        resource.step =
            Some(RunningStep { id: step, puts, makes_room: *makes_room, cancelled: false, progress: None });
        // What was seen before the change says nothing of what is after it.
        resource.look.ticket = None;
        changes.push(AnyChange { id: id.clone(), work: work.clone(), owned });
    }
    let ids = changes.iter().map(|change| change.id.clone()).collect();
    engine.kinds.entry(kind.clone()).or_default().steps += 1;
    engine.steps.insert(step, Members { kind: kind.clone(), batch, ids, is_long: false });
    gathered.starts.push(Command::Start { step, kind, changes, deadline: engine.settings.deadline });
}

/// All of a batch that are to change now; none while one of them is still on its way to that.
fn together(
    engine: &Engine,
    kind: &str,
    batch: &Option<reconcilers::reconciler::Batch>,
    now: BootTime,
) -> Option<Vec<(ResourceId, Work, bool)>> {
    let mut members = Vec::new();
    let mates =
        engine.resources.iter().filter(|(_, mate)| mate.kind() == kind && engine.batch_of(mate) == *batch);
    for (id, mate) in mates {
        let verdict = decide(engine, id, now);
        match verdict.act {
            Act::Start { work, makes_room } => members.push((id.clone(), work, makes_room)),
            Act::Look | Act::Intend(_) | Act::Settle(_) | Act::Inherit(_) => return None,
            _ if mate.look.ticket.is_some() => return None,
            _ if mate.row.as_ref().is_some_and(|row| row.intent.is_some()) && !mate.saved.is_durable() => {
                return None;
            }
            Act::Rest | Act::Await | Act::AwaitClaims | Act::Cancel(_) | Act::Forget => {}
        }
    }
    Some(members)
}

/// Only the id has changed: what `from` owned is `id`'s from now on.
fn inherit(engine: &mut Engine, id: ResourceId, from: &ResourceId, now: Now) {
    let Some(mut row) = engine.resources.get_mut(from).and_then(|former| former.row.take()) else { return };
    engine.circling.take();
    let edges = &mut Arc::make_mut(&mut row).edges;
    edges.depends_on.remove(&id);
    edges.restart_on.retain(|on| *on != id);
    if let Some(heir) = engine.resources.get_mut(&id) {
        heir.row = Some(row);
        heir.saved.changed();
    }
    engine.ledger.removed.insert(from.clone());
    engine.ledger.unsaved.remove(from);
    engine.ledger.urgent = true;
    engine.unsaved(&id, now.boot);
    engine.touch(from);
    engine.meet_neighbours();
    engine.touch(&id);
}

/// One look per kind at all that may be looked at together, and one each at those that may not.
fn observe(engine: &mut Engine, looks: BTreeMap<String, Vec<ResourceId>>) -> Vec<Command> {
    let mut commands = Vec::new();
    for (kind, ids) in looks {
        let is_alone = |id: &ResourceId| engine.resources.get(id).is_some_and(|resource| resource.look.alone);
        let (alone, together): (Vec<_>, Vec<_>) = ids.into_iter().partition(is_alone);
        if !together.is_empty() {
            commands.push(look(engine, &kind, together).1);
        }
        if alone.is_empty() {
            continue;
        }
        let all_hung = engine.resources.values().filter(|resource| resource.look.hung.is_some()).count();
        let (alone, hung) = lone::least_suspicious_first(engine, &kind, alone);
        for id in alone {
            let facts = engine.kinds.entry(kind.clone()).or_default();
            let lone = facts.lone_looks.len();
            if lone >= LONE_LOOKS || hung + lone >= HUNG_LOOKS || all_hung + lone >= MOST_HUNG_LOOKS {
                facts.waiting.insert(id);
                continue;
            }
            let (ticket, command) = look(engine, &kind, vec![id]);
            engine.kinds.entry(kind.clone()).or_default().lone_looks.insert(ticket);
            commands.push(command);
        }
    }
    commands
}

fn look(engine: &mut Engine, kind: &str, ids: Vec<ResourceId>) -> (u64, Command) {
    let ticket = engine.fresh_id();
    let mut targets = Vec::with_capacity(ids.len());
    for id in &ids {
        if let Some(resource) = engine.resources.get_mut(id) {
            resource.look.due = false;
            resource.look.ticket = Some((ticket, resource.compared()));
            targets.push(resource.target(id));
        }
    }
    engine.looks.insert(ticket, ids);
    (ticket, Command::Observe { ticket, kind: kind.to_owned(), targets })
}

fn publish(engine: &mut Engine, now: Now) -> (Option<Command>, Option<BootTime>) {
    let facts = Shown {
        changes: engine.changes,
        generations: engine.generations(),
        settled: report::all_settled(engine),
    };
    let outgoing = match engine.outbox.next(&facts, now.boot) {
        Outgoing::Compare => {
            let status = report::report(engine, now);
            engine.outbox.offer(status, &facts, now.boot)
        }
        other => other,
    };
    match outgoing {
        Outgoing::Nothing | Outgoing::Compare => (None, None),
        Outgoing::Wait(at) => (None, Some(at)),
        Outgoing::Read => (Some(Command::ReadStatus), None),
        Outgoing::Send(over, status) => (Some(Command::Publish { status, over }), None),
    }
}

#[cfg(test)]
pub(crate) mod tests;

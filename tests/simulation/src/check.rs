//! The invariants of the design, held against what happens.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::engine::{Engine, command::Command, resource::WantedBody};
use holdfast::ledger::row::Intent;
use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::Spec,
    manifest::{Body, DriftPolicy, Resource},
    name::{GroupName, ResourceId},
    status::{ConditionStatus, Phase},
};
use reconcilers::{
    observation::Observation,
    registry::{AnyTarget, Work},
};

use crate::{
    play::{Pending, Play},
    world::{file, wanted_content},
};

/// What was seen and done, as far as the checks need it.
#[derive(Default)]
pub(crate) struct Evidence {
    clock: u64,
    effects: BTreeMap<ResourceId, u64>,
    good_sights: BTreeMap<(ResourceId, Digest), u64>,
    /// What was looked at in this life.
    pub(crate) looked_at: BTreeSet<ResourceId>,
    pub(crate) commands: u64,
}

impl Evidence {
    pub(crate) fn effect(&mut self, id: &ResourceId) {
        self.clock += 1;
        self.effects.insert(id.clone(), self.clock);
    }

    pub(crate) fn saw(&mut self, target: &AnyTarget, seen: &Observation) {
        self.clock += 1;
        if let Some(wanted) = target.wanted.as_ref().filter(|_| seen.on_target()) {
            self.good_sights.insert((target.id.clone(), content_key(wanted)), self.clock);
        }
    }

    pub(crate) fn new_life(&mut self) {
        self.good_sights.clear();
        self.looked_at.clear();
    }
}

fn content_key(spec: &Spec) -> Digest {
    let value = serde_json::to_value(spec).expect("a spec is JSON");
    Digest::of_json(&value["spec"])
}

/// The paths of those that `id` restarts on.
pub(crate) fn loads(engine: &Engine, id: &ResourceId) -> Vec<String> {
    let wanted = engine.resources().get(id).and_then(|resource| resource.wanted.as_ref());
    let restart_on = wanted.map(|wanted| wanted.edges.restart_on.clone()).unwrap_or_default();
    let path = |id: &ResourceId| {
        let aim = engine.resources().get(id)?.aim()?;
        Some(file(&aim.spec).path.as_str().to_owned())
    };
    restart_on.iter().filter_map(path).collect()
}

/// Checks a command as it is given.
pub(crate) fn command(play: &Play, command: &Command) -> Result<(), String> {
    match command {
        Command::Start { changes, .. } => {
            for change in changes {
                intent_is_durable(play, &change.id, &change.work)?;
                if matches!(change.work, Work::Take) {
                    is_unwanted(play, &change.id)?;
                }
                gate_is_open(play, &change.id, &change.work)?;
            }
            Ok(())
        }
        Command::Publish { status, .. } => {
            for (id, resource) in &status.resources {
                if resource.phase == Phase::Ready && !resource.drifted {
                    ready_was_seen(play, id, resource.spec_digest)?;
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn intent_is_durable(play: &Play, id: &ResourceId, work: &Work) -> Result<(), String> {
    let intent = play.memory.rows.get(id).and_then(|row| row.intent.as_ref());
    let durable = match (work, intent) {
        (Work::Put { spec, .. }, Some(Intent::Put { target, .. })) => target.spec == *spec,
        (Work::Take, Some(Intent::Take { .. })) => true,
        _ => false,
    };
    if durable { Ok(()) } else { Err(format!("invariant 1: {id} is changed and its intent is not durable")) }
}

/// The group that something is in, or was in last.
pub(crate) fn group_of(play: &Play, id: &ResourceId) -> Option<GroupName> {
    let resource = play.engine.resources().get(id)?;
    let wanted = resource.wanted.as_ref().and_then(|wanted| wanted.edges.group.clone());
    wanted.or_else(|| resource.row.as_ref()?.edges.group.clone())
}

/// What runs is not disrupted while anybody is known to forbid that of it, or of any other of its group.
fn gate_is_open(play: &Play, id: &ResourceId, work: &Work) -> Result<(), String> {
    let all = play.engine.resources();
    let sight = |id: &ResourceId| all.get(id)?.sight.as_ref()?.seen.as_ref().ok();
    let disrupts = sight(id).is_some_and(|seen| {
        let is_replaced = seen.differences.iter().any(|difference| !difference.in_place);
        seen.running && (is_replaced || matches!(work, Work::Take | Work::Put { restart: true, .. }))
    });
    let group = group_of(play, id);
    let is_mate = |other: &&ResourceId| *other == id || (group.is_some() && group_of(play, other) == group);
    let mates = all.keys().filter(is_mate);
    // What is left alone, or to itself, is not looked at: what was seen of it says nothing.
    let is_followed = |id: &&ResourceId| {
        all[*id].wanted.as_ref().is_none_or(|wanted| {
            matches!(wanted.body, WantedBody::Spec(_)) && wanted.drift != DriftPolicy::Ignore
        })
    };
    let mates: Vec<_> = mates.filter(is_followed).collect();
    let is_unseen = |mate: &&&ResourceId| {
        play.memory.rows.contains_key(**mate) && !play.evidence.looked_at.contains(**mate)
    };
    if let Some(unseen) = mates.iter().find(is_unseen).filter(|_| disrupts) {
        return Err(format!(
            "invariant 11: {id} is disrupted, and nobody has looked whether {unseen} forbids it"
        ));
    }
    let locked = mates.into_iter().filter_map(|mate| sight(mate)?.holder.as_ref()).next();
    let gate = group.as_ref().map_or(id.as_str(), |group| group.as_str());
    match locked.or(play.gates.get(gate)).filter(|_| disrupts) {
        Some(holder) => Err(format!("invariant 11: {id} is disrupted, and {holder} forbids it")),
        None => Ok(()),
    }
}

/// What the manifest names is not taken away, unless it must move or make room.
fn is_unwanted(play: &Play, id: &ResourceId) -> Result<(), String> {
    let Some(manifest) = &play.wanted else {
        return Err(format!("invariant 3: {id} is taken away without any manifest"));
    };
    let Some(entry) = manifest.resources.iter().find(|entry| entry.id == *id) else { return Ok(()) };
    let held = play.memory.rows.get(id).map(|row| row.held.clone()).unwrap_or_default();
    match &entry.body {
        Body::Spec(wanted, _) if held.keys().any(|claim| !wanted.claims(id).contains(claim)) => Ok(()),
        _ => Err(format!("invariant 3: {id} is taken away, and the manifest in force names it")),
    }
}

fn ready_was_seen(play: &Play, id: &ResourceId, digest: Option<Digest>) -> Result<(), String> {
    let Some(digest) = digest else {
        return Err(format!("invariant 7: {id} is Ready without a digest"));
    };
    let policy = play
        .engine
        .resources()
        .get(id)
        .and_then(|resource| resource.wanted.as_ref())
        .map(|wanted| wanted.drift);
    if policy == Some(DriftPolicy::Ignore) {
        return Ok(());
    }
    let seen = play.evidence.good_sights.get(&(id.clone(), digest)).copied().unwrap_or(0);
    let changed = play.evidence.effects.get(id).copied().unwrap_or(0);
    if seen > changed {
        return Ok(());
    }
    Err(format!("invariant 7: {id} is Ready and was not seen on target since its last change"))
}

/// Checks what is under way after a plan.
pub(crate) fn after_plan(play: &Play) -> Result<(), String> {
    if let Some(violation) = &play.world.violation {
        return Err(violation.clone());
    }
    for pending in &play.pending {
        let Pending::Step { changes, cancelled: false, .. } = pending else { continue };
        for change in changes {
            let Work::Put { spec, .. } = &change.work else { continue };
            let wanted = play.engine.resources().get(&change.id).and_then(|resource| resource.aim());
            if wanted.is_some_and(|aim| aim.spec != *spec) && !play.engine.is_fenced() {
                return Err(format!(
                    "invariant 5: {} goes on with a spec that is not wanted any more",
                    change.id
                ));
            }
        }
    }
    Ok(())
}

/// Those that cannot come right while the manifest is as it is: bad entries, what depends on them, and what needs something that they hold.
fn hopeless(play: &Play) -> Vec<ResourceId> {
    let entries = play.wanted.iter().flat_map(|manifest| &manifest.resources);
    let (bad, good): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.spec().is_none());
    let mut hopeless: Vec<_> = bad.iter().map(|entry| entry.id.clone()).collect();
    loop {
        // What is not wanted any more waits for those that still depend on it.
        let needed = hopeless
            .iter()
            .filter_map(|id| play.memory.rows.get(id))
            .flat_map(|row| row.edges.depends_on.keys());
        let mut kept =
            needed.filter(|id| !good.iter().any(|entry| entry.id == **id) && !hopeless.contains(id));
        if let Some(id) = kept.next().cloned() {
            hopeless.push(id);
            continue;
        }
        // And for those of its group that wait for what cannot come.
        let groups: Vec<_> = hopeless.iter().filter_map(|id| group_of(play, id)).collect();
        let mut going = play.memory.rows.keys().filter(|id| {
            let is_wanted = good.iter().chain(&bad).any(|entry| entry.id == **id);
            let held = &play.memory.rows[*id].held;
            let runs = held.keys().any(|claim| claim.to_string().starts_with("path:/run/"));
            runs && !is_wanted
                && !hopeless.contains(id)
                && group_of(play, id).is_some_and(|group| groups.contains(&group))
        });
        if let Some(id) = going.next().cloned() {
            hopeless.push(id);
            continue;
        }
        let holds = |claim: &Claim| {
            hopeless.iter().filter_map(|id| play.memory.rows.get(id)).any(|row| row.held.contains_key(claim))
        };
        let joins = |entry: &&&Resource| {
            let depends = entry.edges.depends_on.keys().any(|id| hopeless.contains(id));
            let claims = entry.spec().map(|spec| spec.claims(&entry.id)).unwrap_or_default();
            !hopeless.contains(&entry.id) && (depends || claims.iter().any(holds))
        };
        match good.iter().find(joins).map(|entry| entry.id.clone()) {
            Some(id) => hopeless.push(id),
            None => return hopeless,
        }
    }
}

/// Whether everything is as the manifest in force wants it, but for those that hang together with `except`.
pub(crate) fn converged(play: &Play, except: &[ResourceId]) -> Result<(), String> {
    let Some(manifest) = &play.wanted else { return Ok(()) };
    let hopeless = hopeless(play);
    for entry in manifest.resources.iter().filter(|entry| !hopeless.contains(&entry.id)) {
        let Body::Spec(spec, digest) = &entry.body else { continue };
        if except.contains(&entry.id) {
            continue;
        }
        let path = file(spec).path.as_str();
        let thing = play.world.things.get(path);
        let row = play.memory.rows.get(&entry.id);
        if entry.drift == DriftPolicy::Enforce
            && thing.map(|thing| &thing.content) != Some(&wanted_content(spec))
        {
            let standing = play.engine.resources().get(&entry.id).map(|resource| &resource.standing);
            return Err(format!("{} is not as wanted: {path} is {thing:?}: {standing:?}", entry.id));
        }
        if row.and_then(|row| row.applied_digest()) != Some(*digest) {
            let standing = play.engine.resources().get(&entry.id).map(|resource| &resource.standing);
            return Err(format!(
                "the ledger does not say that {} is applied: {row:?}: {standing:?}",
                entry.id
            ));
        }
    }
    Ok(())
}

/// No restart was missed: whatever runs has loaded the present version of what it restarts on.
pub(crate) fn loaded(play: &Play) -> Result<(), String> {
    for (id, resource) in play.engine.resources() {
        let Some(aim) = resource.aim() else { continue };
        let Some(thing) = play.world.things.get(file(&aim.spec).path.as_str()) else { continue };
        let Some(row) = &resource.row else { continue };
        for (on, saw) in &row.saw {
            let revision =
                play.engine.resources().get(on).and_then(|on| on.row.as_ref()).map_or(0, |row| row.revision);
            let Some(on_aim) = play.engine.resources().get(on).and_then(|on| on.aim()) else { continue };
            let path = file(&on_aim.spec).path.as_str();
            let version = play.world.things.get(path).map_or(0, |thing| thing.version);
            let loaded = thing.loaded.get(path);
            if loaded.is_some_and(|loaded| *loaded != version)
                && play.world.disturbed_since_change(path).is_none()
            {
                return Err(format!(
                    "invariant 9: {id} missed a restart: it has loaded {path} {loaded:?}, which is at {version} (revision {revision}, saw {saw})"
                ));
            }
        }
    }
    Ok(())
}

/// Nothing is owned that is not wanted, and nothing is left over.
pub(crate) fn nothing_leaked(play: &Play) -> Result<(), String> {
    let named: Vec<&ResourceId> =
        play.wanted.iter().flat_map(|manifest| manifest.resources.iter().map(|entry| &entry.id)).collect();
    for id in play.memory.rows.keys() {
        if !named.contains(&id) {
            return Err(format!("invariant 9: the ledger still owns {id}"));
        }
    }
    let mut wanted = Vec::new();
    for (id, resource) in play.engine.resources() {
        let held = play.memory.rows.get(id).into_iter().flat_map(|row| row.held.keys());
        wanted.extend(held.map(ToString::to_string));
        wanted.extend(resource.aim().into_iter().flat_map(|aim| aim.claims.iter().map(ToString::to_string)));
    }
    for (path, thing) in &play.world.things {
        if thing.ours && !wanted.contains(&format!("path:{path}")) {
            return Err(format!("invariant 9: {path} was left over"));
        }
    }
    for path in play.world.kept.keys() {
        if !wanted.contains(&format!("path:{path}")) {
            return Err(format!("invariant 2: the original of {path} was not put back"));
        }
    }
    Ok(())
}

/// The sink holds the final status.
pub(crate) fn status_arrived(play: &Play) -> Result<(), String> {
    let Some((_, instance, Some(status))) = &play.sink.held else {
        return Err("invariant 8: the sink holds no status".into());
    };
    let (generation, observed) = play.engine.generations();
    if (status.manifest_generation, status.observed_generation) != (generation, observed) {
        let held = (status.manifest_generation, status.observed_generation);
        return Err(format!(
            "invariant 8: the sink's status is of {held:?}, not of {:?}",
            (generation, observed)
        ));
    }
    let ready = status.condition("Ready").map(|condition| condition.status);
    let all = play.engine.resources().values().all(|resource| resource.standing.phase == Phase::Ready);
    let told = ready == Some(ConditionStatus::True);
    if generation > 0 && told != all {
        return Err(format!("invariant 8: the status of {instance} says Ready {ready:?}, and it is {all}"));
    }
    Ok(())
}

//! Who goes before whom: dependencies up, removals in reverse, and letting go before taking. Pure.

use std::collections::{BTreeMap, BTreeSet};

use manifest_types::{
    claim::Claim,
    manifest::{Edges, Until},
    name::ResourceId,
};

use crate::{
    engine::resource::{Goal, Resource},
    ledger::row::Intent,
};

/// All resources, by id.
pub(crate) type Resources = BTreeMap<ResourceId, Resource>;

/// The dependencies that are not as far as they must be.
fn unmet<'a>(resources: &'a Resources, edges: &'a Edges) -> impl Iterator<Item = &'a ResourceId> {
    let met =
        |id: &ResourceId, until: Until| resources.get(id).is_some_and(|resource| resource.satisfies(until));
    edges.depends_on.iter().filter(move |(id, until)| !met(id, **until)).map(|(id, _)| id)
}

/// Whether something that `me` restarts on has changed since its last start. Of a start that may not have come about, what it would have seen counts.
pub(crate) fn restart_is_due(resources: &Resources, me: &Resource) -> bool {
    let Some(row) = &me.row else { return false };
    let saw = match (&row.applied, &row.intent) {
        (Some(_), _) => &row.saw,
        (None, Some(Intent::Put { saw, .. })) => saw,
        (None, _) => return false,
    };
    let restart_on = me.wanted.as_ref().map_or(&[][..], |wanted| &wanted.edges.restart_on);
    let revision = |id: &ResourceId| owner(resources, id).map_or(0, Resource::revision);
    restart_on.iter().any(|id| saw.get(id).is_some_and(|seen| *seen != revision(id)))
}

/// Who has the row of `id`: itself, or the one whose row it is about to inherit.
pub(crate) fn owner<'a>(resources: &'a Resources, id: &ResourceId) -> Option<&'a Resource> {
    let me = resources.get(id)?;
    let neighbours = || me.neighbours.iter().filter_map(|other| resources.get(other));
    if me.row.is_some() { Some(me) } else { neighbours().find(|other| inherits(me, other)) }
}

/// The highest revision of `id` that anybody has seen at its start: one that is made anew goes on from there, or nobody would see that it is another.
pub(crate) fn highest_seen(resources: &Resources, me: &Resource, id: &ResourceId) -> u64 {
    let rows = me.neighbours.iter().filter_map(|other| resources.get(other)?.row.as_ref());
    let seen = rows.flat_map(|row| {
        let about_to = match &row.intent {
            Some(Intent::Put { saw, .. }) => saw.get(id),
            _ => None,
        };
        [row.saw.get(id), about_to].into_iter().flatten().copied()
    });
    seen.max().unwrap_or(0)
}

/// The dependencies that a change of `me` waits for: all of them, if it is brought to another spec; those that it restarts on, if it is only to be started
/// again. A repair waits for none: what fails later stops nothing that runs.
pub(crate) fn awaited(resources: &Resources, me: &Resource) -> Vec<ResourceId> {
    let Some(wanted) = &me.wanted else { return Vec::new() };
    let is_held = me.is_applied() || me.is_quarantined();
    let restarts = is_held && restart_is_due(resources, me);
    if is_held && !restarts {
        return Vec::new();
    }
    let counts = |id: &&ResourceId| !is_held || wanted.edges.restart_on.contains(id);
    unmet(resources, &wanted.edges).filter(counts).cloned().collect()
}

/// Those that must be gone, or have let go of the edge, before `id` is taken away.
pub(crate) fn dependants(resources: &Resources, id: &ResourceId) -> Vec<ResourceId> {
    let Some(me) = resources.get(id) else { return Vec::new() };
    let holds_on = |other: &Resource| {
        if goes_from_within(me, other) {
            return true;
        }
        let applied =
            other.row.as_ref().map(|row| &row.edges).or(other.opaque.as_ref().map(|row| &row.edges));
        if !applied.is_some_and(|edges| edges.depends_on.contains_key(id)) {
            return false;
        }
        let still_wants =
            other.wanted.as_ref().is_some_and(|wanted| wanted.edges.depends_on.contains_key(id));
        let waits_for_me = other.aim().is_some_and(|aim| aim.claims.iter().any(|claim| holds(me, claim)));
        !still_wants && !waits_for_me
    };
    of_neighbours(resources, me, holds_on)
}

/// Those of the group of `me` that wait for something outside of it, which they need to be brought to another spec. What runs and is to go waits for them: a group
/// changes together. Among themselves they may need what is to go, such as its port: there it makes room.
pub(crate) fn mates(resources: &Resources, me: &Resource) -> Vec<ResourceId> {
    let runs = me.sight.as_ref().and_then(|sight| sight.seen.as_ref().ok()).is_some_and(|seen| seen.running);
    let Some(group) = me.group().filter(|_| runs) else { return Vec::new() };
    let is_outside = |id: &ResourceId| resources.get(id).is_none_or(|needed| needed.group() != Some(group));
    let waits = |other: &Resource| {
        let wanted = other.wanted.as_ref().filter(|_| other.group() == Some(group));
        let is_new = matches!(other.goal(), Goal::Hold(..)) && !other.is_applied() && !other.is_quarantined();
        wanted.filter(|_| is_new).is_some_and(|wanted| unmet(resources, &wanted.edges).any(is_outside))
    };
    resources.iter().filter(|(_, other)| waits(other)).map(|(id, _)| id.clone()).collect()
}

/// Whether what `other` holds is in something that `me` holds, and goes, too: a directory goes after what is in it.
fn goes_from_within(me: &Resource, other: &Resource) -> bool {
    let (Some(mine), Some(others)) = (&me.row, &other.row) else { return false };
    let goes = |claim: &Claim| match other.goal() {
        Goal::Release => true,
        Goal::Hold(..) => other.aim().is_some_and(|aim| !aim.claims.contains(claim)),
        Goal::Leave => false,
    };
    others.held.keys().any(|claim| mine.held.keys().any(|outer| claim.is_within(outer)) && goes(claim))
}

/// Those that hold something that `claims` needs.
pub(crate) fn holders(resources: &Resources, id: &ResourceId, claims: &[Claim]) -> Vec<ResourceId> {
    let Some(me) = resources.get(id) else { return Vec::new() };
    of_neighbours(resources, me, |other| claims.iter().any(|claim| holds(other, claim)))
}

/// Whose row `id` may inherit: it is not wanted any more, and `id` wants just the same things of the same kind.
pub(crate) fn bequest(resources: &Resources, id: &ResourceId) -> Option<ResourceId> {
    let me = resources.get(id)?;
    let idle = |other: &Resource| other.step.is_none() && other.look.ticket.is_none();
    of_neighbours(resources, me, |other| inherits(me, other) && idle(other)).into_iter().next()
}

/// Who will inherit the row of `id`.
pub(crate) fn heir(resources: &Resources, id: &ResourceId) -> Option<ResourceId> {
    let me = resources.get(id)?;
    of_neighbours(resources, me, |other| inherits(other, me)).into_iter().next()
}

fn inherits(heir: &Resource, from: &Resource) -> bool {
    let Some(aim) = heir.aim().filter(|_| heir.row.is_none() && heir.opaque.is_none()) else {
        return false;
    };
    let Some(row) = from.row.as_ref().filter(|_| from.wanted.is_none()) else {
        return false;
    };
    let wanted: BTreeSet<_> = aim.claims.iter().collect();
    row.kind == aim.spec.kind() && !wanted.is_empty() && row.held.keys().eq(wanted)
}

/// Whether `id` waits in a circle, and is the one to break it: by going before the rest of its group, or before its dependants, if it is to be taken away anyway,
/// else by letting go of what it holds, wanted as it is. What comes first is preferred, and of several the first by name is taken.
pub(crate) fn breaks_circle(
    resources: &Resources,
    circling: &BTreeSet<ResourceId>,
    id: &ResourceId,
) -> Option<Why> {
    if !circling.contains(id) {
        return None;
    }
    let mut walked = Vec::new();
    let mut seen = BTreeSet::from([id.clone()]);
    let closed = walk(resources, id, id, &mut walked, &mut seen);
    breaker(&walked).filter(|(breaker, _)| closed && *breaker == id).map(|(_, why)| why)
}

/// Those that wait in a circle, or for one that does: the others come to an end of their waits. One look at all tells who is worth
/// a look of its own; in a long chain each of those would be as long as the chain.
pub(crate) fn circling(resources: &Resources) -> BTreeSet<ResourceId> {
    let mut open: BTreeMap<ResourceId, usize> = BTreeMap::new();
    let mut waiting: BTreeMap<ResourceId, Vec<ResourceId>> = BTreeMap::new();
    for id in resources.keys() {
        let waits = waits(resources, id);
        if !waits.is_empty() {
            open.insert(id.clone(), waits.len());
        }
        for wait in waits {
            waiting.entry(wait.to).or_default().push(wait.from);
        }
    }
    let mut ends: Vec<ResourceId> = waiting.keys().filter(|id| !open.contains_key(*id)).cloned().collect();
    while let Some(end) = ends.pop() {
        for from in waiting.remove(&end).unwrap_or_default() {
            let left = open.get_mut(&from).expect("who waits is open until its last wait ends");
            *left -= 1;
            if *left == 0 {
                open.remove(&from);
                ends.push(from);
            }
        }
    }
    open.into_keys().collect()
}

/// One waits for another.
struct Wait {
    from: ResourceId,
    to: ResourceId,
    why: Why,
}

/// Why one waits for another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Why {
    /// The other must be further first.
    Dependency,
    /// The other must be gone, or let go of its edge, first.
    Dependant,
    /// The other, of its group, must have what it needs first.
    Mate,
    /// The other holds what it claims.
    Claim,
}

fn breaker(circle: &[Wait]) -> Option<(&ResourceId, Why)> {
    let first = |why: Why| {
        let waits = circle.iter().filter(move |wait| wait.why == why);
        let ids = waits.map(|wait| if why == Why::Claim { &wait.to } else { &wait.from });
        ids.min().map(|id| (id, why))
    };
    first(Why::Mate).or_else(|| first(Why::Dependant)).or_else(|| first(Why::Claim))
}

/// Walks on from `here` along what each waits for, until it is back at `start`.
fn walk(
    resources: &Resources,
    start: &ResourceId,
    here: &ResourceId,
    walked: &mut Vec<Wait>,
    seen: &mut BTreeSet<ResourceId>,
) -> bool {
    for wait in waits(resources, here) {
        let to = wait.to.clone();
        let closes = to == *start;
        if !closes && !seen.insert(to.clone()) {
            continue;
        }
        walked.push(wait);
        if closes || walk(resources, start, &to, walked, seen) {
            return true;
        }
        walked.pop();
    }
    false
}

/// What one waits for.
fn waits(resources: &Resources, id: &ResourceId) -> Vec<Wait> {
    let Some(me) = resources.get(id) else { return Vec::new() };
    let wait = |why| move |to| Wait { from: id.clone(), to, why };
    match (me.goal(), me.aim()) {
        (Goal::Release, _) => {
            let dependants = dependants(resources, id).into_iter().map(wait(Why::Dependant));
            dependants.chain(mates(resources, me).into_iter().map(wait(Why::Mate))).collect()
        }
        (Goal::Hold(..), Some(aim)) => {
            let needs = if me.is_applied() { &[][..] } else { &aim.claims };
            let claims = holders(resources, id, needs).into_iter().map(wait(Why::Claim));
            claims.chain(awaited(resources, me).into_iter().map(wait(Why::Dependency))).collect()
        }
        _ => Vec::new(),
    }
}

fn holds(resource: &Resource, claim: &Claim) -> bool {
    resource.row.as_ref().is_some_and(|row| row.held.contains_key(claim))
        || resource.opaque.as_ref().is_some_and(|row| row.held.contains_key(claim))
}

fn of_neighbours(resources: &Resources, me: &Resource, is: impl Fn(&Resource) -> bool) -> Vec<ResourceId> {
    let neighbours = me.neighbours.iter().filter_map(|id| Some((id, resources.get(id)?)));
    neighbours.filter(|(_, other)| is(other)).map(|(id, _)| id.clone()).collect()
}

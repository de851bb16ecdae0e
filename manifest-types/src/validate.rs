//! What a manifest's entries must be to each other.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use crate::{
    manifest::{Refusal, RefusalReason, Resource},
    name::ResourceId,
    problem::{JsonPath, Problem},
};

/// Ids are unique, edges lead somewhere and not in a circle, and no two entries claim the same thing.
/// All violations are told; the reason is the first one's.
pub(crate) fn graph(resources: &[Resource]) -> Result<(), Refusal> {
    let found = [
        (RefusalReason::DuplicateId, duplicate_ids(resources)),
        (RefusalReason::DanglingDependency, dangling_edges(resources)),
        (RefusalReason::DependencyCycle, cycle(resources)),
        (RefusalReason::ConflictingClaims, shared_claims(resources)),
    ];
    let reason = found.iter().find(|(_, problems)| !problems.is_empty());
    match reason.map(|(reason, _)| *reason) {
        None => Ok(()),
        Some(reason) => {
            Err(Refusal { reason, problems: found.into_iter().flat_map(|(_, problems)| problems).collect() })
        }
    }
}

fn entry(index: usize) -> JsonPath {
    JsonPath::root().key("resources").index(index)
}

fn duplicate_ids(resources: &[Resource]) -> Vec<Problem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        match seen.entry(&resource.id) {
            Entry::Vacant(free) => {
                free.insert(index);
            }
            Entry::Occupied(first) => {
                let message = format!("{} is also the id of {}", resource.id, entry(*first.get()));
                problems.push(Problem::new(entry(index).key("id"), message));
            }
        }
    }
    problems
}

fn dangling_edges(resources: &[Resource]) -> Vec<Problem> {
    let ids: BTreeSet<_> = resources.iter().map(|resource| &resource.id).collect();
    let edges = resources
        .iter()
        .enumerate()
        .flat_map(|(index, resource)| resource.edges.depends_on.keys().map(move |to| (index, resource, to)));
    let dangling = edges.filter(|(_, _, to)| !ids.contains(to));
    dangling
        .map(|(index, resource, to)| {
            let key = if resource.edges.restart_on.contains(to) { "restartOn" } else { "dependsOn" };
            Problem::new(entry(index).key(key), format!("names {to}, which is not in this manifest"))
        })
        .collect()
}

/// One circle, if there is any: what is left after everything that depends on nothing left is taken off, again and again.
fn cycle(resources: &[Resource]) -> Vec<Problem> {
    let by_id: BTreeMap<_, _> = resources.iter().map(|resource| (&resource.id, resource)).collect();
    let mut waiting: BTreeMap<&ResourceId, usize> = BTreeMap::new();
    let mut dependants: BTreeMap<&ResourceId, Vec<&ResourceId>> = BTreeMap::new();
    for (id, resource) in &by_id {
        let edges = resource.edges.depends_on.keys().filter(|to| by_id.contains_key(to));
        let mut count = 0;
        for to in edges {
            count += 1;
            dependants.entry(to).or_default().push(id);
        }
        waiting.insert(id, count);
    }
    let mut free: Vec<_> = waiting.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    while let Some(id) = free.pop() {
        waiting.remove(id);
        for dependant in dependants.get(id).into_iter().flatten() {
            let count = waiting.get_mut(dependant).expect("what waits has not been taken off");
            *count -= 1;
            if *count == 0 {
                free.push(dependant);
            }
        }
    }
    let Some(start) = waiting.keys().next().copied() else {
        return Vec::new();
    };
    let mut walked = vec![start];
    loop {
        let here = walked[walked.len() - 1];
        let next = by_id[here].edges.depends_on.keys().find(|to| waiting.contains_key(to));
        let next = next.expect("what is left depends on something left");
        if let Some(first) = walked.iter().position(|id| *id == next) {
            let mut names: Vec<_> = walked[first..].iter().map(|id| id.as_str()).collect();
            names.push(next.as_str());
            let message = format!("depend on each other: {}", names.join(" → "));
            return vec![Problem::new(JsonPath::root().key("resources"), message)];
        }
        walked.push(next);
    }
}

fn shared_claims(resources: &[Resource]) -> Vec<Problem> {
    let mut holders = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        let claims = resource.spec().map(|spec| spec.claims(&resource.id));
        for claim in claims.into_iter().flatten() {
            match holders.entry(claim) {
                Entry::Vacant(free) => {
                    free.insert(&resource.id);
                }
                Entry::Occupied(taken) if *taken.get() == &resource.id => {}
                Entry::Occupied(taken) => {
                    let message = format!("claims {}, as does {}", taken.key(), taken.get());
                    problems.push(Problem::new(entry(index).key("spec"), message));
                }
            }
        }
    }
    problems
}

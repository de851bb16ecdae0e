//! Which of those that must be looked at by themselves come first. Pure.
//!
//! What hangs is a mount, seldom one file of it: with some that hang, those that are far from them are likely to be well, and must not wait for the rest.

use manifest_types::{claim::Claim, name::ResourceId};

use crate::engine::{Engine, resource::Resource};

/// Those that are farthest from what hangs come first; and how many of the kind hang.
pub(super) fn least_suspicious_first(
    engine: &Engine,
    kind: &str,
    mut ids: Vec<ResourceId>,
) -> (Vec<ResourceId>, usize) {
    let hangs = |resource: &&Resource| resource.look.hung.is_some() && resource.kind() == kind;
    let hung: Vec<_> = engine.resources.values().filter(hangs).map(places).collect();
    let nearness = |id: &ResourceId| {
        let own = engine.resources.get(id).map(places).unwrap_or_default();
        own.iter().flat_map(|own| hung.iter().flatten().map(|other| shared(own, other))).max()
    };
    ids.sort_by_cached_key(nearness);
    (ids, hung.len())
}

/// What a resource holds, or is to hold.
fn places(resource: &Resource) -> Vec<String> {
    let held = resource.row.as_ref().map(|row| row.held.keys().collect()).unwrap_or_default();
    let wanted: Vec<&Claim> = resource.aim().map(|aim| aim.claims.iter().collect()).unwrap_or(held);
    wanted.into_iter().map(ToString::to_string).collect()
}

/// So many parts have two places in common, from the beginning on.
fn shared(one: &str, other: &str) -> usize {
    one.split('/').zip(other.split('/')).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_one_directory_has_most_in_common() {
        let near = shared("path:/mnt/nfs/a/b", "path:/mnt/nfs/a/c");
        let far = shared("path:/mnt/nfs/a/b", "path:/mnt/disk/c");
        let nothing = shared("path:/mnt/nfs/a/b", "path:/etc/web");
        assert!(near > far && far > nothing && nothing > shared("path:/etc", "container:etc"));
    }
}

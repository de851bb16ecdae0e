//! What is noted of a change as it goes on. Pure.

use std::collections::BTreeSet;

use super::{Planned, Probe, Work};
use crate::network_config::memory::{Checkpoint, Open, Own, Record, Undone};

/// Notes what is about to be done, and how what is changed for the first time was before.
pub(super) fn begin(record: &mut Record, plan: &[Planned<'_>], before: &Checkpoint, open: Option<Open>) {
    let given = given_up(plan);
    for planned in plan {
        if let Work::Put { wanted, released, .. } = &planned.work {
            let held = record.held.entry(planned.id.clone()).or_default();
            held.own = Some(Own::of(wanted.spec, &wanted.setup));
            // Ports that others give a bridge once it is held are not as it was before.
            let is_first = !held.kernel.contains_key(&wanted.setup.name);
            let own: BTreeSet<&str> = wanted.setup.touches().collect();
            let is_held = |name: &&String| {
                is_first || own.contains(name.as_str()) || released.kernel.contains_key(*name)
            };
            for name in planned.interfaces.iter().filter(is_held).cloned() {
                let first = if given.kernel.contains_key(&name) { &given } else { before };
                let was = first.kernel.get(&name).cloned().flatten();
                held.kernel.entry(name.clone()).or_insert(was);
                let saved = given.saved.0.get(&name).or_else(|| before.saved.0.get(&name)).cloned();
                if let (Some(saved), false) = (saved, held.saved.0.contains_key(&name)) {
                    held.saved.0.insert(name, saved);
                }
            }
        }
    }
    record.open = open;
    *record = without_undone(std::mem::take(record), plan);
}

/// What others let go of in the same change: whoever takes it has it from them, as it was before them.
pub(super) fn given_up(plan: &[Planned<'_>]) -> Checkpoint {
    let mut all = Checkpoint::default();
    for planned in plan {
        let (Work::Take { held: given } | Work::Put { released: given, .. }) = &planned.work;
        all.add(given);
    }
    all
}

/// What is tried again was told to have been taken back, and asked for.
pub(super) fn without_undone(mut record: Record, plan: &[Planned<'_>]) -> Record {
    plan.iter().for_each(|planned| drop(record.undone.remove(planned.id)));
    record
}

/// Notes that it cannot stay, and why.
pub(super) fn decided(record: &mut Record, tried: &str, why: &str) {
    if let Some(open) = &mut record.open {
        open.must_confirm = true;
        (open.tried, open.why) = (tried.to_owned(), Some(why.to_owned()));
    }
}

/// Notes that it stays, and may be done again without being confirmed if one of these checks has confirmed it.
pub(super) fn keep(record: &mut Record, plan: &[Planned<'_>], probes: &[Probe]) {
    record.open.iter_mut().for_each(|open| open.must_confirm = false);
    for planned in plan {
        match planned.digest() {
            Some(digest) => {
                if planned.is_proven_by(probes) || !planned.on_trial {
                    record.confirmed.insert(planned.id.clone(), digest);
                } else {
                    record.confirmed.remove(planned.id);
                }
                if let (Work::Put { released, .. }, Some(held)) =
                    (&planned.work, record.held.get_mut(planned.id))
                {
                    held.kernel.retain(|name, _| !released.kernel.contains_key(name));
                    held.saved.0.retain(|name, _| !released.saved.0.contains_key(name));
                }
            }
            None => record.forget(planned.id),
        }
    }
}

/// Notes that it was taken back.
pub(super) fn give_up(record: &mut Record, open: &Open, why: &str) {
    record.open = None;
    for (id, digest) in &open.changes {
        match open.held.get(id) {
            Some(held) => drop(record.held.insert(id.clone(), held.clone())),
            None => drop(record.held.remove(id)),
        }
        if let Some(digest) = *digest {
            record.undone.insert(id.clone(), Undone { digest, why: why.to_owned() });
        }
    }
}

//! Makes a status fit: what matters least goes first, and what went is counted.

use manifest_types::{
    name::ResourceId,
    status::{AgentStatus, Phase, ResourceStatus},
};

use super::to_bytes;

/// `status` within `limit` bytes: without the details of Ready resources, then their lines, then messages, then Pending and Reconciling
/// lines, then Failed ones, as far as each is needed. Conditions are never shed.
pub(super) fn within(mut status: AgentStatus, limit: usize) -> AgentStatus {
    let sheddings: [fn(&mut AgentStatus); 4] = [
        |status| {
            for_each(status, |resource| {
                if resource.phase == Phase::Ready {
                    resource.details = None;
                }
            })
        },
        |status| omit(status, usize::MAX, |phase| phase == Phase::Ready),
        |status| {
            for_each(status, |resource| {
                resource.message = None;
                if let Some(error) = &mut resource.error {
                    error.message.clear();
                }
            })
        },
        |status| omit(status, usize::MAX, |phase| matches!(phase, Phase::Pending | Phase::Reconciling)),
    ];
    for shed in sheddings {
        if to_bytes(&status).len() <= limit {
            return status;
        }
        shed(&mut status);
    }
    // Each round halves what is left, so it ends soon.
    while to_bytes(&status).len() > limit && !status.resources.is_empty() {
        let half = status.resources.len().div_ceil(2);
        omit(&mut status, half, |_| true);
    }
    status
}

fn for_each(status: &mut AgentStatus, change: impl Fn(&mut ResourceStatus)) {
    status.resources.values_mut().for_each(change);
}

/// Leaves out up to `most` resources whose phase is `of`, the last ones first.
fn omit(status: &mut AgentStatus, most: usize, of: impl Fn(Phase) -> bool) {
    let mut ids: Vec<ResourceId> = status
        .resources
        .iter()
        .filter(|(_, resource)| of(resource.phase))
        .map(|(id, _)| id.clone())
        .collect();
    let kept = ids.len().saturating_sub(most);
    for id in ids.drain(kept..) {
        if let Some(resource) = status.resources.remove(&id) {
            *status.omitted.entry(resource.phase).or_default() += 1;
        }
    }
}

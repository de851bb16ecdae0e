//! What a step finds of a container and of its replacements, and what it does next. Pure: each move is decided on by what is there, so that a step that was
//! killed anywhere is taken up by the next.
//!
//! A replacement is made under a name of its own (`NEXT`). It takes the container's name once the old one has given it up; the old one is kept as `PRIOR`
//! until the new one has proved well, and is gone then. While there is a `PRIOR`, the container under the name is a candidate.

use std::time::Duration;

use jiff::Timestamp;
use manifest_types::kinds::container::{
    Attachment, ContainerSpec, Desired, HandOver, PullOrder, PullPolicy, Strategy,
};
use serde_json::Value;

use super::{fare, probes::Said, sight};
use crate::{
    engine::{
        marks,
        shape::network_of,
        terms::{Activity, Container},
    },
    observation::Difference,
};

mod cast;
mod memory;
mod proof;

pub(super) use cast::{Part, own_names};
use cast::{next_name, prior_name};
pub(super) use memory::Memory;
use proof::{Proof, has_been_there_for, has_ended, prove};

/// So often it is waited for something to go, before it is sent away again.
const PATIENCE: u32 = 20;
/// What was made and is not as wanted was changed by somebody; after so many of them, it is the engine that makes it so.
const MOST_MISFITS: u32 = 2;

/// What is there.
#[derive(Debug, Default)]
pub(super) struct Scene {
    /// The container's own name.
    pub(super) name: String,
    /// The id of what is to have another name.
    former_id: Option<String>,
    /// Whether there is more of ours that is nobody else's.
    pub(super) has_strays: bool,
    /// Under the container's own name.
    pub(super) main: Option<Member>,
    /// The replacement that is being prepared.
    pub(super) next: Option<Member>,
    /// What is being replaced.
    pub(super) prior: Option<Member>,
    /// Ours under a name that it is not to have any more, or that somebody gave it.
    pub(super) former: Option<Member>,
    /// What the wanted image stands for in the engine now, if it is there.
    pub(super) image_id: Option<String>,
}

/// A container of the scene.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) container: Container,
    pub(super) is_ours: bool,
    /// What its probes have said.
    pub(super) said: Said,
}

/// What is wanted.
#[derive(Debug)]
pub(super) struct Goal<'a> {
    pub(super) name: &'a str,
    pub(super) spec: &'a ContainerSpec,
    pub(super) restart: bool,
    /// A container without a healthcheck is well once it has run for so long.
    pub(super) settle: Duration,
    /// For how long the step has been under way. The clock on the wall may be put right at any moment, a device's first time after it started most of all.
    pub(super) elapsed: Duration,
    pub(super) now: Timestamp,
}

/// What is done next.
#[derive(Debug, PartialEq)]
pub(super) enum Move {
    /// Nothing: all is as wanted.
    Done,
    /// Nothing: somebody else's has the name.
    Conflict(String),
    /// Nothing: the engine has made it in another way than was asked for, in these fields.
    NotKept(Vec<String>),
    /// Nothing: the old one is back, and this is why; or, without an old one, the new one is left as it is.
    GiveUp(String),
    Pull,
    /// Remove an image, by its id, if nothing else uses it.
    RemoveImage(String),
    Create(String),
    Start(String),
    Unpause(String),
    Stop(String),
    Restart(String),
    Remove(String),
    Rename(String, String),
    Adjust(String),
    Connect(String, Attachment),
    Disconnect(String, String),
    /// Wait a little: something is on its way out.
    Wait,
    /// Wait a little: the candidate has not proved well yet.
    Await(String),
    /// Wait a little: the candidate has not said yet that the old one is to go.
    AwaitHandOver(String),
    /// The candidate has not proved well.
    Fail(String, String),
}

impl Member {
    fn id(&self) -> String {
        self.container.id.clone()
    }

    fn is_up(&self) -> bool {
        self.container.state.activity.is_up()
    }
}

impl Scene {
    /// What is to be done next. At the end, `Done`, or why not.
    pub(super) fn next_move(&self, goal: &Goal<'_>, memory: &Memory) -> Move {
        let all = [&self.main, &self.next, &self.prior];
        if let Some(foreign) = all.into_iter().flatten().find(|member| !member.is_ours) {
            return Move::Conflict(foreign.container.name.clone());
        }
        let leaves = |member: &&Member| member.container.state.activity == Activity::Removing;
        if let Some(leaving) = all.into_iter().chain([&self.former]).flatten().find(leaves) {
            // Whoever began to remove it may have been killed: then nobody else goes on.
            return if memory.waits < PATIENCE { Move::Wait } else { Move::Remove(leaving.id()) };
        }
        match (&memory.failed, &self.prior, &self.next) {
            (Some((candidate, why)), ..) => self.back(candidate, why, goal),
            (None, Some(prior), _) => self.confirm(prior, goal, memory),
            (None, None, Some(next)) => self.change_over(next, goal, memory),
            (None, None, None) => self.settle(goal, memory),
        }
    }

    /// Puts the old one back.
    fn back(&self, candidate: &str, why: &str, goal: &Goal<'_>) -> Move {
        let is_candidate = |member: &&Member| member.container.id == candidate;
        let left = [&self.main, &self.next].into_iter().flatten().find(is_candidate);
        match (left, &self.main, &self.prior) {
            (Some(left), ..) => take_down(left),
            (None, None, Some(prior)) => Move::Rename(prior.id(), goal.name.to_owned()),
            // What was stopped only to make room runs again.
            (None, Some(main), None) if must_start(main, goal) => Move::Start(main.id()),
            _ => Move::GiveUp(why.to_owned()),
        }
    }

    /// The new one has the name; the old one goes once that has proved well.
    fn confirm(&self, prior: &Member, goal: &Goal<'_>, memory: &Memory) -> Move {
        let Some(main) = &self.main else {
            let heir = self.next.as_ref().filter(|next| self.fits(next, goal, memory)).unwrap_or(prior);
            return Move::Rename(heir.id(), goal.name.to_owned());
        };
        if !self.fits(main, goal, memory) {
            return self.unfit(main, goal, memory);
        }
        let stops_first = goal.spec.update.strategy == Strategy::StopFirst;
        match prove(main, goal, memory) {
            Proof::Well if prior.is_up() => halt(prior),
            Proof::Well => Move::Remove(prior.id()),
            // An engine that was started again has started the old one, too.
            Proof::ToStart | Proof::NotYet if stops_first && prior.is_up() => halt(prior),
            Proof::ToStart => set_going(main),
            Proof::NotYet => Move::Await(main.id()),
            Proof::Bad(why) => Move::Fail(main.id(), why),
        }
    }

    /// The replacement is there; the old one makes room for it.
    fn change_over(&self, next: &Member, goal: &Goal<'_>, memory: &Memory) -> Move {
        if !self.fits(next, goal, memory) {
            return self.unfit(next, goal, memory);
        }
        let Some(main) = &self.main else {
            return Move::Rename(next.id(), goal.name.to_owned());
        };
        let starts_first = goal.spec.update.strategy == Strategy::StartFirst && main.is_up();
        if let Some(within) = goal.spec.update.hand_over.as_ref().map(HandOver::wanted_within)
            && starts_first
        {
            return match prove(next, goal, memory) {
                Proof::ToStart => set_going(next),
                Proof::Bad(why) if has_ended(next) => Move::Fail(next.id(), why),
                _ if memory.is_handed_over || has_been_there_for(next, within, goal, memory) => {
                    Move::Rename(main.id(), prior_name(goal.name))
                }
                _ => Move::AwaitHandOver(next.id()),
            };
        }
        match prove(next, goal, memory) {
            Proof::ToStart if starts_first => set_going(next),
            Proof::NotYet if starts_first => Move::Await(next.id()),
            Proof::Bad(why) if starts_first => Move::Fail(next.id(), why),
            _ if !starts_first && main.is_up() => halt(main),
            _ => Move::Rename(main.id(), prior_name(goal.name)),
        }
    }

    /// Nothing is being replaced.
    fn settle(&self, goal: &Goal<'_>, memory: &Memory) -> Move {
        let pulls = match goal.spec.pull_policy {
            PullPolicy::Always => !memory.has_pulled,
            PullPolicy::IfNotPresent => self.image_id.is_none() && !memory.has_pulled,
            PullPolicy::Never => false,
        };
        match (&self.main, &self.former) {
            (None, Some(former)) => Move::Rename(former.id(), goal.name.to_owned()),
            (Some(_), Some(former)) if former.is_up() => halt(former),
            (Some(_), Some(former)) => Move::Remove(former.id()),
            (None, None) if pulls => memory.old_image.clone().map_or(Move::Pull, Move::RemoveImage),
            (None, None) => Move::Create(goal.name.to_owned()),
            (Some(main), None) => self.mend(main, pulls, goal, memory),
        }
    }

    fn mend(&self, main: &Member, pulls: bool, goal: &Goal<'_>, memory: &Memory) -> Move {
        let differences = self.differences(main, goal);
        let replaces = differences.iter().any(|difference| needs_another(difference, memory));
        let starts = must_start(main, goal);
        let restarts = (goal.restart || main.said.is_dead) && !memory.has_restarted;
        if pulls && (replaces || starts || restarts) {
            return match goal.spec.update.pull {
                PullOrder::AfterStop | PullOrder::AfterRemoval if replaces && main.is_up() => halt(main),
                PullOrder::AfterRemoval if replaces => Move::Remove(main.id()),
                _ => Move::Pull,
            };
        }
        if replaces {
            return match memory.made.contains(&main.id()) {
                true if memory.misfits >= MOST_MISFITS => Move::NotKept(paths(&differences, memory)),
                true if !main.is_up() => Move::Remove(main.id()),
                _ => Move::Create(next_name(goal.name)),
            };
        }
        // What is changed of one that is held still may not reach it: Podman notes a network, and does not connect it.
        if main.container.state.activity == Activity::Paused {
            return Move::Unpause(main.id());
        }
        let first =
            differences.iter().find_map(|difference| Some((difference, in_place(main, difference, goal)?)));
        if let Some((difference, change)) = first {
            return match memory.is_in_vain(&change) {
                true => Move::NotKept(vec![difference.path.clone()]),
                false => change,
            };
        }
        let adjust = Move::Adjust(main.id());
        if goal.spec.desired == Desired::Stopped
            && !memory.cannot_adjust
            && !memory.is_in_vain(&adjust)
            && may_be_started_by_others(main)
        {
            return adjust;
        }
        match main.container.state.activity {
            _ if starts => Move::Start(main.id()),
            activity if activity.is_up() && goal.spec.desired == Desired::Stopped => halt(main),
            activity if activity.is_up() && restarts => Move::Restart(main.id()),
            _ => Move::Done,
        }
    }

    fn differences(&self, member: &Member, goal: &Goal<'_>) -> Vec<Difference> {
        sight::differences(&member.container, goal.spec, self.image_id.as_deref())
    }

    /// What becomes of a replacement that is not what is wanted.
    fn unfit(&self, member: &Member, goal: &Goal<'_>, memory: &Memory) -> Move {
        if !memory.made.contains(&member.id()) || memory.misfits < MOST_MISFITS {
            return take_down(member);
        }
        let fields = paths(&self.differences(member, goal), memory).join(", ");
        Move::Fail(member.id(), format!("the engine made it with another {fields}"))
    }

    /// Whether one that ends may be left to rest by its own policy, by the spec's or by one that it has when it is to run again: who stops it must remember that it was not its own end.
    pub(super) fn may_rest(&self, id: &str, spec: &ContainerSpec) -> bool {
        let rests = |policy: &str| ["No", "OnFailure"].contains(&policy);
        let own = self.members().into_iter().flatten().find(|member| member.container.id == id);
        let own = own.and_then(|member| member.container.shape.get("restartPolicy")?.as_str());
        let may_have_another = spec.desired == Desired::Stopped;
        may_have_another || own.is_none_or(rests) || spec.may_rest()
    }

    /// The image of what is removed, where it is to go with it.
    pub(super) fn image_to_go(&self, removed: &str, spec: &ContainerSpec) -> Option<String> {
        let main = self.main.as_ref().filter(|main| main.container.id == removed)?;
        let goes = spec.update.pull == PullOrder::AfterRemoval && self.image_id.is_none();
        goes.then(|| main.container.image_id.clone())
    }

    /// Whether a move ends something that runs, or cuts it off.
    pub(super) fn is_disrupted_by(&self, next: &Move) -> bool {
        let (Move::Stop(id) | Move::Restart(id) | Move::Remove(id) | Move::Disconnect(id, _)) = next else {
            return false;
        };
        self.members().into_iter().flatten().any(|member| member.container.id == *id && member.is_up())
    }

    /// How a container is in a network.
    pub(super) fn attachment(&self, id: &str, network: &str) -> Option<Attachment> {
        let own = self.members().into_iter().flatten().find(|member| member.container.id == id)?;
        marks::attachment(&own.container, network)
    }

    /// The ids of what is ours.
    pub(super) fn own_ids(&self) -> Vec<String> {
        self.members().into_iter().flatten().filter(|member| member.is_ours).map(Member::id).collect()
    }

    /// What is to be started again by a step that is told to stop: what it has stopped, if that is to run and nothing else does.
    pub(super) fn left_standing(&self, memory: &Memory, spec: &ContainerSpec) -> Option<String> {
        let runs = self.members().into_iter().flatten().any(Member::is_up);
        if runs || spec.desired == Desired::Stopped {
            return None;
        }
        let is_own = |member: &&Member| {
            let id = &member.container.id;
            member.is_ours && memory.halted.contains(id) && !memory.made.contains(id)
        };
        self.members().into_iter().flatten().find(is_own).map(Member::id)
    }

    /// Whether a move takes back, or replaces, what this step itself has made and is not as wanted.
    pub(super) fn takes_back(&self, next: &Move, memory: &Memory) -> bool {
        let is_own = |member: &&Member| memory.made.contains(&member.id());
        let mut made = [&self.main, &self.next].into_iter().flatten().filter(is_own);
        match next {
            Move::Remove(id) => memory.failed.is_none() && made.any(|member| member.id() == *id),
            Move::Create(_) => self.main.as_ref().is_some_and(|main| is_own(&main)),
            _ => false,
        }
    }

    /// Whether a container needs no other in its place.
    fn fits(&self, member: &Member, goal: &Goal<'_>, memory: &Memory) -> bool {
        !self.differences(member, goal).iter().any(|difference| needs_another(difference, memory))
    }
}

/// The fields that only another container could have as wanted.
fn paths(differences: &[Difference], memory: &Memory) -> Vec<String> {
    let unmended = differences.iter().filter(|difference| needs_another(difference, memory));
    unmended.map(|difference| difference.path.clone()).collect()
}

/// Whether a difference can only be mended by another container.
fn needs_another(difference: &Difference, memory: &Memory) -> bool {
    let is_limit = !difference.path.starts_with("networks.");
    !difference.in_place || (is_limit && memory.cannot_adjust)
}

/// The move that mends a difference in place.
fn in_place(main: &Member, difference: &Difference, goal: &Goal<'_>) -> Option<Move> {
    let Some(rest) = difference.path.strip_prefix("networks.") else {
        return Some(Move::Adjust(main.id()));
    };
    let network = network_of(rest);
    let is_in_it = main.container.shape.get(&format!("networks.{network}")).is_some();
    // Who is in it in another way must leave it first.
    if is_in_it {
        return Some(Move::Disconnect(main.id(), network.to_owned()));
    }
    let wanted = goal.spec.networks.iter().find(|attachment| attachment.name.as_str() == network);
    let attachment = match wanted {
        Some(attachment) => attachment.clone(),
        // The usual network, which a spec does not name.
        None => Attachment::to(network.parse().ok()?),
    };
    Some(Move::Connect(main.id(), attachment))
}

/// Whether an engine that comes up itself would start it, though it was stopped.
fn may_be_started_by_others(member: &Member) -> bool {
    member.container.shape.get("restartPolicy").and_then(Value::as_str) != Some("No")
}

fn must_start(member: &Member, goal: &Goal<'_>) -> bool {
    !member.is_up() && fare::is_to_run(goal.spec, &member.container.state)
}

/// What brings a container to its end: one that is paused cannot end, and Podman does not even try.
fn halt(member: &Member) -> Move {
    match member.container.state.activity {
        Activity::Paused => Move::Unpause(member.id()),
        _ => Move::Stop(member.id()),
    }
}

/// What takes a candidate away that is not to be: it may be in the middle of something, and is asked to end first.
fn take_down(candidate: &Member) -> Move {
    if candidate.is_up() { halt(candidate) } else { Move::Remove(candidate.id()) }
}

/// What lets a candidate run that does not.
fn set_going(candidate: &Member) -> Move {
    match candidate.container.state.activity {
        Activity::Paused => Move::Unpause(candidate.id()),
        _ => Move::Start(candidate.id()),
    }
}

#[cfg(test)]
mod tests;

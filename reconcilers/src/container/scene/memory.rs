//! What a step knows beside what is there.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use manifest_types::kinds::container::Attachment;

use super::{Move, Scene};
use crate::engine::{error::EngineError, terms::Activity};

/// What a step knows beside what is there.
#[derive(Debug, Default)]
pub(in crate::container) struct Memory {
    /// Whether the image was pulled, or that was tried and the one that is there will do.
    pub(in crate::container) has_pulled: bool,
    /// Whether a restart that is due was made.
    pub(in crate::container) has_restarted: bool,
    /// What was found wanting: the candidate's id, and why.
    pub(in crate::container) failed: Option<(String, String)>,
    /// That the candidate could not be started for something that may be otherwise soon.
    pub(in crate::container) hindered: Option<EngineError>,
    /// Until when a candidate must prove well, counted as `Goal::elapsed`.
    pub(in crate::container) deadline: Option<Duration>,
    /// Since when each run of a candidate is known of, counted as `Goal::elapsed`. A run is a container and its start.
    pub(in crate::container) runs: BTreeMap<(String, Option<Timestamp>), Duration>,
    /// Whether the new one has said that the old one is to go.
    pub(in crate::container) is_handed_over: bool,
    /// The image of what was removed to make room for another one.
    pub(in crate::container) old_image: Option<String>,
    /// What this step has stopped.
    pub(in crate::container) halted: Vec<String>,
    /// What this step has made.
    pub(in crate::container) made: Vec<String>,
    /// How much of that it took away again, because it was not as wanted.
    pub(in crate::container) misfits: u32,
    /// Whether the engine cannot change limits in place.
    pub(in crate::container) cannot_adjust: bool,
    /// How often each was changed in place, or taken out of a network: by id, and by network.
    pub(in crate::container) mendings: BTreeMap<String, u32>,
    /// How the container was in a network that it was taken out of.
    pub(in crate::container) left: Option<Attachment>,
    /// How often it was waited for something to go.
    pub(in crate::container) waits: u32,
    /// How often it was waited for a port.
    pub(in crate::container) port_waits: u32,
    /// How often something was no longer there when it was to be changed.
    pub(in crate::container) surprises: u32,
}

/// So often a change in place is made; if it is still to be made then, it is the engine that does not keep it.
const MOST_MENDINGS: u32 = 3;

impl Memory {
    /// Takes note of a change in place.
    pub(in crate::container) fn mends(&mut self, next: &Move) {
        if let Some(what) = mended(next) {
            *self.mendings.entry(what).or_default() += 1;
        }
    }

    /// Whether a change in place was made so often that it will not be kept.
    pub(super) fn is_in_vain(&self, next: &Move) -> bool {
        mended(next).is_some_and(|what| self.mendings.get(&what).is_some_and(|times| *times >= MOST_MENDINGS))
    }

    /// Takes note of who runs.
    pub(in crate::container) fn sees(&mut self, scene: &Scene, elapsed: Duration) {
        let candidates = [&scene.main, &scene.next].into_iter().flatten();
        for member in candidates.filter(|member| member.container.state.activity == Activity::Running) {
            let run = (member.id(), member.container.state.started_at);
            self.runs.entry(run).or_insert(elapsed);
        }
    }
}

fn mended(next: &Move) -> Option<String> {
    match next {
        Move::Adjust(id) => Some(id.clone()),
        Move::Disconnect(_, network) => Some(network.clone()),
        _ => None,
    }
}

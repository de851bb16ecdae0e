//! Which containers this agent has stopped though they are to run: engines do not tell such an end from one of their own, and a policy that lets what has done its work
//! rest would let these rest, too. Remembered in the state directory before each stop, so that a kill in between changes nothing of it.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{error::ContainerError, turn};
use crate::{
    books::Books,
    engine::{
        ContainerEngine,
        error::EngineError,
        link::Link,
        terms::{Activity, Container},
    },
};

const FILE: &str = "halted.json";

/// The containers that were stopped, by their ids.
#[derive(Debug)]
pub(super) struct Halts {
    /// Those that are to run again, and that their policy may let rest.
    noted: Books<BTreeSet<String>>,
    /// All that this process has stopped.
    stopped: Mutex<BTreeSet<String>>,
}

impl Halts {
    /// Those remembered in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { noted: Books::new(state_dir, FILE), stopped: Mutex::default() }
    }

    fn stopped(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is about to be stopped: its engine does not start it again.
    pub(super) fn stops(&self, id: &str) {
        self.stopped().insert(id.to_owned());
    }

    /// One container by its name or id, with whether this agent has stopped it. One that its engine may be about to start again counts as `Restarting`,
    /// though the engine does not say so.
    pub(super) async fn container<E: ContainerEngine>(
        &self,
        link: &Link<E>,
        name: &str,
    ) -> Result<Option<Container>, EngineError> {
        let mut found = link.container(name).await?;
        if let Some(found) = found.as_mut().filter(|found| !found.state.activity.is_up()) {
            // What cannot be read is as if nothing had been stopped.
            let halted = self.noted.record(&link.identity()).await.unwrap_or_default();
            found.state.is_halted = halted.contains(&found.id);
            let is_announced = link.info().is_none_or(|info| info.announces_restarts);
            let ended_by_itself = !found.state.is_halted && !self.stopped().contains(&found.id);
            if !is_announced && ended_by_itself && turn::is_the_engines(found, Timestamp::now()) {
                found.state.activity = Activity::Restarting;
            }
        }
        Ok(found)
    }

    /// A container that is to run again is about to be stopped.
    pub(super) async fn begins<E: ContainerEngine>(
        &self,
        link: &Link<E>,
        id: &str,
    ) -> Result<(), ContainerError> {
        self.noted.change(&link.identity(), |halted| halted.extend([id.to_owned()])).await?;
        Ok(())
    }

    /// A container that is not to run is about to be stopped. That this cannot be noted keeps it from nothing: at worst it is started once more
    /// after a kill, and a full disk is no reason to let it go on.
    pub(super) async fn begins_for_good<E: ContainerEngine>(&self, link: &Link<E>, id: &str) {
        if let Err(error) = self.begins(link, id).await {
            let failure = crate::error::ReconcileError::from(error).to_failure();
            tracing::warn!(
                container = id,
                reason = failure.reason,
                error = failure.message,
                "stopping it without a note"
            );
        }
    }

    /// A container runs again, or is gone.
    pub(super) async fn ends<E: ContainerEngine>(&self, link: &Link<E>, id: &str) {
        self.stopped().remove(id);
        let ended = self.noted.change(&link.identity(), |halted| halted.retain(|own| own != id)).await;
        if let Err(error) = ended {
            tracing::warn!(%error, "a container that ends may be started once more");
        }
    }

    /// What is not there any more is forgotten.
    pub(super) async fn keep_only<E: ContainerEngine>(&self, link: &Link<E>, there: impl Fn(&str) -> bool) {
        self.stopped().retain(|id| there(id));
        let kept = self.noted.change(&link.identity(), |halted| halted.retain(|id| there(id))).await;
        if let Err(error) = kept {
            tracing::warn!(%error, "what is gone is not forgotten yet");
        }
    }
}

//! The way back: interfaces as they were before a change, and what a change that was cut off has left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::notes;
use crate::network_config::{
    NetworkConfigReconciler,
    backend::Backend,
    error::NetworkError,
    kernel::Kernel,
    lock,
    memory::Checkpoint,
    moves::{self, Move},
};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);
/// So long putting back is tried before it is left to the next look.
const BACK: Duration = Duration::from_secs(10);
/// So many things that are missing are told.
const TOLD: usize = 4;
/// So long after it was told to let go of an interface, a backend has.
const LETS_GO: Duration = Duration::from_millis(1500);

/// What is left of a change in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// All of it: it is the same boot.
    SameBoot,
    /// What a backend has brought about again from what it had kept.
    BackendsOnly,
    /// Nothing: the device was restarted, and nobody but the agent remembers.
    Nothing,
}

impl<K: Kernel, B: Backend> NetworkConfigReconciler<K, B> {
    /// Puts interfaces back as they were; an error: what is missing after some time.
    pub(super) async fn put_back(&self, was: &Checkpoint, rest: Rest) -> Result<(), String> {
        let end = Instant::now() + BACK;
        let mut was_back = false;
        loop {
            let restored = self.backend.restore(&was.saved).await.map_err(|error| error.to_string());
            let back = match restored {
                Ok(()) if rest == Rest::Nothing => Ok(()),
                Ok(()) => self.kernel_back(was, rest).await,
                missing => missing,
            };
            let is_back = back.is_ok();
            if is_back && (was_back || rest == Rest::Nothing || !self.backend.acts()) {
                return Ok(());
            }
            // What acts by itself does so in its own time, and may undo what is back already.
            was_back = is_back;
            if is_back {
                sleep(LETS_GO).await;
            }
            if Instant::now() >= end {
                let missing = back.err().unwrap_or_else(|| "they do not stay as they were".into());
                tracing::error!(
                    missing,
                    "the interfaces are not all as they were; it is tried again with the next look"
                );
                return Err(missing);
            }
            sleep(AGAIN).await;
        }
    }

    /// Asks the kernel for what is missing; an error: what is missing still.
    async fn kernel_back(&self, was: &Checkpoint, rest: Rest) -> Result<(), String> {
        // A lease of another boot is none.
        let leases = rest == Rest::SameBoot && !self.backend.acts();
        let links = self.kernel.links().await.map_err(|error| error.to_string())?;
        let mut refused = Ok(());
        for one in moves::back(&links, &was.kernel, leases) {
            tracing::debug!(?one, "network: back");
            if let Err(error) = self.kernel.make(&one).await {
                refused = refused.and(Err(error.to_string()));
            }
        }
        let links = self.kernel.links().await.map_err(|error| error.to_string())?;
        let missing = moves::back(&links, &was.kernel, leases);
        if missing.is_empty() { Ok(()) } else { refused.and_then(|()| Err(told(&missing))) }
    }

    /// Takes the open change back; an error: what is missing.
    pub(super) async fn undo(&self, rest: Rest) -> Result<(), String> {
        let record = self.memory.record().await.map_err(|error| error.to_string())?;
        let Some(open) = record.open else { return Ok(()) };
        let abandoned = self.backend.abandon(&open.before.saved, open.trial.as_ref()).await;
        if let Err(error) = &abandoned {
            tracing::warn!(%error, "a change is taken back without the backend's own means");
        }
        let back = self.put_back(&open.before, rest).await;
        self.reach.network_changed();
        back
    }

    /// The open change stays: who has not heard of that does now.
    pub(super) async fn settle(&self) -> Result<(), NetworkError> {
        if let Some(open) = self.memory.record().await?.open {
            self.backend.confirm(&open.before.saved, open.trial.as_ref()).await?;
        }
        self.memory.change(|record| record.open = None).await?;
        Ok(())
    }

    /// Ends what another run of this agent has begun and not ended: it was killed, or the device lost its power. What was not confirmed is taken back.
    pub(in crate::network_config) async fn recover(&self) -> Result<(), NetworkError> {
        let Some(open) = self.memory.record().await?.open else { return Ok(()) };
        if !open.must_confirm {
            return self.settle().await;
        }
        let is_same_boot = open.boot == self.boot;
        tracing::warn!(resources = ?open.changes.keys(), "a change of the network was not confirmed; it is taken back");
        let rest = match (is_same_boot, self.backend.acts()) {
            (true, _) => Rest::SameBoot,
            (false, true) => Rest::BackendsOnly,
            (false, false) => Rest::Nothing,
        };
        self.undo(rest).await.map_err(NetworkError::NotBack)?;
        let killed = match is_same_boot {
            true => "the agent ended before it was confirmed",
            false => "the device was restarted before it was confirmed",
        };
        let why = open.why.as_deref().unwrap_or(killed);
        let why = format!("{} was taken back: {why}", open.tried);
        self.memory.change(|record| notes::give_up(record, &open, &why)).await?;
        lock(&self.told).retain(|id, _| !open.changes.contains_key(id));
        Ok(())
    }
}

/// The first of some moves that are still to be made.
fn told(missing: &[Move]) -> String {
    let told = missing.iter().take(TOLD).map(|one| format!("{} of {}", one.change, one.link));
    told.collect::<Vec<_>>().join(", ")
}

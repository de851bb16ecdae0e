//! The way back: interfaces as they were before a change, and what a change that was cut off has left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::notes;
use crate::network_config::{
    NetworkConfigReconciler, backend::Backend, error::NetworkError, kernel::Kernel, memory::Checkpoint, moves,
};

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(100);
/// So long putting back is tried before it is left to the next look.
const BACK: Duration = Duration::from_secs(10);
/// So long after it was told to let go of an interface, a backend has.
const LETS_GO: Duration = Duration::from_millis(1500);

impl<K: Kernel, B: Backend> NetworkConfigReconciler<K, B> {
    /// Puts interfaces back as they were; whether all of them are. `in_kernel`: whether the kernel may still know of the change.
    pub(super) async fn put_back(&self, was: &Checkpoint, in_kernel: bool) -> bool {
        let end = Instant::now() + BACK;
        let mut was_back = false;
        loop {
            let restored = self.backend.restore(&was.saved).await;
            if let Err(error) = &restored {
                tracing::warn!(%error, "what was configured before is not back yet");
            }
            let is_back = restored.is_ok() && (!in_kernel || self.kernel_back(was).await);
            if is_back && (was_back || !in_kernel || !self.backend.acts()) {
                return true;
            }
            // What acts by itself does so in its own time, and may undo what is back already.
            was_back = is_back;
            if is_back {
                sleep(LETS_GO).await;
            }
            if Instant::now() >= end {
                tracing::error!(
                    "the interfaces are not all as they were; what is missing is tried again with the next look"
                );
                return false;
            }
            sleep(AGAIN).await;
        }
    }

    /// Whether the kernel's interfaces are as they were.
    async fn kernel_back(&self, was: &Checkpoint) -> bool {
        let leases = !self.backend.acts();
        let Ok(links) = self.kernel.links().await else { return false };
        for one in moves::back(&links, &was.kernel, leases) {
            tracing::debug!(?one, "network: back");
            if let Err(error) = self.kernel.make(&one).await {
                tracing::warn!(%error, "putting back what was there before");
            }
        }
        self.kernel.links().await.is_ok_and(|links| moves::back(&links, &was.kernel, leases).is_empty())
    }

    /// Takes a change back; whether all is as it was.
    pub(super) async fn undo(&self, before: &Checkpoint, in_kernel: bool) -> bool {
        if let Err(error) = self.backend.abandon(&before.interfaces()).await {
            tracing::warn!(%error, "a change is taken back without the backend's own means");
        }
        let is_back = self.put_back(before, in_kernel).await;
        self.reach.network_changed();
        is_back
    }

    /// A change stays: who has not heard of that does now.
    pub(super) async fn settle(&self, of: &Checkpoint) -> Result<(), NetworkError> {
        self.backend.confirm(&of.interfaces()).await?;
        self.memory.change(|record| record.open = None).await?;
        Ok(())
    }

    /// Ends what another run of this agent has begun and not ended: it was killed, or the device lost its power. What was not confirmed is taken back.
    pub(in crate::network_config) async fn recover(&self) -> Result<(), NetworkError> {
        let Some(open) = self.memory.record().await?.open else { return Ok(()) };
        if !open.must_confirm {
            return self.settle(&open.before).await;
        }
        let is_same_boot = open.boot == self.boot;
        tracing::warn!(resources = ?open.changes.keys(), "a change of the network was not confirmed; it is taken back");
        if !self.undo(&open.before, is_same_boot).await {
            return Err(NetworkError::NotBack);
        }
        let why = match is_same_boot {
            true => "the agent ended before it was confirmed",
            false => "the device was restarted before it was confirmed",
        };
        self.memory.change(|record| notes::give_up(record, &open, why)).await?;
        Ok(())
    }
}

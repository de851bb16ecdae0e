//! Whether blocking work may go on: not once its step was told to stop, nor once nobody waits for it any more; and one at a time per path.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OwnedMutexGuard;

use super::error::FileError;
use crate::{error::Cancelled, reconciler::StepContext};

/// Asked by blocking work right before everything that cannot be undone.
#[derive(Clone)]
pub(super) struct Permit {
    cx: StepContext,
    abandoned: Arc<AtomicBool>,
    /// Held as long as any of the work runs, even after its future was dropped.
    _turns: Arc<Vec<OwnedMutexGuard<()>>>,
}

/// Held by the future of a step: dropped with it, it stops the blocking work that is still under way.
pub(super) struct Waiting(Arc<AtomicBool>);

impl Permit {
    /// An error once the work is to stop.
    pub(super) fn check(&self) -> Result<(), Cancelled> {
        if self.abandoned.load(Ordering::Acquire) { Err(Cancelled) } else { self.cx.check() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Who works where. A step whose future was dropped may still be about to rename; the next one on that path waits for it.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody works on any of `paths`, and takes them. They are given back with the last clone of the permit.
    pub(super) async fn take(
        &self,
        cx: &StepContext,
        paths: BTreeSet<&str>,
    ) -> Result<(Permit, Waiting), Cancelled> {
        let mut turns = Vec::with_capacity(paths.len());
        // In order, so that two who want the same paths cannot wait for each other.
        for path in paths {
            let turn = self.turn(path);
            tokio::select! {
                turn = turn.lock_owned() => turns.push(turn),
                () = cx.cancelled() => return Err(Cancelled),
            }
        }
        let abandoned = Arc::new(AtomicBool::new(false));
        let waiting = Waiting(Arc::clone(&abandoned));
        Ok((Permit { cx: cx.clone(), abandoned, _turns: Arc::new(turns) }, waiting))
    }

    fn turn(&self, path: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(path.to_owned()).or_default())
    }
}

/// Runs work that blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(FileError::Cancelled),
        },
    }
}

#[cfg(test)]
mod tests;

//! Carries out what the engine says. Nothing is decided here: each command becomes a task, each task's end a fact.

use std::{future::Future, sync::Arc, time::Duration};

use reconcilers::{
    error::{Failure, Unseen},
    reconciler::StepContext,
    registry::{AnyChange, AnyTarget, Observations, Registry, Stepped, Work},
};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinError,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Now,
    engine::event::{Event, LookResult, StepEnd},
};

/// A look that takes longer than this hangs.
const LOOK: Duration = Duration::from_secs(30);
/// A step that was told to stop has so long to let go.
const LETTING_GO: Duration = Duration::from_secs(30);

/// Looks at resources of one kind. A look that takes too long is told as that, and once more when it returns after all.
pub fn observe(
    registry: Arc<Registry>,
    facts: mpsc::Sender<Event>,
    ticket: u64,
    kind: String,
    targets: Vec<AnyTarget>,
) {
    tokio::spawn(async move {
        let (of, looking) = (kind.clone(), Arc::clone(&registry));
        // In a task of its own, a panic is this look's failure, and what hangs goes on hanging while the rest goes on.
        let mut work = tokio::spawn(async move { looking.observe(&of, &targets).await });
        let result = match timeout(LOOK, &mut work).await {
            Ok(Ok(Ok(seen))) => LookResult::Seen(seen),
            Ok(Ok(Err(unseen))) => LookResult::Unseen(unseen),
            Ok(Err(error)) => broken_off(&error),
            Err(_) => {
                drop(facts.send(Event::Observed { ticket, kind, result: LookResult::TimedOut }).await);
                drop(work.await);
                drop(facts.send(Event::LookReturned { ticket }).await);
                return;
            }
        };
        // A look is where what a kind needs is found, or found to be away.
        drop(facts.send(Event::Capabilities(registry.capabilities())).await);
        drop(facts.send(Event::Observed { ticket, kind, result }).await);
    });
}

fn broken_off(error: &JoinError) -> LookResult {
    let message = format!("the look broke off; please report this: {error}");
    LookResult::Unseen(Unseen { reason: "Panicked", message })
}

/// Carries out a step, looks at its resources afterwards, and tells both.
pub fn start(
    registry: Arc<Registry>,
    facts: mpsc::Sender<Event>,
    step: u64,
    kind: String,
    changes: Vec<AnyChange>,
    deadline: Duration,
) -> CancellationToken {
    let cancelled = CancellationToken::new();
    let token = cancelled.clone();
    let (progress, advanced) = (facts.clone(), Arc::new(Notify::new()));
    let advances = Arc::clone(&advanced);
    let cx = StepContext::new(token.clone(), move |id, progress_made| {
        advances.notify_one();
        // Progress that finds the inbox full is told the next time.
        drop(progress.try_send(Event::Progress { step, id: id.clone(), progress: progress_made }));
    });
    tokio::spawn(async move {
        let targets: Vec<_> = changes.iter().map(target).collect();
        let ids: Vec<_> = changes.iter().map(|change| change.id.clone()).collect();
        let work = {
            let (registry, kind) = (registry.clone(), kind.clone());
            // In a task of its own, a panic is one step's failure.
            tokio::spawn(async move { registry.step(&kind, &cx, &changes).await })
        };
        let abort = work.abort_handle();
        let ended = match within(work, &token, deadline, &advanced).await {
            Some(joined) => {
                let Stepped { results, seen } = joined.unwrap_or_else(|error| panicked(&ids, &error));
                StepEnd::Done { results, seen: look(registry, kind, targets, seen).await }
            }
            None => {
                abort.abort();
                StepEnd::GivenUp { at: Now::read().wall }
            }
        };
        drop(facts.send(Event::StepEnded { step, ended }).await);
    });
    cancelled
}

/// Waits for `work` until it has made no progress for as long as the deadline says, or for some time after it was told to stop. Then it is given up.
async fn within<T>(
    work: impl Future<Output = T>,
    token: &CancellationToken,
    deadline: Duration,
    advanced: &Notify,
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => return Some(ended),
            () = token.cancelled() => return timeout(LETTING_GO, work).await.ok(),
            () = advanced.notified() => {}
            () = sleep(deadline) => {
                token.cancel();
                return None;
            }
        }
    }
}

fn panicked(ids: &[manifest_types::name::ResourceId], error: &tokio::task::JoinError) -> Stepped {
    let failure = Failure::new("Panicked", format!("the step broke off; please report this: {error}"), true);
    let results = ids.iter().map(|id| (id.clone(), Err(failure.clone()))).collect();
    Stepped { results, ..Stepped::default() }
}

/// Looks at what the step itself has not `seen`. In a task of its own, a panic is this look's failure.
async fn look(
    registry: Arc<Registry>,
    kind: String,
    mut targets: Vec<AnyTarget>,
    mut seen: Observations,
) -> LookResult {
    targets.retain(|target| !seen.contains_key(&target.id));
    if targets.is_empty() {
        return LookResult::Seen(seen);
    }
    let mut work = tokio::spawn(async move { registry.observe(&kind, &targets).await });
    match timeout(LOOK, &mut work).await {
        Ok(Ok(Ok(mut others))) => {
            seen.append(&mut others);
            LookResult::Seen(seen)
        }
        Ok(Ok(Err(unseen))) => LookResult::Unseen(unseen),
        Ok(Err(error)) => broken_off(&error),
        Err(_) => {
            work.abort();
            LookResult::TimedOut
        }
    }
}

/// What is looked at after a change.
fn target(change: &AnyChange) -> AnyTarget {
    let wanted = match &change.work {
        Work::Put { spec, .. } => Some(spec.clone()),
        Work::Take => None,
    };
    AnyTarget { id: change.id.clone(), wanted, owned: Some(change.owned.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_goes_on_has_all_the_time_it_needs_and_one_that_does_not_has_not() {
        const DEADLINE: Duration = Duration::from_secs(60);
        let (token, advanced) = (CancellationToken::new(), Notify::new());
        let slow = async {
            for _ in 0..10 {
                sleep(DEADLINE / 2).await;
                advanced.notify_one();
            }
            sleep(DEADLINE / 2).await;
        };
        assert_eq!(within(slow, &token, DEADLINE, &advanced).await, Some(()));
        let stuck = async {
            advanced.notify_one();
            sleep(DEADLINE * 2).await;
        };
        assert_eq!(within(stuck, &token, DEADLINE, &advanced).await, None);
        assert!(token.is_cancelled(), "it is told, too");
        assert_eq!(within(std::future::pending::<()>(), &token, DEADLINE, &advanced).await, None);
        let lets_go = sleep(LETTING_GO / 2);
        assert_eq!(within(lets_go, &token, DEADLINE, &advanced).await, Some(()));
    }
}

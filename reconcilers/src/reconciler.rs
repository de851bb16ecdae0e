//! The promise that every kind keeps.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::AsSpec,
    name::ResourceId,
    status::{Capability, Progress},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Cancelled, ObserveError, ReconcileError, Unseen},
    observation::{Before, Observed},
};

/// What one observation of several targets gives: each one's own result.
pub type Sights<O> = BTreeMap<ResourceId, Result<O, ObserveError>>;
/// What one step gives: each resource's own result.
pub type Outcomes<O> = BTreeMap<ResourceId, Outcome<O>>;
/// How one change went, and what was seen right after it, where the step itself has looked. Where it has not, the caller looks.
pub type Outcome<O> = Result<Option<O>, ReconcileError>;

/// Sees, brings about and takes away resources of one kind. Every method is idempotent and may be dropped at any await.
pub trait Reconciler: Send + Sync + 'static {
    /// What a manifest says of this kind.
    type Spec: AsSpec;
    /// What is seen of this kind.
    type Observed: Observed<Self::Spec>;

    /// What is there now, for all the targets at once. Changes nothing. Absence is a value; one target that cannot be read
    /// costs only itself; `Unseen` means that the whole kind cannot be seen. From then on hints name these targets.
    fn observe(
        &self,
        targets: &[Target<'_, Self::Spec>],
    ) -> impl Future<Output = Result<Sights<Self::Observed>, Unseen>> + Send;

    /// Brings one resource to its spec with the least disruption. Looks again first; done twice, the second time changes nothing.
    /// What is held and not in the new spec is taken away here.
    fn reconcile(
        &self,
        cx: &StepContext,
        put: &Put<'_, Self::Spec>,
    ) -> impl Future<Output = Outcome<Self::Observed>> + Send;

    /// Takes away what is ours and puts back what was there before us. Absent already is success.
    fn delete(
        &self,
        cx: &StepContext,
        take: &Take<'_, Self::Spec>,
    ) -> impl Future<Output = Result<(), ReconcileError>> + Send;

    /// What must change together, removals included: one transaction, one deadline. Default: everything alone.
    fn batch(&self, spec: &Self::Spec) -> Option<Batch> {
        let _ = spec;
        None
    }

    /// Carries out a batch. Default: one after the other.
    fn transact(
        &self,
        cx: &StepContext,
        changes: &[Change<'_, Self::Spec>],
    ) -> impl Future<Output = Outcomes<Self::Observed>> + Send {
        async move {
            let mut outcomes = Outcomes::new();
            for change in changes {
                let outcome = match change {
                    Change::Put(put) => self.reconcile(cx, put).await,
                    Change::Take(take) => self.delete(cx, take).await.map(|()| None),
                };
                outcomes.insert(change.id().clone(), outcome);
            }
            outcomes
        }
    }

    /// What of the device this kind needs, and what is there: as the status shows it. `None` where it needs nothing, or that is away.
    fn capability(&self) -> Option<(&'static str, Capability)> {
        None
    }

    /// Looks for what this kind needs of the device. Default: it needs nothing.
    fn find_capability(
        &self,
    ) -> impl Future<Output = Result<Option<(&'static str, Capability)>, Unseen>> + Send {
        async { Ok(None) }
    }

    /// What a resource has printed, and with `follow` what it prints from now on; `None`: this kind prints nothing. Default: that.
    fn output(
        &self,
        target: &Target<'_, Self::Spec>,
        lines: Lines,
    ) -> impl Future<Output = Result<Option<Printed>, ObserveError>> + Send {
        let _ = (target, lines);
        async { Ok(None) }
    }

    /// Hints that something may have changed outside. A hint carries no meaning; a lost one costs time only.
    fn drift_hints(&self) -> BoxStream<'static, Hint>;
}

/// Which part of what a resource prints is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// No more than so many of the lines that there are.
    pub last: Option<u32>,
    /// Also those that come, until nobody reads them.
    pub follow: bool,
}

/// What is printed, as bytes, as it comes.
pub type Printed = BoxStream<'static, Result<Bytes, ObserveError>>;

/// One resource to look at: what is wanted, or what is held and no longer wanted, or both.
#[derive(Debug)]
pub struct Target<'a, S> {
    /// The resource.
    pub id: &'a ResourceId,
    /// What is wanted of it; without one, what is held is looked at.
    pub wanted: Option<&'a S>,
    /// What we hold under this id.
    pub owned: Option<Owned<'a, S>>,
}

/// What we hold under an id.
#[derive(Debug)]
pub struct Owned<'a, S> {
    /// The spec last applied whole; the one that is being applied where there is none before it.
    pub spec: &'a S,
    /// Whether `spec` was applied whole: what differs from it now is drift.
    pub applied: bool,
    /// A spec that was begun and is not known to be applied: what is there may be its doing, too.
    pub attempted: Option<&'a S>,
    /// What is held, and what was there before.
    pub held: &'a BTreeMap<Claim, Before>,
}

impl<S> Clone for Owned<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Owned<'_, S> {}

/// A resource to bring to its spec.
#[derive(Debug)]
pub struct Put<'a, S> {
    /// The resource.
    pub id: &'a ResourceId,
    /// What is wanted of it.
    pub spec: &'a S,
    /// The digest of that, as it was written.
    pub digest: Digest,
    /// What we hold under this id, the claims of `spec` included: its intent is durable already.
    pub owned: Owned<'a, S>,
    /// Whether something that it depends on has changed, so that it must be restarted or reloaded.
    pub restart: bool,
}

/// A resource to take away.
#[derive(Debug)]
pub struct Take<'a, S> {
    /// The resource.
    pub id: &'a ResourceId,
    /// What we hold under this id.
    pub owned: Owned<'a, S>,
}

/// One change of a batch.
#[derive(Debug)]
pub enum Change<'a, S> {
    /// Bring it to its spec.
    Put(Put<'a, S>),
    /// Take it away.
    Take(Take<'a, S>),
}

impl<S> Change<'_, S> {
    /// The resource that changes.
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Put(put) => put.id,
            Self::Take(take) => take.id,
        }
    }

    /// What is wanted after it.
    pub fn wanted(&self) -> Option<&S> {
        match self {
            Self::Put(put) => Some(put.spec),
            Self::Take(_) => None,
        }
    }
}

/// The name of a set of resources of one kind that change together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch(pub Arc<str>);

/// Something may have changed outside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hint {
    /// With this resource.
    Resource(ResourceId),
    /// With any of this kind: hints were lost, or what the kind needs came or went.
    Kind,
}

/// Who waits for a turn tells so often that it still does.
const STILL_WAITING: Duration = Duration::from_secs(60);

type ProgressSink = dyn Fn(&ResourceId, Progress) + Send + Sync;

/// What a step may use while it works.
#[derive(Clone)]
pub struct StepContext {
    cancelled: CancellationToken,
    progress: Arc<ProgressSink>,
}

impl StepContext {
    /// A context that ends with `cancelled` and tells its progress to `progress`.
    pub fn new(
        cancelled: CancellationToken,
        progress: impl Fn(&ResourceId, Progress) + Send + Sync + 'static,
    ) -> Self {
        Self { cancelled, progress: Arc::new(progress) }
    }

    /// Tells how far a long step is.
    pub fn progress(&self, id: &ResourceId, progress: Progress) {
        (self.progress)(id, progress);
    }

    /// An error once the step is to stop. Asked right before everything that cannot be undone.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.cancelled.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Waits for a turn at what only so many may do at once, and tells that: it is long, and nobody else waits for it.
    pub async fn turn<'s>(
        &self,
        id: &ResourceId,
        turns: &'s Semaphore,
        what: &str,
    ) -> Result<SemaphorePermit<'s>, Cancelled> {
        let tell = |message: String| {
            self.progress(id, Progress { message, done: 0, total: None, unit: "bytes".into() });
        };
        let mut turn = std::pin::pin!(turns.acquire());
        let mut is_waiting = false;
        loop {
            tokio::select! {
                biased;
                () = self.cancelled() => return Err(Cancelled),
                turn = &mut turn => {
                    tell(what.to_owned());
                    return turn.map_err(|_| Cancelled);
                }
                () = tokio::time::sleep(STILL_WAITING), if is_waiting => {}
                () = std::future::ready(()), if !is_waiting => {}
            }
            is_waiting = true;
            tell(format!("waits for its turn: {what}"));
        }
    }

    /// Returns once the step is to stop.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_its_turn_says_so_and_stops_when_it_is_told_to() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let (sink, token) = (Arc::clone(&told), CancellationToken::new());
        let cx =
            StepContext::new(token.clone(), move |_, progress| sink.lock().unwrap().push(progress.message));
        let (id, turns) = ("it".parse().unwrap(), Semaphore::new(1));
        let first = cx.turn(&id, &turns, "fetching").await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["fetching"]);
        let waiting =
            tokio::time::timeout(STILL_WAITING + STILL_WAITING / 2, cx.turn(&id, &turns, "pulling"));
        assert!(waiting.await.is_err(), "somebody else has the turn");
        assert_eq!(told.lock().unwrap()[1..], ["waits for its turn: pulling", "waits for its turn: pulling"]);
        let then = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (second, ()) = tokio::join!(cx.turn(&id, &turns, "pulling"), then);
        assert!(second.is_ok());
        token.cancel();
        assert!(cx.turn(&id, &turns, "pulling").await.is_err());
    }
}

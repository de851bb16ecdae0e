//! What every reconciler promises, as tests over any kind: a kind brings a [`Fixture`], [`promises!`](crate::promises) makes the tests.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use manifest_types::{claim::Claim, digest::Digest, kinds::ResourceSpec, name::ResourceId};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Failure,
    observation::{Before, Observation},
    reconciler::{Outcome, Owned, Put, Reconciler, StepContext, Take, Target},
    registry::observation,
};

pub mod promises;

/// A picture of the world: what there is, by name, and what it is like.
pub type Picture = BTreeMap<String, String>;

/// The spec of a fixture's kind.
pub type SpecOf<F> = <<F as Fixture>::Reconciler as Reconciler>::Spec;

/// A small world of one kind, made anew for every promise.
pub trait Fixture: Sized {
    /// The reconciler under test.
    type Reconciler: Reconciler;

    /// Whether it takes over what is there and not ours; otherwise it refuses.
    const TAKES_OVER: bool;

    /// Whether what is there and just as wanted is adopted; otherwise it is refused, too.
    const ADOPTS: bool = true;

    /// Whether what somebody has put at its place is what it wants, whatever that is.
    const SHARES: bool = false;

    /// Whether it can change what it has made; otherwise a second spec differs in nothing that can be seen.
    const CHANGES: bool = true;

    /// Whether what cannot be brought about can be looked at even so.
    const SEES_THE_IMPOSSIBLE: bool = false;

    /// A fresh world in which nothing is managed.
    fn new() -> impl Future<Output = Self>;

    /// The reconciler that works in it.
    fn reconciler(&self) -> &Self::Reconciler;

    /// A spec that can be brought about here.
    fn first(&self) -> SpecOf<Self>;

    /// Another spec with the same claims.
    fn second(&self) -> SpecOf<Self>;

    /// Another spec with other claims.
    fn elsewhere(&self) -> SpecOf<Self>;

    /// A spec that cannot be brought about here, nor, mostly, be seen.
    fn impossible(&self) -> SpecOf<Self>;

    /// Somebody puts just what `first` wants at its place.
    fn put_same(&self) -> impl Future<Output = ()>;

    /// Somebody puts something else at the place of `first`.
    fn put_other(&self) -> impl Future<Output = ()>;

    /// Somebody changes what was made of `first`, so that it drifts.
    fn disturb(&self) -> impl Future<Output = ()>;

    /// What others see of the world: without identities and times of change, and without what is the agent's own.
    fn seen_by_others(&self) -> impl Future<Output = Picture>;

    /// All there is: identities, times of change and the agent's own included, so that what was made again is told from what was left.
    fn in_all(&self) -> impl Future<Output = Picture>;
}

/// What a ledger would hold of one resource.
pub struct Row<S> {
    id: ResourceId,
    spec: S,
    applied: bool,
    held: BTreeMap<Claim, Before>,
}

impl<S> Row<S> {
    fn owned(&self) -> Owned<'_, S> {
        Owned { spec: &self.spec, applied: self.applied, attempted: None, held: &self.held }
    }
}

fn id(name: &str) -> ResourceId {
    name.parse().expect("the tests name resources well")
}

fn context() -> StepContext {
    StepContext::new(CancellationToken::new(), |_, _| {})
}

/// What is seen of one resource, as the engine gets it.
async fn see<F: Fixture>(
    fixture: &F,
    wanted: &SpecOf<F>,
    row: Option<&Row<SpecOf<F>>>,
) -> Result<Observation, Failure> {
    let id = row.map_or_else(|| id("it"), |row| row.id.clone());
    let target = Target { id: &id, wanted: Some(wanted), owned: row.map(Row::owned) };
    let mut sights = fixture.reconciler().observe(&[target]).await.expect("the kind can be seen");
    let sight = sights.remove(&id).expect("every target is told of");
    sight.map(|observed| observation(&observed, Some(wanted))).map_err(|error| error.to_failure())
}

/// Notes, as the engine does before the first step, what is there before us.
async fn intend<F: Fixture>(fixture: &F, spec: SpecOf<F>) -> Row<SpecOf<F>> {
    let before = see(fixture, &spec, None).await.expect("the spec can be seen").before();
    let id = id("it");
    let held = spec.claims(&id).into_iter().map(|claim| (claim, before)).collect();
    Row { id, spec, applied: false, held }
}

/// Brings what `row` holds to `spec`.
async fn bring<F: Fixture>(
    fixture: &F,
    cx: &StepContext,
    row: &Row<SpecOf<F>>,
    spec: &SpecOf<F>,
) -> Outcome<<F::Reconciler as Reconciler>::Observed> {
    let put = Put { id: &row.id, spec, digest: digest_of(spec), owned: row.owned(), restart: false };
    fixture.reconciler().reconcile(cx, &put).await
}

/// Brings it to the row's own spec, which can be brought about.
async fn bring_about<F: Fixture>(fixture: &F, row: &Row<SpecOf<F>>) {
    bring(fixture, &context(), row, &row.spec).await.expect("the spec is brought about");
}

/// The digest of a spec that nobody wrote.
fn digest_of(spec: &impl ResourceSpec) -> Digest {
    let text = serde_json::to_string(spec).expect("a spec can be written");
    Digest::of(text.as_bytes())
}

async fn take_away<F: Fixture>(fixture: &F, row: &Row<SpecOf<F>>) {
    let take = Take { id: &row.id, owned: row.owned() };
    fixture.reconciler().delete(&context(), &take).await.expect("it is taken away");
}

/// Works on `future` until it was woken `wakes` times, and leaves it there; `None` then.
pub(crate) async fn drop_after<T>(future: impl Future<Output = T>, wakes: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        if polls > wakes { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) }
    })
    .await
}

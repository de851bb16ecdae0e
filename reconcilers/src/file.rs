//! `File`: files, directories and symbolic links.
//!
//! A path is walked to by descriptors (`walk`) and looked at (`look`, with the digests that `cache` remembers); what was seen
//! (`sight`) is compared with what is wanted (`drift`). `put` brings a path to its spec and `take` gives it back, both by
//! what `decide` says: the new thing is made beside its place (`stage`, its bytes from `content`), what was there before
//! is kept (`originals`), and a rename ends it, if the step's `permit` still holds. Steps that meet at one name take turns
//! (`sites`). `watch` hints at what others change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::stream::BoxStream;
use manifest_types::{
    claim::Claim,
    kinds::file::{AbsolutePath, FileSpec},
};
use tokio::sync::Semaphore;

use self::{
    cache::Digests,
    error::FileError,
    originals::Originals,
    permit::{Permit, Turns, blocking},
    put::Begun,
    sight::Sight,
    sites::Sites,
    walk::Tree,
    watch::Watches,
};
use crate::{
    error::{Fault, ReconcileError, Unseen},
    host::{Blobs, Host},
    observation::Before,
    reconciler::{Hint, Outcome, Owned, Put, Reconciler, Sights, StepContext, Take, Target},
};

mod accounts;
mod cache;
mod content;
mod decide;
mod drift;
pub mod error;
mod look;
mod originals;
mod permit;
mod put;
pub mod sight;
mod sites;
mod stage;
mod take;
mod walk;
mod watch;

/// The reconciler of kind `File`.
pub struct FileReconciler {
    world: Arc<World>,
    blobs: Arc<dyn Blobs>,
    fetches: Semaphore,
}

/// So many contents are fetched at once: each has its buffer.
const FETCHES: usize = 8;

/// What all steps share.
struct World {
    tree: Tree,
    digests: Digests,
    originals: Originals,
    watches: Watches,
    turns: Turns,
    sites: Sites,
}

impl FileReconciler {
    /// A reconciler that works below the host's root, and keeps originals in its state directory.
    pub fn new(host: &Host) -> Self {
        let mut protected = host.protected.clone();
        protected.push(host.state_dir.clone());
        protected.sort();
        protected.dedup();
        let world = World {
            tree: Tree::new(host.root.clone(), protected),
            digests: Digests::default(),
            originals: Originals::new(host.state_dir.clone()),
            watches: Watches::new(),
            turns: Turns::default(),
            sites: Sites::default(),
        };
        Self { world: Arc::new(world), blobs: Arc::clone(&host.blobs), fetches: Semaphore::new(FETCHES) }
    }

    /// Looks at paths for resources of which each may have several: other kinds hold files, too.
    pub(crate) async fn look(&self, targets: &[Target<'_, FileSpec>]) -> Result<look::Looked, Unseen> {
        let aims: Vec<_> = targets.iter().filter_map(look::Aim::of).collect();
        let world = Arc::clone(&self.world);
        blocking(move || look::look_at_all(&world, aims)).await.map_err(|error| {
            let reason = error.reason();
            Unseen { reason, message: ReconcileError::from(error).to_failure().message }
        })
    }

    async fn put(
        &self,
        cx: &StepContext,
        permit: &Permit,
        put: &Put<'_, FileSpec>,
    ) -> Result<Option<Sight>, FileError> {
        let job = put::Job::new(Arc::clone(&self.world), permit.clone(), put);
        match blocking(move || job.begin()).await? {
            Begun::Done(seen) => Ok(seen),
            Begun::Fetch(fetching, writing) => {
                let source = put.spec.content.as_ref().and_then(content::source);
                let source = source.expect("only a content that is not in the manifest is fetched");
                let _turn = cx.turn(put.id, &self.fetches, &format!("fetching {}", source.0)).await?;
                let writing = content::fetch(*writing, self.blobs.as_ref(), source, cx, put.id).await?;
                blocking(move || fetching.finish(writing)).await.map(|()| None)
            }
        }
    }

    async fn take(
        &self,
        permit: &Permit,
        path: &AbsolutePath,
        owned: Owned<'_, FileSpec>,
    ) -> Result<(), FileError> {
        let job = take::Job::new(Arc::clone(&self.world), permit.clone(), path.clone(), owned);
        blocking(move || job.run()).await
    }
}

impl Reconciler for FileReconciler {
    type Spec = FileSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, FileSpec>]) -> Result<Sights<Sight>, Unseen> {
        Ok(self.look(targets).await?.into_iter().collect())
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, FileSpec>) -> Outcome<Sight> {
        let held = paths(put.owned.held);
        let all = held.iter().chain([&put.spec.path]).map(AbsolutePath::as_str).collect();
        let (permit, _waiting) = self.world.turns.take(cx, all).await?;
        let is_old = |path: &&AbsolutePath| **path != put.spec.path;
        let seen = match self.put(cx, &permit, put).await {
            // Where the old is in the way of the new, it goes first.
            Err(FileError::NotADirectory(_) | FileError::DirectoryInTheWay(_))
                if held.iter().filter(is_old).any(|old| overlap(old, &put.spec.path)) =>
            {
                for old in held.iter().filter(is_old).filter(|old| overlap(old, &put.spec.path)) {
                    self.take(&permit, old, put.owned).await?;
                }
                self.put(cx, &permit, put).await?
            }
            outcome => outcome?,
        };
        // What the new spec moved away from goes once the new one is in place.
        for old in held.iter().filter(is_old) {
            self.take(&permit, old, put.owned).await?;
        }
        // Another way may lead from there to the new place.
        Ok(seen.filter(|_| !held.iter().any(|path| is_old(&path))))
    }

    async fn delete(&self, cx: &StepContext, take: &Take<'_, FileSpec>) -> Result<(), ReconcileError> {
        let held = paths(take.owned.held);
        let (permit, _waiting) =
            self.world.turns.take(cx, held.iter().map(AbsolutePath::as_str).collect()).await?;
        for path in &held {
            self.take(&permit, path, take.owned).await?;
        }
        Ok(())
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        watch::hints(&self.world)
    }
}

impl World {
    fn forget(&self, path: &AbsolutePath) {
        self.digests.forget(path);
        self.watches.forget(path);
    }
}

impl AsRef<Watches> for World {
    fn as_ref(&self) -> &Watches {
        &self.watches
    }
}

/// The paths among what is held.
fn paths(held: &BTreeMap<Claim, Before>) -> BTreeSet<AbsolutePath> {
    let texts = held.keys().filter_map(|claim| match claim {
        Claim::Path(path) => Some(path),
        _ => None,
    });
    texts.filter_map(|text| text.parse().ok()).collect()
}

/// Whether one path is below the other.
fn overlap(one: &AbsolutePath, other: &AbsolutePath) -> bool {
    one.is_at_or_below(other.as_str()) || other.is_at_or_below(one.as_str())
}

/// What the ledger says was at `path` before us. What it does not know is treated as something to be kept.
fn before(held: &BTreeMap<Claim, Before>, path: &AbsolutePath) -> Before {
    held.get(&Claim::Path(path.as_str().to_owned())).copied().unwrap_or(Before::Original)
}

/// The specs of `path` that were applied or begun: what is there may be any one's doing.
fn ours(owned: Owned<'_, FileSpec>, path: &AbsolutePath) -> Vec<FileSpec> {
    let specs = [Some(owned.spec), owned.attempted].into_iter().flatten();
    specs.filter(|spec| spec.path == *path).cloned().collect()
}

#[cfg(test)]
mod tests;

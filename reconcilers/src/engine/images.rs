//! The images that our pulls bring: remembered in the state directory before each pull, removed when nothing needs them (ADR 0017).
//!
//! Kinds that need images share one of these. Who needs one is told by a text: a container by its name in the engine, a resource that is
//! not a container by [`of_resource`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use manifest_types::{kinds::engine::ImageRef, name::ResourceId};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use self::record::{Leftover, Pull, Record};
use super::{Answer, ContainerEngine, error::EngineError, link::Link, terms::NamedImage};
use crate::{books::Books, error::ReconcileError, host::Host, reconciler::StepContext};

pub mod error;
mod login;
mod pull;
mod record;

pub use pull::Wanted;

const FILE: &str = "images.json";

/// Making room may take so long; what is left then is left.
const ROOM: Duration = Duration::from_secs(30);

/// So many images are pulled at once.
const PULLS: usize = 8;

/// What is remembered of images, and what is wanted of them.
#[derive(Debug)]
pub struct Images<E> {
    link: Arc<Link<E>>,
    /// What paths of the device are below, for the files with credentials.
    root: PathBuf,
    /// Who may pull now.
    turns: Semaphore,
    books: Books<Record>,
    /// What is needed, by who needs it.
    needed: Mutex<BTreeMap<String, Needed>>,
    /// What is being pulled, by who needs it.
    pulling: Mutex<BTreeMap<String, String>>,
    /// Held by whoever removes images.
    tidying: AsyncMutex<()>,
    /// Whether somebody is about to.
    is_asked: AtomicBool,
    /// Whether it is known what containers need.
    knows_containers: AtomicBool,
}

/// An image that somebody needs.
#[derive(Debug)]
struct Needed {
    /// What the spec names.
    reference: String,
    /// What that stands for, if it is there.
    id: Option<String>,
}

/// A pull under way, until it is dropped.
struct UnderWay<'a> {
    pulling: &'a Mutex<BTreeMap<String, String>>,
    engine: String,
    user: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(self.pulling).remove(&self.user);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who needs an image: a resource that is not a container. No container has a name like this.
pub fn of_resource(id: &ResourceId) -> String {
    format!("{RESOURCE}{id}")
}

const RESOURCE: &str = "resource:";

/// Whether it is a container that needs an image: no other user has a name that an engine takes.
fn is_container(user: &str) -> bool {
    !user.contains(':')
}

impl<E: ContainerEngine> Images<E> {
    /// Those remembered in the state directory, in the engine at the end of `link`.
    pub fn new(host: &Host, link: Arc<Link<E>>) -> Arc<Self> {
        Arc::new(Self {
            link,
            root: host.root.clone(),
            turns: Semaphore::new(PULLS),
            books: Books::new(&host.state_dir, FILE),
            needed: Mutex::default(),
            pulling: Mutex::default(),
            tidying: AsyncMutex::default(),
            is_asked: AtomicBool::default(),
            knows_containers: AtomicBool::new(true),
        })
    }

    /// Somebody needs an image, and what that stands for now, if it is there.
    pub(crate) fn needs(&self, user: &str, reference: String, id: Option<&str>) {
        let id = id.map(str::to_owned);
        lock(&self.needed).insert(user.to_owned(), Needed { reference, id });
    }

    /// Somebody is not to be any more.
    pub(crate) fn needs_no_more(&self, user: &str) {
        lock(&self.needed).remove(user);
    }

    /// Of containers, only these are to be.
    pub(crate) fn keep_only(&self, is_meant: impl Fn(&str) -> bool) {
        lock(&self.needed).retain(|user, _| !is_container(user) || is_meant(user));
    }

    /// A pull is about to begin: what was there before it is not what it brings. Ended by [`Images::pulled`]; where that is
    /// not heard, what it brought is found later.
    async fn pulls(&self, user: &str, image: &ImageRef) -> Result<UnderWay<'_>, ReconcileError> {
        self.link.open().await?;
        let engine = self.link.identity();
        lock(&self.pulling).insert(user.to_owned(), image.canonical());
        let under_way = UnderWay { pulling: &self.pulling, engine, user: user.to_owned() };
        self.close(&under_way.engine, user).await?;
        let before = self.link.engine.images().await?.into_iter().map(|image| image.id).collect();
        let pull = Pull { reference: image.canonical(), before, begun: Timestamp::now() };
        self.books.change(&under_way.engine, |record| record.pull_begins(user, pull)).await?;
        Ok(under_way)
    }

    /// A pull whose end nobody sees.
    #[cfg(test)]
    pub(crate) async fn begin_a_pull(&self, user: &str, image: &ImageRef) {
        drop(self.pulls(user, image).await.expect("it can be written down"));
    }

    /// The engine has said why it did not pull: it has brought nothing, whatever is there later.
    async fn not_pulled(&self, under_way: UnderWay<'_>) {
        let UnderWay { engine, user, .. } = &under_way;
        self.note(engine, |record| record.pull_ended(user, None)).await;
    }

    /// A pull has succeeded.
    async fn pulled(&self, under_way: UnderWay<'_>) {
        let UnderWay { engine, user, .. } = &under_way;
        if let Err(error) = self.close(engine, user).await {
            told(&error);
        }
    }

    /// A container is as wanted, and made of `image`. The one before it is kept: somebody may go back to it.
    pub(crate) async fn settled(&self, container: &str, former: &[String], image: &str) {
        self.note(&self.link.identity(), |record| record.settled(container, former, image)).await;
    }

    /// Each of these has the image that it needs, and needs no other.
    pub(crate) async fn hold(&self, held: &[(String, String)]) {
        let identity = self.link.identity();
        let record = self.books.record(&identity).await.unwrap_or_default();
        for (user, _) in held.iter().filter(|(user, _)| record.open_pull(user).is_some()) {
            // One whose end nobody has seen may have brought it.
            if let Err(error) = self.close(&identity, user).await {
                told(&error);
            }
        }
        self.note(&identity, |record| held.iter().for_each(|(user, image)| record.holds(user, image))).await;
    }

    /// Nobody is to go back to what it was made of before: whether anybody could have.
    async fn give_up_previous(&self) -> bool {
        let mut has_any = false;
        let identity = self.link.identity();
        let noted = self.books.change(&identity, |record| has_any = record.forget_previous()).await;
        // On a disk on which that cannot be written down, nothing is gained.
        noted.is_ok() && has_any
    }

    /// They are gone, and nobody wants them any more.
    pub(crate) async fn forget(&self, users: &[String]) {
        users.iter().for_each(|user| self.needs_no_more(user));
        self.note(&self.link.identity(), |record| record.forget(users)).await;
    }

    /// There will be containers that need images: until they were looked at, nothing is known of what they need.
    pub(crate) fn expects_containers(&self) {
        self.knows_containers.store(false, Ordering::Relaxed);
    }

    /// Containers were looked at.
    pub(crate) fn knows_containers(&self) {
        self.knows_containers.store(true, Ordering::Relaxed);
    }

    /// Whether it is known what everybody needs: not so before containers were looked at, unless one of them asks.
    async fn may_make_room(&self, user: &str) -> bool {
        let record = self.books.record(&self.link.identity()).await.unwrap_or_default();
        is_container(user) || self.knows_containers.load(Ordering::Relaxed) || !record.knows_any(is_container)
    }

    /// Removes what nothing needs any more because of a step for `user`, who is no container.
    pub(crate) async fn make_room_after(&self, cx: &StepContext, user: &str) {
        if !self.may_make_room(user).await {
            return;
        }
        tokio::select! {
            () = self.make_room() => {}
            () = cx.cancelled() => {}
        }
    }

    /// Removes what nothing needs, as far as that is soon done.
    pub(crate) async fn make_room(&self) {
        // What is cut off is done by the next.
        drop(tokio::time::timeout(ROOM, self.tidy()).await);
    }

    /// Removes what nothing needs, beside everything else. Who asks while another is about to begin has asked enough.
    pub(crate) fn make_room_beside(self: &Arc<Self>) {
        if self.is_asked.swap(true, Ordering::Relaxed) {
            return;
        }
        let images = Arc::clone(self);
        tokio::spawn(async move { images.tidy().await });
    }

    /// Removes what nothing needs. What cannot be removed now is left for the next time.
    async fn tidy(&self) {
        let _alone = self.tidying.lock().await;
        self.is_asked.store(false, Ordering::Relaxed);
        if let Err(error) = self.try_tidy().await {
            told(&error);
        }
    }

    async fn try_tidy(&self) -> Result<(), ReconcileError> {
        // Without it there is nothing to be done, and what is remembered of another one says nothing of it.
        if self.link.info().is_none() {
            return Ok(());
        }
        let (engine, identity) = (&self.link.engine, self.link.identity());
        for user in self.books.record(&identity).await?.open_pulls() {
            if !lock(&self.pulling).contains_key(&user) {
                // One that cannot be told now keeps no others from being removed.
                if let Err(error) = self.close(&identity, &user).await {
                    told(&error);
                }
            }
        }
        let before = self.books.record(&identity).await?;
        if !before.may_have_leftovers(&self.needed_now()) {
            return Ok(());
        }
        let there = engine.images().await?;
        let in_use = engine.containers().await?.into_iter().map(|listed| listed.image_id).collect();
        self.note(&identity, |record| record.gone(&before, &there)).await;
        for leftover in before.leftovers(&there, &in_use) {
            // Somebody may have come to need it meanwhile.
            let now = self.books.record(&identity).await?;
            if now.is_needed(&leftover.id, &self.needed_now()) || self.is_named(&there, &leftover.id) {
                continue;
            }
            if remove(engine, &leftover).await? {
                self.note(&identity, |record| record.let_go(&leftover.id)).await;
            }
        }
        Ok(())
    }

    fn needed_now(&self) -> BTreeSet<String> {
        lock(&self.needed).values().filter_map(|needed| needed.id.clone()).collect()
    }

    /// Whether a spec names an image, or it is being pulled, as far as its names go.
    fn is_named(&self, there: &[NamedImage], id: &str) -> bool {
        let (needed, pulling) = (lock(&self.needed), lock(&self.pulling));
        let names = there.iter().filter(|image| image.id == id).flat_map(|image| &image.names);
        let mut awaited = needed.values().map(|needed| &needed.reference).chain(pulling.values());
        let names: BTreeSet<_> = names.collect();
        awaited.any(|reference| names.contains(reference))
    }

    /// Finds out what an open pull has brought, if there is one.
    async fn close(&self, identity: &str, user: &str) -> Result<(), ReconcileError> {
        let Some(reference) = self.books.record(identity).await?.open_pull(user) else {
            return Ok(());
        };
        let image = self.link.engine.image(&reference).await?.map(|image| image.id);
        // Before it is known as brought: else somebody who tidies might take it away.
        if lock(&self.pulling).contains_key(user) {
            self.needs(user, reference, image.as_deref());
        }
        self.note(identity, |record| match image {
            Some(image) => record.pull_ended(user, Some(&image)),
            None => record.pull_is_late(user, Timestamp::now()),
        })
        .await;
        Ok(())
    }

    /// Changes what is remembered, where losing that costs no more than an image that is kept for too long.
    async fn note(&self, engine: &str, change: impl FnOnce(&mut Record)) {
        if let Err(error) = self.books.change(engine, change).await {
            told(&error.into());
        }
    }
}

fn told(error: &ReconcileError) {
    let error = error.to_failure().message;
    tracing::warn!(
        error,
        "images that are no longer needed may be kept; it is tried again with the next change"
    );
}

/// Removes a leftover by all of its names; whether it is no longer ours to remove.
async fn remove(engine: &impl ContainerEngine, leftover: &Leftover) -> Answer<bool> {
    let Leftover { id, names, is_kept } = leftover;
    for name in names {
        match engine.remove_image(name).await {
            Ok(()) => {}
            Err(error @ (EngineError::NoEngine { .. } | EngineError::Away { .. })) => return Err(error),
            Err(error) => {
                tracing::debug!(image = id, name, %error, "an image that is no longer needed is kept for now");
                return Ok(false);
            }
        }
    }
    match is_kept {
        false => tracing::info!(image = id, ?names, "removed an image that is no longer needed"),
        true => {
            tracing::info!(image = id, ?names, "left an image that somebody else has named; ours are removed")
        }
    }
    Ok(true)
}

//! The images that our pulls brought: remembered in the state directory before each pull, removed when nothing needs them (ADR 0017).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use manifest_types::kinds::engine::ImageRef;
use tokio::sync::Mutex as AsyncMutex;

use self::record::{Leftover, Pull, Record};
use crate::books::Books;
use crate::{
    engine::{
        Answer, ContainerEngine,
        error::EngineError,
        link::{Link, Names},
        terms::NamedImage,
    },
    error::ReconcileError,
};

mod record;

const FILE: &str = "images.json";

/// Making room before a pull may take so long; what is left then is left.
const ROOM: Duration = Duration::from_secs(30);

/// What is remembered of images, and what is wanted of them.
#[derive(Debug)]
pub(super) struct Images {
    books: Books<Record>,
    /// What each container is to be made of, by the container's name.
    wanted: Mutex<BTreeMap<String, Wanted>>,
    /// What is being pulled for a container.
    pulling: Mutex<BTreeMap<String, String>>,
    /// Held by whoever removes images.
    tidying: AsyncMutex<()>,
    /// Whether somebody is about to.
    is_asked: AtomicBool,
}

/// An image that a container is to be made of.
#[derive(Debug)]
struct Wanted {
    /// What the spec names.
    reference: String,
    /// What that stands for, if it is there.
    id: Option<String>,
}

/// A pull under way, until it is dropped.
pub(super) struct UnderWay<'a> {
    images: &'a Images,
    engine: String,
    container: String,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.images.pulling).remove(&self.container);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Images {
    /// Those remembered in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            books: Books::new(state_dir, FILE),
            wanted: Mutex::default(),
            pulling: Mutex::default(),
            tidying: AsyncMutex::default(),
            is_asked: AtomicBool::default(),
        }
    }

    /// What a container is to be made of, and what that stands for now, if it is there.
    pub(super) fn wants(&self, container: &str, reference: String, id: Option<&str>) {
        let id = id.map(str::to_owned);
        lock(&self.wanted).insert(container.to_owned(), Wanted { reference, id });
    }

    /// A container is not to be any more.
    pub(super) fn wants_no_more(&self, container: &str) {
        lock(&self.wanted).remove(container);
    }

    /// A pull for a container is about to begin: what was there before it is not what it brings. Ended by [`Images::pulled`]; where that is
    /// not heard, what it brought is found later.
    pub(super) async fn pulls<E: ContainerEngine>(
        &self,
        link: &Arc<Link<E>>,
        container: &str,
        image: &ImageRef,
    ) -> Result<UnderWay<'_>, ReconcileError> {
        link.open().await?;
        let engine = link.identity();
        lock(&self.pulling).insert(container.to_owned(), image.canonical());
        let under_way = UnderWay { images: self, engine, container: container.to_owned() };
        self.close(&link.engine, &under_way.engine, container).await?;
        let before = link.engine.images().await?.into_iter().map(|image| image.id).collect();
        let pull = Pull { reference: image.canonical(), before };
        self.books.change(&under_way.engine, |record| record.pull_begins(container, pull)).await?;
        Ok(under_way)
    }

    /// The engine has said why it did not pull: it has brought nothing, whatever is there later.
    pub(super) async fn not_pulled(&self, under_way: UnderWay<'_>) {
        let UnderWay { engine, container, .. } = &under_way;
        self.note(engine, |record| record.pull_ended(container, None)).await;
    }

    /// A pull has succeeded.
    pub(super) async fn pulled(&self, under_way: UnderWay<'_>, engine: &impl ContainerEngine) {
        let UnderWay { engine: identity, container, .. } = &under_way;
        if let Err(error) = self.close(engine, identity, container).await {
            told(&error);
        }
    }

    /// A container is as wanted, and made of `image`.
    pub(super) async fn settled<E: ContainerEngine>(
        &self,
        link: &Link<E>,
        container: &str,
        former: &[String],
        image: &str,
    ) {
        self.note(&link.identity(), |record| record.settled(container, former, image)).await;
    }

    /// Containers are gone, and nobody wants them any more.
    pub(super) async fn forget<E: ContainerEngine>(&self, link: &Link<E>, containers: &[String]) {
        containers.iter().for_each(|container| self.wants_no_more(container));
        self.note(&link.identity(), |record| record.forget(containers)).await;
    }

    /// Removes what nothing needs, before something else is pulled.
    pub(super) async fn make_room<E: ContainerEngine>(&self, link: &Link<E>, names: &Names) {
        // What is cut off is done by the next.
        drop(tokio::time::timeout(ROOM, self.tidy(link, names)).await);
    }

    /// Removes what nothing needs. What cannot be removed now is left for the next time.
    async fn tidy<E: ContainerEngine>(&self, link: &Link<E>, names: &Names) {
        let _alone = self.tidying.lock().await;
        self.is_asked.store(false, Ordering::Relaxed);
        if let Err(error) = self.try_tidy(link, names).await {
            told(&error);
        }
    }

    async fn try_tidy<E: ContainerEngine>(
        &self,
        link: &Link<E>,
        names: &Names,
    ) -> Result<(), ReconcileError> {
        // Without it there is nothing to be done, and what is remembered of another one says nothing of it.
        if link.info().is_none() {
            return Ok(());
        }
        let (engine, identity) = (&link.engine, link.identity());
        for container in self.books.record(&identity).await?.open_pulls() {
            if !lock(&self.pulling).contains_key(&container) {
                // One that cannot be told now keeps no others from being removed.
                if let Err(error) = self.close(engine, &identity, &container).await {
                    told(&error);
                }
            }
        }
        lock(&self.wanted).retain(|name, _| names.whose(name).is_some());
        let before = self.books.record(&identity).await?;
        if !before.may_have_leftovers(&self.wanted()) {
            return Ok(());
        }
        let there = engine.images().await?;
        let in_use = engine.containers().await?.into_iter().map(|listed| listed.image_id).collect();
        self.note(&identity, |record| record.gone(&before, &there)).await;
        for leftover in before.leftovers(&there, &in_use) {
            // Somebody may have come to need it meanwhile.
            let now = self.books.record(&identity).await?;
            if now.is_needed(&leftover.id, &self.wanted()) || self.is_named(&there, &leftover.id) {
                continue;
            }
            if remove(engine, &leftover).await? {
                self.note(&identity, |record| record.let_go(&leftover.id)).await;
            }
        }
        Ok(())
    }

    fn wanted(&self) -> BTreeSet<String> {
        lock(&self.wanted).values().filter_map(|wanted| wanted.id.clone()).collect()
    }

    /// Whether a spec names an image, or it is being pulled, as far as its names go.
    fn is_named(&self, there: &[NamedImage], id: &str) -> bool {
        let (wanted, pulling) = (lock(&self.wanted), lock(&self.pulling));
        let names = there.iter().filter(|image| image.id == id).flat_map(|image| &image.names);
        let mut awaited = wanted.values().map(|wanted| &wanted.reference).chain(pulling.values());
        let names: BTreeSet<_> = names.collect();
        awaited.any(|reference| names.contains(reference))
    }

    /// Finds out what an open pull for a container has brought, if there is one.
    async fn close(
        &self,
        engine: &impl ContainerEngine,
        identity: &str,
        container: &str,
    ) -> Result<(), ReconcileError> {
        let Some(reference) = self.books.record(identity).await?.open_pull(container) else {
            return Ok(());
        };
        let image = engine.image(&reference).await?.map(|image| image.id);
        // Before it is known as brought: else somebody who tidies might take it away.
        if lock(&self.pulling).contains_key(container) {
            self.wants(container, reference, image.as_deref());
        }
        self.note(identity, |record| record.pull_ended(container, image.as_deref())).await;
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

/// Removes what nothing needs, beside everything else. Who asks while another is about to begin has asked enough.
pub(super) fn tidy_beside<E: ContainerEngine>(images: &Arc<Images>, link: &Arc<Link<E>>, names: &Arc<Names>) {
    if images.is_asked.swap(true, Ordering::Relaxed) {
        return;
    }
    let (images, link, names) = (Arc::clone(images), Arc::clone(link), Arc::clone(names));
    tokio::spawn(async move { images.tidy(&link, &names).await });
}

//! The images that our pulls brought: remembered in the state directory before each pull, removed when nothing needs them (ADR 0017).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use manifest_types::kinds::engine::ImageRef;
use tokio::sync::Mutex as AsyncMutex;

use self::record::{Pull, Record};
use super::error::ContainerError;
use crate::{
    engine::{
        Answer, ContainerEngine,
        error::{Cause, EngineError},
        link::{Link, Names},
    },
    error::ReconcileError,
};

mod record;

const FILE: &str = "images.json";

/// What is remembered of images, and what is wanted of them.
#[derive(Debug)]
pub(super) struct Images {
    file: PathBuf,
    /// Read when it is first needed.
    record: AsyncMutex<Option<Record>>,
    /// What the wanted image of each container stands for, by the container's name.
    wanted: Mutex<BTreeMap<String, String>>,
    /// The containers for which an image is being pulled.
    pulling: Mutex<BTreeSet<String>>,
    /// Held by whoever removes images.
    tidying: AsyncMutex<()>,
}

/// A pull under way, until it is dropped.
struct UnderWay<'a>(&'a Images, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.0.pulling).remove(&self.1);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Images {
    /// Those remembered in `state_dir`.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            file: state_dir.join(FILE),
            record: AsyncMutex::default(),
            wanted: Mutex::default(),
            pulling: Mutex::default(),
            tidying: AsyncMutex::default(),
        }
    }

    /// What a container is to be made of stands for this image now.
    pub(super) fn wants(&self, container: &str, image: Option<&str>) {
        match image {
            Some(image) => drop(lock(&self.wanted).insert(container.to_owned(), image.to_owned())),
            None => drop(lock(&self.wanted).remove(container)),
        }
    }

    /// Pulls an image for a container by `pull`, which answers what it stands for then.
    pub(super) async fn pull(
        &self,
        engine: &impl ContainerEngine,
        container: &str,
        image: &ImageRef,
        pull: impl Future<Output = Result<Option<String>, ReconcileError>>,
    ) -> Result<(), ReconcileError> {
        let _under_way = self.under_way(container);
        self.close_pulls(engine, Some(container)).await?;
        let before = engine.images().await?.into_iter().map(|image| image.id).collect();
        let begun = Pull { reference: image.canonical(), before };
        self.change(|record| record.pull_begins(container, begun)).await?;
        let pulled = pull.await;
        let stands_for = pulled.as_ref().ok().and_then(|image| image.as_deref());
        if stands_for.is_some() {
            self.wants(container, stands_for);
        }
        self.change(|record| record.pull_ended(container, stands_for)).await?;
        pulled.map(drop)
    }

    /// A container is as wanted, and made of `image`.
    pub(super) async fn settled(&self, container: &str, former: &[String], image: &str) {
        self.note(|record| record.settled(container, former, image)).await;
    }

    /// Containers are gone, and nobody wants them any more.
    pub(super) async fn forget(&self, containers: &[String]) {
        for container in containers {
            self.wants(container, None);
        }
        self.note(|record| record.forget(containers)).await;
    }

    /// Removes what nothing needs. What cannot be removed now is left for the next time.
    pub(super) async fn tidy(&self, link: &Link<impl ContainerEngine>, names: &Names) {
        if let Err(error) = self.try_tidy(link, names).await {
            let error = error.to_failure().message;
            tracing::warn!(error, "cannot remove images that are no longer needed; it is tried again later");
        }
    }

    async fn try_tidy(&self, link: &Link<impl ContainerEngine>, names: &Names) -> Result<(), ReconcileError> {
        let engine = &link.engine;
        let wanted: BTreeSet<_> = {
            let mut wanted = lock(&self.wanted);
            wanted.retain(|name, _| names.whose(name).is_some());
            wanted.values().cloned().collect()
        };
        if !self.loaded(&mut *self.record.lock().await).await.may_have_leftovers(&wanted) {
            return Ok(());
        }
        let _alone = self.tidying.lock().await;
        self.close_pulls(engine, None).await?;
        let in_use = engine.containers().await?.into_iter().map(|listed| listed.image_id).collect();
        let there = engine.images().await?;
        let leftovers = self.loaded(&mut *self.record.lock().await).await.leftovers(&there, &wanted, &in_use);
        self.change(|record| leftovers.gone.iter().for_each(|image| record.let_go(image))).await?;
        for (image, names) in leftovers.unneeded {
            if remove(engine, &image, &names).await? {
                self.change(|record| record.let_go(&image)).await?;
            }
        }
        Ok(())
    }

    /// Finds out how pulls ended whose step did not live to see it: that of one container, or all that are not under way.
    async fn close_pulls(
        &self,
        engine: &impl ContainerEngine,
        of: Option<&str>,
    ) -> Result<(), ReconcileError> {
        let open = self.loaded(&mut *self.record.lock().await).await.open_pulls();
        for (container, reference) in open {
            let is_asked = match of {
                Some(of) => container == of,
                None => !lock(&self.pulling).contains(&container),
            };
            if is_asked {
                let image = engine.image(&reference).await?.map(|image| image.id);
                self.change(|record| record.pull_ended(&container, image.as_deref())).await?;
            }
        }
        Ok(())
    }

    fn under_way(&self, container: &str) -> UnderWay<'_> {
        lock(&self.pulling).insert(container.to_owned());
        UnderWay(self, container.to_owned())
    }

    /// Changes what is remembered; durable when it returns.
    async fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), ContainerError> {
        let mut kept = self.record.lock().await;
        let record = self.loaded(&mut kept).await;
        let mut changed = record.clone();
        change(&mut changed);
        if changed != *record {
            self.save(&changed).await?;
            *record = changed;
        }
        Ok(())
    }

    /// The same, where losing it costs no more than an image that is kept for too long.
    async fn note(&self, change: impl FnOnce(&mut Record)) {
        if let Err(error) = self.change(change).await {
            tracing::warn!(%error, "images that are no longer needed may be kept");
        }
    }

    async fn loaded<'a>(&self, kept: &'a mut Option<Record>) -> &'a mut Record {
        if kept.is_none() {
            let file = self.file.clone();
            let read = tokio::task::spawn_blocking(move || read(&file)).await;
            *kept = Some(read.unwrap_or_default());
        }
        kept.get_or_insert_default()
    }

    async fn save(&self, record: &Record) -> Result<(), ContainerError> {
        let (file, text) = (self.file.clone(), serde_json::to_vec(record).unwrap_or_default());
        let written = tokio::task::spawn_blocking(move || write(&file, &text)).await;
        let failed = |source| ContainerError::NotRemembered { path: self.file.clone(), source };
        written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

/// Removes an image by all of these names; whether it is no longer ours to remove.
async fn remove(engine: &impl ContainerEngine, image: &str, names: &[String]) -> Answer<bool> {
    for name in names {
        match engine.remove_image(name).await {
            Ok(()) => {}
            Err(EngineError::Refused { cause: Cause::InConflict, message, .. }) => {
                tracing::debug!(image, name, message, "an image that is no longer needed is kept");
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    tracing::info!(image, ?names, "removed an image that is no longer needed");
    Ok(true)
}

/// What is remembered. What cannot be read is not: its images stay for good.
fn read(file: &Path) -> Record {
    let read = fs::read(file).and_then(|text| Ok(serde_json::from_slice(&text)?));
    read.unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            let file = file.display();
            tracing::warn!(%file, %error, "cannot read which images were pulled; those will not be removed");
        }
        Record::default()
    })
}

fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    let beside = file.with_extension("json.new");
    let mut new = File::create(&beside)?;
    new.write_all(text)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Removes what nothing needs, beside everything else.
pub(super) fn tidy_beside<E: ContainerEngine>(images: &Arc<Images>, link: &Arc<Link<E>>, names: &Arc<Names>) {
    let (images, link, names) = (Arc::clone(images), Arc::clone(link), Arc::clone(names));
    tokio::spawn(async move { images.tidy(&link, &names).await });
}

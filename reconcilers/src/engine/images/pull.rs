//! Pulling an image: with credentials, with progress, and not onto a disk that has no room for it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use manifest_types::{
    kinds::{engine::ImageRef, file::AbsolutePath},
    name::ResourceId,
    quantity::Size,
    status::Progress,
};
use nix::sys::statvfs::statvfs;
use tokio::sync::Notify;

use super::{Images, error::ImageError, login};
use crate::{
    engine::{ContainerEngine, error::EngineError, terms::Login},
    error::{Cancelled, ReconcileError},
    reconciler::StepContext,
};

/// An image to be pulled.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The resource whose step it is.
    pub resource: &'a ResourceId,
    /// Who needs it.
    pub user: &'a str,
    /// The image.
    pub image: &'a ImageRef,
    /// The file with the credentials.
    pub credentials: Option<&'a AbsolutePath>,
    /// Whether one of that name is there already, which will do where this one cannot be pulled.
    pub is_there: bool,
}

impl<E: ContainerEngine> Images<E> {
    /// Pulls an image, when it is its turn. Where there is no room for it, what containers were made of before gives way.
    pub(crate) async fn pull(&self, cx: &StepContext, wanted: &Wanted<'_>) -> Result<(), ReconcileError> {
        match self.try_pull(cx, wanted).await {
            Err(error) if error.reason() == "InsufficientStorage" && self.give_up_previous().await => {
                tracing::info!(resource = %wanted.resource, "there is no room: the images of before are given up");
                self.try_pull(cx, wanted).await
            }
            pulled => pulled,
        }
    }

    async fn try_pull(&self, cx: &StepContext, wanted: &Wanted<'_>) -> Result<(), ReconcileError> {
        let Wanted { resource, user, image, is_there, .. } = *wanted;
        let will_do = |error: &dyn fmt::Display| {
            tracing::warn!(%resource, %image, %error, "cannot pull; the image that is there will do");
        };
        let login = match self.login(wanted).await {
            Err(error) if is_there => {
                will_do(&error.to_failure().message);
                return Ok(());
            }
            login => login?,
        };
        let _turn = cx.turn(resource, &self.turns, &format!("pulling {image}")).await?;
        if self.may_make_room(user).await {
            self.make_room().await;
        }
        let under_way = match self.pulls(user, image).await {
            Err(error) if is_there => {
                will_do(&error.to_failure().message);
                return Ok(());
            }
            under_way => under_way?,
        };
        let free = self.free_space().await;
        let (too_large, needs) = (Notify::new(), Mutex::new(0_u64));
        let tell = |progress: Progress| {
            if let (Some(total), Some(free)) = (progress.total, free)
                && total > free
            {
                *needs.lock().unwrap_or_else(PoisonError::into_inner) = total;
                too_large.notify_one();
            }
            cx.progress(resource, progress);
        };
        let pulled = tokio::select! {
            pulled = self.link.engine.pull(image, login.as_ref(), &tell) => pulled,
            () = cx.cancelled() => return Err(Cancelled.into()),
            () = too_large.notified() => {
                let needs = Size(*needs.lock().unwrap_or_else(PoisonError::into_inner));
                let free = Size(free.unwrap_or_default());
                return Err(ImageError::NoRoom { image: image.to_string(), needs, free }.into());
            }
        };
        match pulled {
            Ok(()) => self.pulled(under_way).await,
            Err(error) if error.is_away() => return Err(error.into()),
            // Neither a refusal nor a pull that stalls is a reason not to use what is there.
            Err(error) => {
                if matches!(error, EngineError::Refused { .. }) {
                    self.not_pulled(under_way).await;
                }
                if !is_there {
                    return Err(error.into());
                }
                will_do(&error);
            }
        }
        Ok(())
    }

    async fn login(&self, wanted: &Wanted<'_>) -> Result<Option<Login>, ReconcileError> {
        let Some(path) = wanted.credentials else { return Ok(None) };
        let file: PathBuf = self.root.join(path.as_str().trim_start_matches('/'));
        let image = wanted.image.clone();
        let read = tokio::task::spawn_blocking(move || login::login(&file, &image)).await;
        Ok(read.map_err(|_| Cancelled)??)
    }

    /// The bytes that are free where the engine keeps its images, if that is on this device.
    async fn free_space(&self) -> Option<u64> {
        let folder = self.link.info()?.data_dir?;
        let free = move || {
            let stat = statvfs(folder.as_str()).ok()?;
            Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
        };
        tokio::task::spawn_blocking(free).await.ok().flatten()
    }
}

//! Pulling an image: with credentials, with progress, and not onto a disk that has no room for it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use manifest_types::{kinds::container::ContainerSpec, quantity::Size, status::Progress};
use nix::sys::statvfs::statvfs;
use tokio::sync::Notify;

use super::{ContainerReconciler, error::ContainerError, login, scene::Scene};
use crate::{
    engine::{ContainerEngine, error::EngineError, terms::Login},
    error::ReconcileError,
    reconciler::{Put, StepContext},
};

impl<E: ContainerEngine> ContainerReconciler<E> {
    /// Pulls the image. Where one of that name is there already, it will do.
    pub(super) async fn pull(
        &self,
        cx: &StepContext,
        put: &Put<'_, ContainerSpec>,
        scene: &Scene,
    ) -> Result<(), ReconcileError> {
        let (image, is_there) = (&put.spec.image, scene.image_id.is_some());
        let will_do = |error: &dyn fmt::Display| {
            tracing::warn!(resource = %put.id, %image, %error, "cannot pull; the image that is there will do");
        };
        let login = match self.login(put.spec).await {
            Err(error) if is_there => {
                will_do(&error.to_failure().message);
                return Ok(());
            }
            login => login?,
        };
        let _turn = cx.turn(put.id, &self.pulls, &format!("pulling {image}")).await?;
        self.images.make_room(&self.link, &self.names).await;
        let under_way = match self.images.pulls(&self.link, &scene.name, image).await {
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
            cx.progress(put.id, progress);
        };
        let pulled = tokio::select! {
            pulled = self.link.engine.pull(image, login.as_ref(), &tell) => pulled,
            () = cx.cancelled() => return Err(crate::error::Cancelled.into()),
            () = too_large.notified() => {
                let needs = Size(*needs.lock().unwrap_or_else(PoisonError::into_inner));
                let free = Size(free.unwrap_or_default());
                return Err(ContainerError::NoRoom { image: image.to_string(), needs, free }.into());
            }
        };
        match pulled {
            Ok(()) => self.images.pulled(under_way, &self.link.engine).await,
            Err(error) if error.is_away() => return Err(error.into()),
            // Neither a refusal nor a pull that stalls is a reason not to use what is there.
            Err(error) => {
                if matches!(error, EngineError::Refused { .. }) {
                    self.images.not_pulled(under_way).await;
                }
                if !is_there {
                    return Err(error.into());
                }
                will_do(&error);
            }
        }
        Ok(())
    }

    async fn login(&self, spec: &ContainerSpec) -> Result<Option<Login>, ReconcileError> {
        let Some(path) = &spec.registry_credentials else { return Ok(None) };
        let file: PathBuf = self.root.join(path.as_str().trim_start_matches('/'));
        let image = spec.image.clone();
        let read = tokio::task::spawn_blocking(move || login::login(&file, &image)).await;
        Ok(read.map_err(|_| crate::error::Cancelled)??)
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

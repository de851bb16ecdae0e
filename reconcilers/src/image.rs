//! `Image`: an image of the container engine. It is there, or it is pulled; so that what needs it can be changed without waiting for a registry.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use manifest_types::{kinds::image::ImageSpec, name::ResourceId, status::Capability};

use self::sight::Sight;
use crate::{
    engine::{
        ContainerEngine,
        error::EngineError,
        images::{Images, Wanted, of_resource},
        link::{Link, Whose},
        terms::Subject,
    },
    error::{ReconcileError, Unseen},
    reconciler::{Hint, Outcome, Put, Reconciler, Sights, StepContext, Take, Target},
};

#[cfg(any(test, feature = "testing"))]
pub mod fixture;
pub mod sight;

/// The reconciler of kind `Image`.
#[derive(Debug)]
pub struct ImageReconciler<E> {
    link: Arc<Link<E>>,
    images: Arc<Images<E>>,
}

impl<E: ContainerEngine> ImageReconciler<E> {
    /// A reconciler that works in the engine at the end of `link`, and shares `images` with others who do.
    pub fn new(link: Arc<Link<E>>, images: Arc<Images<E>>) -> Self {
        Self { link, images }
    }

    /// What an image's reference stands for.
    async fn look(&self, spec: &ImageSpec) -> Result<Sight, EngineError> {
        let reference = spec.image.canonical();
        let found = self.link.engine.image(&reference).await?;
        Ok(Sight { reference, image_id: found.map(|image| image.id) })
    }

    /// From now on it is needed, whether it is there or not.
    fn needs(&self, id: &ResourceId, sight: &Sight) {
        self.images.needs(&of_resource(id), sight.reference.clone(), sight.image_id.as_deref());
    }
}

impl<E: ContainerEngine> Reconciler for ImageReconciler<E> {
    type Spec = ImageSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, ImageSpec>]) -> Result<Sights<Sight>, Unseen> {
        self.link.open().await?;
        let listed = self.link.engine.images().await?;
        let (mut sights, mut held) = (Sights::new(), Vec::new());
        for target in targets {
            let Some(spec) = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec)) else {
                continue;
            };
            let sight = match Sight::among(&listed, spec) {
                Some(sight) => Ok(sight),
                // A list has not every name that an engine knows one by.
                None => self.look(spec).await,
            };
            match sight {
                Ok(sight) => {
                    if target.wanted.is_some() {
                        self.needs(target.id, &sight);
                    }
                    // Nobody makes a step for an image that is there already.
                    if let (Some(_), Some(image)) = (target.wanted, &sight.image_id) {
                        held.push((of_resource(target.id), image.clone()));
                    }
                    sights.insert(target.id.clone(), Ok(sight));
                }
                Err(error) if error.is_away() => return Err(error.into()),
                Err(error) => drop(sights.insert(target.id.clone(), Err(error.into()))),
            }
        }
        self.images.hold(&held).await;
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, ImageSpec>) -> Outcome<Sight> {
        cx.check()?;
        let user = of_resource(put.id);
        let mut sight = self.look(put.spec).await?;
        self.needs(put.id, &sight);
        if sight.image_id.is_none() {
            let wanted = Wanted {
                resource: put.id,
                user: &user,
                image: &put.spec.image,
                credentials: put.spec.registry_credentials.as_ref(),
                is_there: false,
            };
            self.images.pull(cx, &wanted).await?;
            sight = self.look(put.spec).await?;
            self.needs(put.id, &sight);
        }
        if let Some(image) = sight.image_id.clone() {
            self.images.hold(&[(user.clone(), image)]).await;
        }
        self.images.make_room_after(cx, &user).await;
        Ok(Some(sight))
    }

    async fn delete(&self, cx: &StepContext, take: &Take<'_, ImageSpec>) -> Result<(), ReconcileError> {
        cx.check()?;
        let user = of_resource(take.id);
        self.images.forget(std::slice::from_ref(&user)).await;
        self.images.make_room_after(cx, &user).await;
        Ok(())
    }

    async fn find_capability(&self) -> Result<Option<(&'static str, Capability)>, Unseen> {
        self.link.open().await?;
        Ok(self.capability())
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Some(("containerEngine", self.link.capability()?))
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        self.link.hints(|subject| match subject {
            Subject::Image => Some(Whose::Kind),
            Subject::Container { .. } | Subject::Network { .. } | Subject::Volume(_) => None,
        })
    }
}

#[cfg(test)]
mod tests;

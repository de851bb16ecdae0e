//! `Volume`: a container engine's volume. It is made and removed, and never changed: engines cannot.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use manifest_types::{
    claim::Claim,
    kinds::{
        engine::EngineName,
        volume::{OnDelete, VolumeSpec},
    },
    name::{AgentId, ResourceId},
    status::Capability,
};

use self::sight::Sight;
use crate::{
    engine::{
        ContainerEngine,
        error::{Cause, EngineError},
        held,
        link::{Link, Names, Whose},
        marks,
        shape::Shape,
        terms::{Subject, Volume},
    },
    error::{Fault, ReconcileError, Unseen},
    observation::{Before, Observed},
    reconciler::{Hint, Outcome, Owned, Put, Reconciler, Sights, StepContext, Take, Target},
};

#[cfg(any(test, feature = "testing"))]
pub mod fixture;
pub mod sight;

/// The reconciler of kind `Volume`.
#[derive(Debug)]
pub struct VolumeReconciler<E> {
    link: Arc<Link<E>>,
    names: Arc<Names>,
}

/// A volume that cannot be brought to its spec, or not be taken away.
#[derive(Debug, thiserror::Error)]
enum VolumeError {
    /// Somebody else made one of that name.
    #[error(
        "a volume {name} is there that is not this agent's, and it is not as the spec wants it; it is left alone. Remove it with what is in it, or give the spec another name"
    )]
    Foreign {
        /// Its name.
        name: String,
    },
    /// Ours was made in another way.
    #[error(
        "volume {name} was made with another {field}, and no engine changes that: give the spec another name, or remove the volume with all that is in it"
    )]
    Unchangeable {
        /// Its name.
        name: String,
        /// What differs.
        field: String,
    },
}

impl Fault for VolumeError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "Conflict",
            Self::Unchangeable { .. } => "VolumeDiffers",
        }
    }

    fn can_retry(&self) -> bool {
        // Somebody may remove it.
        true
    }
}

impl<E: ContainerEngine> VolumeReconciler<E> {
    /// A reconciler that works in the engine at the end of `link`.
    pub fn new(link: Arc<Link<E>>) -> Self {
        Self { link, names: Arc::default() }
    }

    async fn find(&self, name: &str) -> Result<Option<Volume>, EngineError> {
        let all = self.link.engine.volumes().await?;
        Ok(all.into_iter().find(|volume| volume.name == name))
    }

    /// Takes away what is ours and was made to be taken away.
    async fn give_back(&self, name: &str, owned: Owned<'_, VolumeSpec>) -> Result<(), EngineError> {
        let before = owned.held.get(&Claim::Volume(name.to_owned()));
        let is_to_go = owned.spec.on_delete == OnDelete::Remove && before == Some(&Before::Absent);
        let found = self.find(name).await?;
        let take_over = owned.spec.take_over.as_ref();
        if found.is_some_and(|volume| is_to_go && marks::belongs(&self.link.agent, take_over, &volume.labels))
        {
            self.link.engine.remove_volume(name).await?;
        }
        Ok(())
    }
}

/// The name that a resource has in the engine.
fn name_of(spec: &VolumeSpec, id: &ResourceId) -> String {
    EngineName::of(spec.name.as_ref(), id)
}

fn sight(agent: &AgentId, spec: &VolumeSpec, name: String, found: Option<&Volume>) -> Sight {
    Sight {
        is_ours: found.is_some_and(|volume| marks::belongs(agent, spec.take_over.as_ref(), &volume.labels)),
        name,
        found: found.cloned(),
    }
}

impl<E: ContainerEngine> Reconciler for VolumeReconciler<E> {
    type Spec = VolumeSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, VolumeSpec>]) -> Result<Sights<Sight>, Unseen> {
        self.link.open().await?;
        let all = self.link.engine.volumes().await?;
        let mut sights = Sights::new();
        for target in targets {
            let Some(spec) = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec)) else {
                continue;
            };
            let name = name_of(spec, target.id);
            self.names.set(target.id, target.owned.is_some().then(|| name.clone()));
            let found = all.iter().find(|volume| volume.name == name);
            sights.insert(target.id.clone(), Ok(sight(&self.link.agent, spec, name, found)));
        }
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, VolumeSpec>) -> Outcome<Sight> {
        cx.check()?;
        let name = name_of(put.spec, put.id);
        let found = self.find(&name).await?;
        let seen = sight(&self.link.agent, put.spec, name.clone(), found.as_ref());
        match (&found, seen.drift(put.spec).first()) {
            (Some(_), None) => {}
            (Some(_), Some(_)) if !seen.is_ours => return Err(VolumeError::Foreign { name }.into()),
            (Some(_), Some(difference)) => {
                let field = difference.path.clone();
                return Err(VolumeError::Unchangeable { name, field }.into());
            }
            (None, _) => {
                cx.check()?;
                let wanted = Shape::wanted_volume(put.spec);
                let marks = marks::marks(&self.link.agent, put.id, put.digest, &wanted);
                self.link.engine.create_volume(&name, put.spec, &marks).await?;
            }
        }
        for former in held(put.owned).iter().filter(|former| **former != name) {
            match self.give_back(former, put.owned).await {
                // Whoever uses it waits for the new one, perhaps.
                Err(error) if error.cause() == Some(Cause::InConflict) => {
                    tracing::warn!(resource = %put.id, volume = former, "the former volume is in use; it is left as it is");
                }
                outcome => outcome?,
            }
        }
        Ok(None)
    }

    async fn delete(&self, cx: &StepContext, take: &Take<'_, VolumeSpec>) -> Result<(), ReconcileError> {
        cx.check()?;
        for name in held(take.owned) {
            self.give_back(&name, take.owned).await?;
        }
        self.names.set(take.id, None);
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
        let names = Arc::clone(&self.names);
        self.link.hints(move |subject| match subject {
            Subject::Volume(name) => names.whose(name).map(Whose::Resource),
            Subject::Container { .. } | Subject::Image | Subject::Network { .. } => None,
        })
    }
}

#[cfg(test)]
mod tests;

//! What it means that a move has failed. Pure.

use manifest_types::kinds::container::{ContainerSpec, PullPolicy};

use super::super::{
    error::ContainerError,
    scene::{Memory, Move, Scene},
};
use crate::{
    engine::error::{Cause, EngineError},
    error::ReconcileError,
};

/// Whether what a move needs is no longer there, or is on its way out: then it is looked at again.
pub(super) fn has_gone(next: &Move, error: &EngineError, spec: &ContainerSpec) -> bool {
    match next {
        Move::Pull => false,
        Move::Create(_) => {
            error.cause() == Some(Cause::ImageNotFound) && spec.pull_policy != PullPolicy::Never
        }
        _ => matches!(error.cause(), Some(Cause::NotFound | Cause::Leaving)),
    }
}

/// The container by its id that an engine says has the name already.
pub(super) fn holder<'e>(next: &Move, error: &'e EngineError) -> Option<&'e str> {
    let EngineError::Refused { cause: Cause::InConflict, message, .. } = error else { return None };
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut words = message.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.find(is_id).filter(|_| matches!(next, Move::Create(_)))
}

/// What a move that failed means: of a candidate, that it is not well; of anything else, that the step ends here.
pub(super) fn failed(
    scene: &Scene,
    spec: &ContainerSpec,
    next: &Move,
    error: EngineError,
    memory: &mut Memory,
) -> Result<(), ReconcileError> {
    let is_candidate = |id: &String| {
        let next = scene.next.as_ref().is_some_and(|next| next.container.id == *id);
        next || (scene.prior.is_some() && scene.main.as_ref().is_some_and(|main| main.container.id == *id))
    };
    match next {
        Move::Start(id) if is_candidate(id) && memory.failed.is_none() && error.cause().is_some() => {
            memory.failed = Some((id.clone(), error.to_string()));
            memory.hindered = Some(error).filter(|error| !is_its_own_fault(error));
            Ok(())
        }
        // The old one was not touched yet.
        Move::Create(_) if scene.main.is_some() && error.cause() == Some(Cause::Invalid) => {
            Err(given_up(scene, spec, error.to_string()).into())
        }
        _ => Err(error.into()),
    }
}

/// Whether that a candidate cannot be started says something of its spec, and not only of what the device is like at this moment.
fn is_its_own_fault(error: &EngineError) -> bool {
    !matches!(
        error.cause(),
        Some(
            Cause::InsufficientStorage
                | Cause::NoAddresses
                | Cause::InConflict
                | Cause::Leaving
                | Cause::NotFound,
        )
    )
}

pub(super) fn given_up(scene: &Scene, spec: &ContainerSpec, why: String) -> ContainerError {
    let old = scene.main.as_ref().map_or("nothing", |main| main.container.image.as_str()).to_owned();
    ContainerError::RolledBack { old, new: spec.image.to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_name_is_told_by_the_engine() {
        let id = "dc498988760c3383e71443f77521917a0cbacebed5d4dc7823503d0541685725";
        let refused = |cause| EngineError::Refused {
            doing: "create web".into(),
            cause,
            message: format!(
                "the container name \"web\" is already in use by {id}. You have to remove that container"
            ),
        };
        let create = Move::Create("web".into());
        assert_eq!(holder(&create, &refused(Cause::InConflict)), Some(id));
        assert_eq!(holder(&create, &refused(Cause::Other)), None);
        assert_eq!(holder(&Move::Remove("web".into()), &refused(Cause::InConflict)), None);
    }
}

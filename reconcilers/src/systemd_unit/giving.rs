//! Giving a unit back: file, links and activity are as they were before us.

use std::time::Duration;

use manifest_types::{claim::Claim, kinds::systemd_unit::SystemdUnitSpec, name::ResourceId};

use super::{
    SystemdUnitReconciler,
    error::UnitError,
    init::{Enablement, InitSystem, Job, Unit},
    past::{Was, key},
    protect,
    side::{FilePast, Side},
    sight::{is_enabled, is_masked},
    step::on_change,
};
use crate::reconciler::{Owned, StepContext, Take};

/// Starting and stopping take no longer, unless the unit itself says so.
const TAKES: Duration = Duration::from_secs(5 * 60);

impl<M: InitSystem> SystemdUnitReconciler<M> {
    pub(super) async fn take(
        &self,
        cx: &StepContext,
        take: &Take<'_, SystemdUnitSpec>,
    ) -> Result<(), UnitError> {
        cx.check()?;
        self.give_back(cx, take.id, take.owned).await
    }

    /// Gives back what is held of the unit of a spec that was applied or begun.
    pub(super) async fn give_back(
        &self,
        cx: &StepContext,
        id: &ResourceId,
        owned: Owned<'_, SystemdUnitSpec>,
    ) -> Result<(), UnitError> {
        let spec = owned.spec;
        let (side, name) = (self.side(spec.scope)?, spec.name.as_str());
        side.open().await?;
        let key = key(spec.scope, name);
        let footing = (self.footing)();
        // Without a record nothing was changed, or all of it was given back already; the files have records of their own.
        let past = self.pasts.record(&key).await?;
        if let Some(past) = &past
            && past.was.is_none()
            && !spec.name.is_template()
        {
            let is_up = side.unit(name).await?.active.is_up();
            if let Some(what) = protect::footing_of(name, is_up, &footing).filter(|_| is_up) {
                let why = "it is stopped with what it came with, and that is in use";
                return Err(UnitError::Protected { unit: name.to_owned(), what, why });
            }
            side.end(cx, name).await?;
        }
        let unit = if past.is_some() { side.unit(name).await? } else { Unit::default() };
        let stands_on = protect::footing_of(name, unit.active.is_up(), &footing);
        if past.as_ref().is_some_and(|past| past.was.is_none()) && is_enabled(&unit.file_state) == Some(true)
        {
            side.init.enable(name, Enablement::Disable).await?;
        }
        self.give_files_back(cx, side, id, owned).await?;
        if let Some(past) = past {
            side.reloads.reload(&side.init).await?;
            if let Some(was) = past.was {
                side.restore_links(spec, was, stands_on.is_some()).await?;
                let unit = side.unit(name).await?;
                if let Some(job) = job_back(spec, was, &unit).filter(|_| stands_on.is_none()) {
                    match side.run(cx, job, name, TAKES).await {
                        // systemd does not start it now, as it would not without us.
                        Err(UnitError::ConditionNotMet(_)) => {}
                        ended => ended?,
                    }
                }
            }
            self.pasts.change(&key, |record| *record = None).await?;
        }
        side.known.watch(name, None);
        Ok(())
    }

    async fn give_files_back(
        &self,
        cx: &StepContext,
        side: &Side<M>,
        id: &ResourceId,
        owned: Owned<'_, SystemdUnitSpec>,
    ) -> Result<(), UnitError> {
        let mark = self.mark();
        let applied = side.files_of(&mark, owned.spec);
        // What was begun of another unit is that one's own matter.
        let attempted =
            owned.attempted.filter(|spec| spec.name == owned.spec.name && spec.scope == owned.spec.scope);
        let attempted = attempted.map(|spec| side.files_of(&mark, spec)).unwrap_or_default();
        let only_begun =
            attempted.iter().filter(|file| !applied.iter().any(|own| own.spec.path == file.spec.path));
        for file in applied.iter().chain(only_begun) {
            let begun = attempted.iter().find(|begun| begun.spec.path == file.spec.path);
            let before = owned.held.get(&Claim::Path(file.spec.path.as_str().to_owned())).copied();
            let past =
                FilePast { applied: Some(&file.spec), attempted: begun.map(|begun| &begun.spec), before };
            side.take_file(cx, id, &file.spec, &past).await?;
        }
        side.give_room_back(cx, id, owned.spec.name.as_str()).await
    }
}

impl<M: InitSystem> Side<M> {
    /// Stops a unit that was not there before us, and forgets how it ended.
    async fn end(&self, cx: &StepContext, name: &str) -> Result<(), UnitError> {
        let unit = self.unit(name).await?;
        if unit.active.is_up() {
            self.run(cx, Job::Stop, name, TAKES).await?;
        }
        if unit.is_there() {
            self.init.reset_failed(name).await?;
        }
        Ok(())
    }

    /// `stands_on_it`: whether the agent does, so that it is not masked.
    async fn restore_links(
        &self,
        spec: &SystemdUnitSpec,
        was: Was,
        stands_on_it: bool,
    ) -> Result<(), UnitError> {
        let name = spec.name.as_str();
        let unit = self.unit(name).await?;
        let mut has_changed = false;
        if is_masked(&unit) != was.masked && !(was.masked && stands_on_it) {
            self.init.mask(name, was.masked).await?;
            has_changed = true;
        }
        let is = is_enabled(&unit.file_state);
        // The links may be those that our text asked for.
        let change = match (was.enabled.filter(|_| !was.masked), is) {
            (Some(true), Some(true)) if spec.content.is_some() => Some(Enablement::Reenable),
            (None, _) | (Some(true), Some(true)) | (Some(false), Some(false)) => None,
            (Some(true), _) => Some(Enablement::Enable),
            (Some(false), _) => Some(Enablement::Disable),
        };
        if let Some(change) = change {
            self.init.enable(name, change).await?;
            has_changed = true;
        }
        if has_changed {
            self.reloads.reload(&self.init).await?;
        }
        Ok(())
    }
}

/// What is done with a unit, once its files and links are as they were, so that its activity is, too. What runs by a text of ours goes on with its own as it was asked to for any change.
fn job_back(spec: &SystemdUnitSpec, was: Was, unit: &Unit) -> Option<Job> {
    let had_text = spec.content.is_some() || !spec.drop_ins.is_empty();
    match (was.active, unit.active.is_up()) {
        _ if spec.name.is_template() => None,
        (true, false) if !unit.is_complete() => Some(Job::Start),
        (true, true) if had_text => on_change(spec.on_change),
        (false, true) => Some(Job::Stop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use manifest_types::kinds::systemd_unit::LoadState;
    use serde_json::json;

    use super::*;
    use crate::systemd_unit::init::Active;

    #[test]
    fn activity_comes_back_as_it_was_and_no_further_than_it_was_asked_for() {
        let unit = |active| Unit { load_state: LoadState::Loaded, active, ..Unit::default() };
        let text = "[Service]\nExecStart=/bin/true\n";
        for (more, was_active, now, then) in [
            (json!({ "content": text }), true, Active::Active, Some(Job::TryRestart)),
            (json!({ "content": text, "onChange": "Reload" }), true, Active::Active, Some(Job::Reload)),
            (json!({ "content": text, "onChange": "None" }), true, Active::Active, None),
            (json!({}), true, Active::Active, None),
            (json!({}), true, Active::Inactive, Some(Job::Start)),
            (json!({}), false, Active::Active, Some(Job::Stop)),
            (json!({ "name": "a@.service" }), false, Active::Active, None),
        ] {
            let mut spec = json!({ "name": "a.service" });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let spec = serde_json::from_value(spec).unwrap();
            let was = Was { enabled: None, masked: false, active: was_active };
            assert_eq!(job_back(&spec, was, &unit(now)), then, "{more} {was_active} {now:?}");
        }
    }
}

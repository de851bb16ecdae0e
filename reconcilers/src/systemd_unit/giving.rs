//! Giving a unit back: file, links and activity are as they were before us.

use std::time::Duration;

use manifest_types::{claim::Claim, kinds::systemd_unit::SystemdUnitSpec, name::ResourceId};

use super::{
    SystemdUnitReconciler,
    error::UnitError,
    init::{Enablement, InitSystem, Job, Unit},
    past::{Was, key},
    side::{FilePast, Side},
    sight::{is_enabled, is_masked},
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
        // Without a record nothing was changed, or all of it was given back already; the files have records of their own.
        let past = self.pasts.record(&key).await?;
        if let Some(past) = &past
            && past.was.is_none()
            && !spec.name.is_template()
        {
            side.end(cx, name).await?;
        }
        let unit = if past.is_some() { side.unit(name).await? } else { Unit::default() };
        if past.as_ref().is_some_and(|past| past.was.is_none()) && is_enabled(&unit.file_state) == Some(true)
        {
            side.init.enable(name, Enablement::Disable).await?;
        }
        self.give_files_back(cx, side, id, owned).await?;
        if let Some(past) = past {
            side.reloads.reload(&side.init).await?;
            if let Some(was) = past.was {
                let has_text = spec.content.is_some() || !spec.drop_ins.is_empty();
                side.restore_links(name, was).await?;
                if !spec.name.is_template() {
                    side.restore_activity(cx, name, was, has_text).await?;
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
        let mark = self.mark(id);
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

    async fn restore_links(&self, name: &str, was: Was) -> Result<(), UnitError> {
        let unit = self.unit(name).await?;
        let mut has_changed = false;
        if is_masked(&unit) != was.masked {
            self.init.mask(name, was.masked).await?;
            has_changed = true;
        }
        let is = is_enabled(&unit.file_state);
        if let Some(enabled) = was.enabled.filter(|enabled| !was.masked && is != Some(*enabled)) {
            let change = if enabled { Enablement::Enable } else { Enablement::Disable };
            self.init.enable(name, change).await?;
            has_changed = true;
        }
        if has_changed {
            self.reloads.reload(&self.init).await?;
        }
        Ok(())
    }

    /// `had_text`: whether what runs may run by a text that was ours.
    async fn restore_activity(
        &self,
        cx: &StepContext,
        name: &str,
        was: Was,
        had_text: bool,
    ) -> Result<(), UnitError> {
        let unit = self.unit(name).await?;
        match (was.active, unit.active.is_up()) {
            (true, false) if !unit.is_complete() => self.run(cx, Job::Start, name, TAKES).await,
            (true, true) if had_text => self.run(cx, Job::TryRestart, name, TAKES).await,
            (false, true) => self.run(cx, Job::Stop, name, TAKES).await,
            _ => Ok(()),
        }
    }
}

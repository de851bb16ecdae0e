//! Bringing a unit to its spec: files, a reload, links, activity.

use std::time::Duration;

use manifest_types::kinds::systemd_unit::{ActiveState, LoadState, OnChange, SystemdUnitSpec};

use super::{
    Aim, SystemdUnitReconciler,
    error::UnitError,
    init::{Active, Enablement, InitSystem, Job, JobEnd, Unit},
    past::{Past, key},
    protect,
    side::{FilePast, Side},
    sight::{Sight, is_enabled, is_masked},
    text::UnitFile,
};
use crate::{
    observation::{Before, Observed},
    reconciler::{Put, StepContext},
};

/// Stopping takes no longer, unless the unit itself says so.
const STOPPING: Duration = Duration::from_secs(5 * 60);

/// What a step is about.
pub(super) struct Scene<'a, M> {
    pub(super) side: &'a Side<M>,
    pub(super) cx: &'a StepContext,
    pub(super) put: &'a Put<'a, SystemdUnitSpec>,
    /// What was there when it began.
    pub(super) before: Sight,
}

impl<M: InitSystem> SystemdUnitReconciler<M> {
    pub(super) async fn put(
        &self,
        cx: &StepContext,
        put: &Put<'_, SystemdUnitSpec>,
    ) -> Result<Sight, UnitError> {
        cx.check()?;
        let side = self.side(put.spec.scope)?;
        side.open().await?;
        side.known.watch(put.spec.name.as_str(), Some(put.id));
        let aim =
            Aim { id: put.id, spec: put.spec, wanted: Some(put.spec), owned: Some(put.owned), is_held: true };
        let before = self.see(side, &aim).await?;
        protect::check(put.spec, before.unit.active.is_up(), &(self.footing)())?;
        let id = before.unit.id.as_str();
        if before.unit.is_there() && !id.is_empty() && id != put.spec.name.as_str() {
            return Err(UnitError::Alias { name: put.spec.name.to_string(), id: id.to_owned() });
        }
        if !before.unit.is_there() && put.spec.content.is_none() && put.spec.masked != Some(true) {
            return Err(UnitError::Missing(put.spec.name.to_string()));
        }
        self.give_up_former_name(cx, put).await?;
        if before.drift(put.spec).is_empty() && !put.restart {
            return Ok(before);
        }
        let scene = Scene { side, cx, put, before };
        self.change(&scene).await?;
        self.see(side, &aim).await
    }

    /// A spec that names another unit has given up the former one.
    async fn give_up_former_name(
        &self,
        cx: &StepContext,
        put: &Put<'_, SystemdUnitSpec>,
    ) -> Result<(), UnitError> {
        let former = put.owned.spec;
        if former.name == put.spec.name && former.scope == put.spec.scope {
            return Ok(());
        }
        self.give_back(cx, put.id, put.owned).await
    }

    async fn change(&self, scene: &Scene<'_, M>) -> Result<(), UnitError> {
        let Scene { side, put, before, cx } = scene;
        let (spec, key) = (put.spec, key(put.spec.scope, put.spec.name.as_str()));
        let wanted = side.files_of(&before.mark, spec);
        let to_write: Vec<_> = wanted.iter().filter(|file| !before.unlike(file).is_empty()).collect();
        let changes_text = !to_write.is_empty() || !before.former.is_empty();
        let known = self.pasts.record(&key).await?;
        let is_first = known.is_none();
        let mut past = known.unwrap_or_else(|| scene.past());
        let disrupts = changes_text || put.restart;
        past.is_restart_due |= disrupts && before.unit.active.is_up() && spec.on_change != OnChange::None;
        // A unit that has done its work is done again for what has changed of it.
        past.is_restart_due |= disrupts && before.unit.is_complete() && spec.on_change == OnChange::Restart;
        cx.check()?;
        self.pasts.change(&key, |record| *record = Some(past.clone())).await?;
        scene.write(&to_write).await?;
        if changes_text || before.unit.needs_reload {
            side.reloads.reload(&side.init).await?;
        }
        let unit = side.unit(spec.name.as_str()).await?;
        if let LoadState::BadSetting | LoadState::Error = unit.load_state {
            let message = unit.load_error.unwrap_or_else(|| "it gives no reason".into());
            let rolled_back = scene.take_back(&wanted).await?;
            if is_first {
                self.pasts.change(&key, |record| *record = None).await?;
            }
            return Err(UnitError::BadText { unit: spec.name.to_string(), message, rolled_back });
        }
        let is_text_new = to_write.iter().any(|file| file.field == "content");
        scene.link(&unit, is_text_new).await?;
        scene.activate(past.is_restart_due).await?;
        if past.is_restart_due {
            past.is_restart_due = false;
            self.pasts.change(&key, |record| *record = Some(past)).await?;
        }
        Ok(())
    }
}

impl<M: InitSystem> Scene<'_, M> {
    fn past(&self) -> Past {
        let owned = self.put.owned;
        let before = owned
            .held
            .get(&manifest_types::claim::Claim::Unit(key(self.put.spec.scope, self.put.spec.name.as_str())));
        let before = before.copied().unwrap_or(Before::Original);
        Past::of(before, &self.before.unit, owned.applied.then_some(owned.spec))
    }

    /// What was at the path of a file that is wanted now.
    fn former_files(&self) -> (Vec<UnitFile>, Vec<UnitFile>) {
        let owned = self.put.owned;
        let of = |spec: &SystemdUnitSpec| self.side.files_of(&self.before.mark, spec);
        let applied = if owned.applied { of(owned.spec) } else { Vec::new() };
        (applied, owned.attempted.map(of).unwrap_or_default())
    }

    /// Writes what is to be written, and gives back what is wanted no more.
    async fn write(&self, files: &[&UnitFile]) -> Result<(), UnitError> {
        let Self { side, cx, put, before } = self;
        let (applied, attempted) = self.former_files();
        let find = |all: &[UnitFile], path: &str| {
            all.iter().find(|file| file.spec.path.as_str() == path).map(|file| file.spec.clone())
        };
        let ledger =
            |path: &str| put.owned.held.get(&manifest_types::claim::Claim::Path(path.to_owned())).copied();
        for path in &before.former {
            let (own, begun) = (find(&applied, path), find(&attempted, path));
            let Some(file) = own.as_ref().or(begun.as_ref()) else { continue };
            let past = FilePast { applied: own.as_ref(), attempted: begun.as_ref(), before: ledger(path) };
            side.take_file(cx, put.id, file, &past).await?;
        }
        for file in files {
            if file.field.starts_with("dropIns.") {
                side.make_room(cx, put.id, put.spec.name.as_str()).await?;
            }
            let path = file.spec.path.as_str();
            let (own, begun) = (find(&applied, path), find(&attempted, path));
            let past = FilePast { applied: own.as_ref(), attempted: begun.as_ref(), before: ledger(path) };
            side.put_file(cx, put.id, &file.spec, &past).await?;
        }
        if put.spec.drop_ins.is_empty() && before.former.iter().any(|path| path.contains(".d/")) {
            side.give_room_back(cx, put.id, put.spec.name.as_str()).await?;
        }
        Ok(())
    }

    /// systemd refuses the new text: the former one comes back, or, where there was none, ours goes. Whether a former one is back.
    async fn take_back(&self, written: &[UnitFile]) -> Result<bool, UnitError> {
        let Self { side, cx, put, .. } = self;
        let (applied, _) = self.former_files();
        let has_former =
            applied.iter().any(|file| file.field == "content" || file.field.starts_with("dropIns."));
        for file in written {
            let former = applied.iter().find(|former| former.spec.path == file.spec.path);
            let before =
                put.owned.held.get(&manifest_types::claim::Claim::Path(file.spec.path.as_str().to_owned()));
            match former {
                Some(former) => {
                    let past =
                        FilePast { applied: Some(&file.spec), attempted: None, before: before.copied() };
                    side.put_file(cx, put.id, &former.spec, &past).await?;
                }
                None => {
                    let past =
                        FilePast { applied: Some(&file.spec), attempted: None, before: before.copied() };
                    side.take_file(cx, put.id, &file.spec, &past).await?;
                }
            }
        }
        for former in
            applied.iter().filter(|former| !written.iter().any(|file| file.spec.path == former.spec.path))
        {
            if former.field.starts_with("dropIns.") {
                side.make_room(cx, put.id, put.spec.name.as_str()).await?;
            }
            side.put_file(cx, put.id, &former.spec, &FilePast::default()).await?;
        }
        if !has_former {
            side.give_room_back(cx, put.id, put.spec.name.as_str()).await?;
        }
        side.reloads.reload(&side.init).await?;
        Ok(has_former)
    }

    /// Masks, unmasks, enables and disables.
    async fn link(&self, unit: &Unit, is_text_new: bool) -> Result<(), UnitError> {
        let Self { side, put, .. } = self;
        let name = put.spec.name.as_str();
        let mut has_changed = false;
        if put.spec.masked == Some(false) && is_masked(unit) {
            side.init.mask(name, false).await?;
            has_changed = true;
        }
        // It is enabled by way of others only, and never is itself.
        if put.spec.enabled == Some(true) && unit.file_state == "indirect" {
            return Err(UnitError::NotInstallable(name.to_owned()));
        }
        let change = match (put.spec.enabled, is_enabled(&unit.file_state)) {
            (Some(true), Some(true)) if is_text_new => Some(Enablement::Reenable),
            (Some(true), Some(true)) | (None, _) => None,
            (Some(true), _) => Some(Enablement::Enable),
            (Some(false), Some(true)) => Some(Enablement::Disable),
            (Some(false), _) => None,
        };
        if let Some(change) = change {
            if !side.init.enable(name, change).await? {
                return Err(UnitError::NotInstallable(name.to_owned()));
            }
            has_changed = true;
        }
        if has_changed {
            side.reloads.reload(&side.init).await?;
        }
        Ok(())
    }

    /// Starts, stops, restarts.
    async fn activate(&self, is_restart_due: bool) -> Result<(), UnitError> {
        let Self { side, put, cx, .. } = self;
        let spec = put.spec;
        if spec.name.is_template() || (spec.state.is_none() && !is_restart_due) {
            return Ok(());
        }
        let unit = side.unit(spec.name.as_str()).await?;
        let Some(job) = job(spec, &unit, is_restart_due) else { return Ok(()) };
        cx.check()?;
        if job == Job::Start && unit.active == Active::Failed {
            side.init.reset_failed(spec.name.as_str()).await?;
        }
        let limit = if job == Job::Stop { STOPPING } else { spec.wanted_start_timeout() };
        side.run(cx, job, spec.name.as_str(), limit).await
    }
}

/// What makes a unit that runs go on with another text.
pub(super) fn on_change(wanted: OnChange) -> Option<Job> {
    match wanted {
        OnChange::Restart => Some(Job::TryRestart),
        OnChange::Reload => Some(Job::Reload),
        OnChange::ReloadOrRestart => Some(Job::ReloadOrTryRestart),
        OnChange::None => None,
    }
}

/// What is to be done with a unit, if anything.
fn job(spec: &SystemdUnitSpec, unit: &Unit, is_restart_due: bool) -> Option<Job> {
    let is_up = unit.active.is_up();
    match spec.state {
        Some(ActiveState::Inactive) => is_up.then_some(Job::Stop),
        Some(ActiveState::Active) if !is_up && (is_restart_due || !unit.is_complete()) => Some(Job::Start),
        Some(ActiveState::Active) | None if is_restart_due && is_up => on_change(spec.on_change),
        Some(ActiveState::Active) | None => None,
    }
}

impl<M: InitSystem> Side<M> {
    /// Has a job done, and follows it to its end.
    pub(super) async fn run(
        &self,
        cx: &StepContext,
        job: Job,
        unit: &str,
        limit: Duration,
    ) -> Result<(), UnitError> {
        let end = tokio::select! {
            end = self.init.run(job, unit) => end?,
            () = cx.cancelled() => return Err(UnitError::Cancelled),
            () = tokio::time::sleep(limit) => {
                return Err(UnitError::StartTimeout { unit: unit.to_owned(), seconds: limit.as_secs() });
            }
        };
        if end.is_well() {
            return Ok(());
        }
        if end == JobEnd::held_off() {
            return Err(UnitError::ConditionNotMet(unit.to_owned()));
        }
        let after = self.unit(unit).await.unwrap_or_default();
        let (why, printed) = (after.end().unwrap_or_default(), after.printed);
        let doing = match job {
            Job::Start => "starting",
            Job::Stop => "stopping",
            Job::TryRestart => "restarting",
            Job::Reload | Job::ReloadOrTryRestart => "reloading",
        };
        Err(UnitError::Job { doing, unit: unit.to_owned(), result: end.0, why, printed })
    }
}

#[cfg(test)]
mod tests {
    use manifest_types::kinds::systemd_unit::LoadState;
    use serde_json::{Value, json};

    use super::*;
    use crate::systemd_unit::init::Service;

    #[test]
    fn what_is_done_follows_from_what_is_wanted_and_how_it_fares() {
        let spec = |more: Value| {
            let mut spec = json!({ "name": "a.service" });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<SystemdUnitSpec>(spec).unwrap()
        };
        let unit = |active| Unit { load_state: LoadState::Loaded, active, ..Unit::default() };
        let oneshot = Service { of: "oneshot".into(), ..Service::default() };
        let complete = Unit {
            has_run: true,
            result: "success".into(),
            service: Some(oneshot),
            ..unit(Active::Inactive)
        };
        let active = || json!({ "state": "Active" });
        for (wanted, found, is_due, then) in [
            (active(), unit(Active::Inactive), false, Some(Job::Start)),
            (active(), unit(Active::Failed), false, Some(Job::Start)),
            (active(), unit(Active::Active), false, None),
            (active(), unit(Active::Activating), false, None),
            (active(), unit(Active::Active), true, Some(Job::TryRestart)),
            (active(), complete.clone(), false, None),
            (active(), complete, true, Some(Job::Start)),
            (
                json!({ "state": "Active", "onChange": "Reload" }),
                unit(Active::Active),
                true,
                Some(Job::Reload),
            ),
            (
                json!({ "onChange": "ReloadOrRestart" }),
                unit(Active::Active),
                true,
                Some(Job::ReloadOrTryRestart),
            ),
            (json!({}), unit(Active::Active), true, Some(Job::TryRestart)),
            (json!({}), unit(Active::Inactive), true, None),
            (json!({ "state": "Inactive" }), unit(Active::Active), true, Some(Job::Stop)),
            (json!({ "state": "Inactive" }), unit(Active::Failed), false, None),
        ] {
            assert_eq!(job(&spec(wanted.clone()), &found, is_due), then, "{wanted} {found:?}");
        }
    }
}

//! `SystemdUnit`: a unit of systemd.
//!
//! systemd is reached through a narrow seam (`init system`; really, over D-Bus: `dbus`). A unit's files are files as the kind `File` holds them, with a line on top that says
//! whose they are (`text`, `side`). What systemd tells is read when something was heard, and now and then (`known`); how a unit `fare`s follows from it, and why it has failed is in its `journal`. A `step` writes files, has them read (`reloads`: one for all who wait), and
//! brings links and activity about; `giving` takes all that back, to what is remembered of it (`past`). What the agent stands on is not touched (`protect`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use manifest_types::{
    kinds::{
        file::FileSpec,
        systemd_unit::{ActiveState, Scope, SystemdUnitSpec},
    },
    name::{AgentId, ResourceId},
    status::Capability,
};

use self::{
    error::{BusError, UnitError},
    init::{InitSystem, Unit},
    past::{Past, key},
    protect::Footing,
    side::{FileSights, Side},
    sight::{Sight, digest_of},
    text::Mark,
};
use crate::{
    books::Books,
    error::{ObserveError, ReconcileError, Unseen},
    file::FileReconciler,
    host::Host,
    reconciler::{Hint, Outcome, Owned, Put, Reconciler, Sights, StepContext, Take, Target},
};

pub mod dbus;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod fare;
#[cfg(any(test, feature = "testing"))]
pub mod fixture;
mod giving;
pub mod init;
mod journal;
mod known;
mod past;
pub mod protect;
mod reloads;
mod side;
pub mod sight;
mod step;
pub mod text;

/// What is remembered of units.
const BOOK: &str = "units.json";

/// The reconciler of kind `SystemdUnit`.
pub struct SystemdUnitReconciler<M> {
    system: Arc<Side<M>>,
    user: Option<Arc<Side<M>>>,
    footing: Box<dyn Fn() -> Footing + Send + Sync>,
    agent: AgentId,
    pasts: Books<Option<Past>>,
}

impl<M> fmt::Debug for SystemdUnitReconciler<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemdUnitReconciler").field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl<M: InitSystem> SystemdUnitReconciler<M> {
    /// A reconciler that works with the system's init system, and with the agent's own user's where there is one. `footing` says what the agent stands on.
    pub fn new(
        host: &Host,
        system: M,
        user: Option<M>,
        footing: impl Fn() -> Footing + Send + Sync + 'static,
    ) -> Self {
        let services = &host.services;
        let side = |init: M, directory: &str, folder: &str, makes_directory| {
            let state_dir = host.state_dir.join("units").join(folder);
            let files = FileReconciler::new(&Host { root: services.root.clone(), state_dir, ..host.clone() });
            Arc::new(Side::new(init, files, directory.to_owned(), makes_directory))
        };
        let user = user.zip(services.user_units.as_ref());
        Self {
            system: side(system, manifest_types::kinds::systemd_unit::SYSTEM_UNITS, "system", false),
            user: user.map(|(init, directory)| side(init, directory, "user", true)),
            footing: Box::new(footing),
            agent: host.agent_id.clone(),
            pasts: Books::new(&host.state_dir, BOOK),
        }
    }

    fn mark(&self) -> Mark {
        Mark { agent: self.agent.clone() }
    }

    fn side(&self, scope: Scope) -> Result<&Arc<Side<M>>, BusError> {
        match scope {
            Scope::System => Ok(&self.system),
            Scope::User => self.user.as_ref().ok_or_else(|| BusError::Away {
                address: "the user's message bus".into(),
                why: "the agent's user has none: it is where DBUS_SESSION_BUS_ADDRESS says, or in XDG_RUNTIME_DIR".into(),
            }),
        }
    }

    fn sides(&self) -> impl Iterator<Item = &Arc<Side<M>>> {
        std::iter::once(&self.system).chain(&self.user)
    }

    /// What is seen of one unit, from what was read of it.
    async fn sight(
        &self,
        side: &Side<M>,
        aim: &Aim<'_>,
        unit: Unit,
        files: FileSights,
    ) -> Result<Sight, UnitError> {
        let past = self.pasts.record(&key(aim.spec.scope, aim.spec.name.as_str())).await?;
        let mark = self.mark();
        let wanted: BTreeSet<_> = match aim.wanted {
            Some(spec) => side.files_of(&mark, spec).into_iter().map(|file| file.spec.path).collect(),
            None => BTreeSet::new(),
        };
        let ours = aim.held().flat_map(|spec| side.files_of(&mark, spec));
        let is_there = |file: &text::UnitFile| {
            let seen = files.get(file.spec.path.as_str());
            let wrote = file.spec.content.as_ref().map(|content| content.digest());
            seen.is_some_and(|seen| {
                let found = digest_of(&seen.found);
                let is_link = wrote.is_none() && seen.found.file_type() == Some(file.spec.file_type);
                is_link || found.is_some() && found == wrote || seen.is_original_kept
            })
        };
        let former = ours.filter(|file| !wanted.contains(&file.spec.path) && is_there(file));
        let former: BTreeSet<_> = former.map(|file| file.spec.path.as_str().to_owned()).collect();
        let name = aim.spec.name.as_str();
        let today = Timestamp::now();
        if let Some(settles_in) = fare::settles_in(&unit, today).filter(|_| aim.is_held) {
            side.remind(name, settles_in);
        }
        Ok(Sight {
            mark,
            directory: side.directory.clone(),
            files,
            former: if aim.wanted.is_some() { former.into_iter().collect() } else { Vec::new() },
            is_to_run: aim.spec.state == Some(ActiveState::Active),
            kept: Past::kept(past.as_ref()),
            record: side.known.record(name, today),
            unit,
        })
    }

    /// Looks at one unit as it is now.
    async fn see(&self, side: &Side<M>, aim: &Aim<'_>) -> Result<Sight, UnitError> {
        let files = side.look(&aim.files(side, &self.mark())).await;
        let mut files = files.map_err(|unseen| UnitError::Unseen(unseen.message))?;
        let files = match files.remove(aim.id) {
            Some(Ok(files)) => files,
            Some(Err(error)) => return Err(UnitError::Unseen(error.to_failure().message)),
            None => FileSights::new(),
        };
        let unit = side.unit(aim.spec.name.as_str()).await?;
        self.sight(side, aim, unit, files).await
    }

    /// Looks at the units of one init system.
    async fn look(&self, side: &Arc<Side<M>>, aims: &[Aim<'_>]) -> Result<Sights<Sight>, Unseen> {
        side.open().await?;
        for aim in aims {
            side.known.watch(aim.spec.name.as_str(), aim.is_held.then_some(aim.id));
        }
        let names = aims.iter().map(|aim| (aim.spec.name.as_str(), aim.spec.name.is_template()));
        let mut units = side.units(names).await?;
        let targets = aims.iter().flat_map(|aim| aim.files(side, &self.mark()));
        let mut files = side.look(&targets.collect::<Vec<_>>()).await?;
        let mut sights = Sights::new();
        for aim in aims {
            let files = files.remove(aim.id).unwrap_or_else(|| Ok(FileSights::new()));
            let unit = units.remove(aim.spec.name.as_str());
            let sight = match (files, unit) {
                (Err(error), _) => Err(error),
                (Ok(_), Some(Err(error))) => Err(error.into()),
                (Ok(files), unit) => {
                    let unit = unit.and_then(Result::ok).unwrap_or_default();
                    self.sight(side, aim, unit, files).await.map_err(ObserveError::from)
                }
            };
            sights.insert(aim.id.clone(), sight);
        }
        Ok(sights)
    }
}

/// A unit to look at.
struct Aim<'a> {
    id: &'a ResourceId,
    /// The spec that names it.
    spec: &'a SystemdUnitSpec,
    wanted: Option<&'a SystemdUnitSpec>,
    owned: Option<Owned<'a, SystemdUnitSpec>>,
    is_held: bool,
}

impl<'a> Aim<'a> {
    fn of(target: &Target<'a, SystemdUnitSpec>) -> Option<Self> {
        let spec = target.wanted.or(target.owned.as_ref().map(|owned| owned.spec))?;
        Some(Self {
            id: target.id,
            spec,
            wanted: target.wanted,
            owned: target.owned,
            is_held: target.owned.is_some(),
        })
    }

    /// The specs that what is there may come from.
    fn held(&self) -> impl Iterator<Item = &'a SystemdUnitSpec> + use<'a> {
        let owned = self.owned.map(|owned| owned.spec);
        let attempted = self.owned.and_then(|owned| owned.attempted);
        [owned, attempted].into_iter().flatten()
    }

    /// The files to look at: those that are wanted, and those that may be ours.
    fn files<M: InitSystem>(&self, side: &Side<M>, mark: &Mark) -> Vec<(ResourceId, FileSpec)> {
        let specs = self.wanted.into_iter().chain(self.held());
        let all: BTreeMap<_, _> = specs
            .flat_map(|spec| side.files_of(mark, spec))
            .map(|file| (file.spec.path.as_str().to_owned(), file.spec))
            .collect();
        all.into_values().map(|spec| (self.id.clone(), spec)).collect()
    }
}

impl<M: InitSystem> Reconciler for SystemdUnitReconciler<M> {
    type Spec = SystemdUnitSpec;
    type Observed = Sight;

    async fn observe(&self, targets: &[Target<'_, SystemdUnitSpec>]) -> Result<Sights<Sight>, Unseen> {
        let (system, user): (Vec<_>, Vec<_>) =
            targets.iter().filter_map(Aim::of).partition(|aim| aim.spec.scope == Scope::System);
        let mut sights = match system.as_slice() {
            [] => Sights::new(),
            system => self.look(&self.system, system).await?,
        };
        if user.is_empty() {
            return Ok(sights);
        }
        let seen = match self.side(Scope::User) {
            Ok(side) => self.look(side, &user).await,
            Err(error) => Err(error.into()),
        };
        // A user's init system that is away hides its own units only.
        match seen {
            Ok(mut seen) => sights.append(&mut seen),
            Err(away) => {
                let away =
                    |aim: &Aim<'_>| (aim.id.clone(), Err(UnitError::Unseen(away.message.clone()).into()));
                sights.extend(user.iter().map(away));
            }
        }
        Ok(sights)
    }

    async fn reconcile(&self, cx: &StepContext, put: &Put<'_, SystemdUnitSpec>) -> Outcome<Sight> {
        Ok(Some(self.put(cx, put).await?))
    }

    async fn delete(&self, cx: &StepContext, take: &Take<'_, SystemdUnitSpec>) -> Result<(), ReconcileError> {
        Ok(self.take(cx, take).await?)
    }

    async fn find_capability(&self) -> Result<Option<(&'static str, Capability)>, Unseen> {
        self.system.open().await?;
        Ok(self.capability())
    }

    fn capability(&self) -> Option<(&'static str, Capability)> {
        Some(("systemd", self.system.capability()?))
    }

    fn drift_hints(&self) -> BoxStream<'static, Hint> {
        let all = self.sides().map(|side| {
            let heard = Arc::clone(side);
            let events = stream::select(side.init.events(), side.reminders());
            let units = events.filter_map(move |event| {
                let hint = heard.known.hear(&event).map(|whose| whose.map_or(Hint::Kind, Hint::Resource));
                std::future::ready(hint)
            });
            stream::select(units, side.files.drift_hints()).boxed()
        });
        stream::select_all(all).boxed()
    }
}

#[cfg(test)]
mod tests;

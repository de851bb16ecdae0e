//! One init system with the files of its units: what is looked at and changed there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use manifest_types::{
    claim::Claim,
    digest::Digest,
    kinds::{file::FileSpec, systemd_unit::SystemdUnitSpec},
    name::ResourceId,
    status::Capability,
};
use tokio::sync::broadcast;

use super::{
    error::{BusError, UnitError},
    init::{Answer, InitSystem, Unit, UnitEvent},
    known::Known,
    reloads::Reloads,
    text::{Mark, UnitFile, drop_in_directory, files},
};
use crate::{
    error::{ObserveError, Unseen},
    file::{
        FileReconciler,
        sight::{Found, Sight as FileSight},
    },
    observation::Before,
    reconciler::{Owned, Put, Reconciler, StepContext, Take, Target},
};

/// So many units are asked about at once.
const AT_ONCE: usize = 16;
/// So many reminders are kept for whoever is slow to hear them.
const KEPT: usize = 1024;
/// A reminder comes so long after its time, so that it does not come before.
const MARGIN: Duration = Duration::from_millis(100);

/// One init system.
pub(super) struct Side<M> {
    pub(super) init: M,
    pub(super) known: Known,
    pub(super) reloads: Reloads,
    pub(super) files: FileReconciler,
    /// Where its units are.
    pub(super) directory: String,
    /// Whether that directory is made where it is missing.
    pub(super) makes_directory: bool,
    version: Mutex<Option<String>>,
    /// Units that are to be looked at again though nothing happens to them.
    reminders: broadcast::Sender<UnitEvent>,
}

/// What was seen at each path.
pub(super) type FileSights = BTreeMap<String, FileSight>;

impl<M: InitSystem> Side<M> {
    pub(super) fn new(init: M, files: FileReconciler, directory: String, makes_directory: bool) -> Self {
        let (reminders, _) = broadcast::channel(KEPT);
        Self {
            init,
            known: Known::default(),
            reloads: Reloads::default(),
            files,
            directory,
            makes_directory,
            version: Mutex::default(),
            reminders,
        }
    }

    /// Connects, unless that is so already.
    pub(super) async fn open(&self) -> Answer<()> {
        let opened = self.init.open().await;
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = opened.as_ref().ok().cloned();
        opened.map(drop)
    }

    /// What it is, while it is there.
    pub(super) fn capability(&self) -> Option<Capability> {
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Capability { name: "systemd".into(), version, api_version: None })
    }

    /// What systemd tells of some units: one list, and for those of which that is not enough, each one's own word.
    pub(super) async fn units<'n>(
        &self,
        names: impl Iterator<Item = (&'n str, bool)>,
    ) -> Answer<BTreeMap<String, Result<Unit, BusError>>> {
        let (templates, names): (Vec<_>, Vec<_>) = names.partition(|(_, is_template)| *is_template);
        let names: Vec<_> = names.into_iter().map(|(name, _)| name.to_owned()).collect();
        let listed = if names.is_empty() { Vec::new() } else { self.init.list(&names).await? };
        let current = |name: &String| {
            let listed = listed.iter().find(|listed| listed.name == *name)?;
            self.known.current(listed)
        };
        let mut units = BTreeMap::new();
        let mut unread: Vec<String> = templates.into_iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            match current(&name) {
                Some(unit) => drop(units.insert(name, Ok(unit))),
                None => unread.push(name),
            }
        }
        let mut read = stream::iter(unread)
            .map(async |name| {
                let unit = self.unit(&name).await;
                (name, unit)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, unit)) = read.next().await {
            match unit {
                Err(error @ BusError::Away { .. }) => return Err(error),
                unit => drop(units.insert(name, unit)),
            }
        }
        Ok(units)
    }

    /// What systemd tells of one unit now.
    pub(super) async fn unit(&self, name: &str) -> Answer<Unit> {
        let before = self.known.moment();
        let mut unit = self.init.unit(name).await?;
        if unit.has_failed() {
            unit.printed = self.init.last_lines(name).await;
        }
        Ok(self.known.keep(name, unit, before, Timestamp::now()))
    }

    /// Has a unit looked at again in a while: time alone changes what it means.
    pub(super) fn remind(&self, unit: &str, after: Duration) {
        let (reminders, event) = (self.reminders.clone(), UnitEvent::Unit(unit.to_owned()));
        tokio::spawn(async move {
            tokio::time::sleep(after + MARGIN).await;
            // Nobody may be listening.
            let _ = reminders.send(event);
        });
    }

    /// The reminders, as they are due.
    pub(super) fn reminders(&self) -> BoxStream<'static, UnitEvent> {
        UnitEvent::heard_by(self.reminders.subscribe())
    }

    /// The files that a spec wants.
    pub(super) fn files_of(&self, mark: &Mark, spec: &SystemdUnitSpec) -> Vec<UnitFile> {
        let mut files = files(&self.directory, mark, spec);
        for file in &mut files {
            file.spec.create_parents = self.makes_directory;
        }
        files
    }

    /// Looks at files, each for a resource that is to hear of its changes.
    pub(super) async fn look(
        &self,
        targets: &[(ResourceId, FileSpec)],
    ) -> Result<BTreeMap<ResourceId, Result<FileSights, ObserveError>>, Unseen> {
        let none = BTreeMap::new();
        let aims: Vec<_> = targets
            .iter()
            .map(|(id, spec)| {
                let owned = Owned { spec, applied: true, attempted: None, held: &none };
                Target { id, wanted: Some(spec), owned: Some(owned) }
            })
            .collect();
        let mut all: BTreeMap<ResourceId, Result<FileSights, ObserveError>> = BTreeMap::new();
        for (id, sight) in self.files.look(&aims).await? {
            let entry = all.entry(id).or_insert_with(|| Ok(FileSights::new()));
            match (sight, &mut *entry) {
                (Ok(sight), Ok(sights)) => drop(sights.insert(sight.path.as_str().to_owned(), sight)),
                (Err(error), Ok(_)) => *entry = Err(error),
                (_, Err(_)) => {}
            }
        }
        Ok(all)
    }

    /// Brings one file to what is wanted of it.
    pub(super) async fn put_file(
        &self,
        cx: &StepContext,
        id: &ResourceId,
        file: &FileSpec,
        past: &FilePast<'_>,
    ) -> Result<(), UnitError> {
        let held = past.held(file);
        let owned = past.owned(file, &held);
        let put = Put { id, spec: file, digest: Digest::of(b""), owned, restart: false };
        self.files.reconcile(cx, &put).await.map(drop).map_err(UnitError::Step)
    }

    /// Gives one file back: what was there before is there again.
    pub(super) async fn take_file(
        &self,
        cx: &StepContext,
        id: &ResourceId,
        file: &FileSpec,
        past: &FilePast<'_>,
    ) -> Result<(), UnitError> {
        let held = past.held(file);
        self.files.delete(cx, &Take { id, owned: past.owned(file, &held) }).await.map_err(UnitError::Step)
    }

    /// Makes the directory for a unit's drop-ins, if it is not there.
    pub(super) async fn make_room(
        &self,
        cx: &StepContext,
        id: &ResourceId,
        unit: &str,
    ) -> Result<(), UnitError> {
        let Some(directory) = self.drop_in_directory(unit) else { return Ok(()) };
        let target = Target { id, wanted: Some(&directory), owned: None };
        let seen = self.files.look(&[target]).await.map_err(|unseen| UnitError::Unseen(unseen.message))?;
        match seen.into_iter().next() {
            Some((_, Ok(seen))) if seen.found != Found::Absent => Ok(()),
            _ => self.put_file(cx, id, &directory, &FilePast::default()).await,
        }
    }

    /// Removes the directory for a unit's drop-ins, if we have made it and nothing is in it.
    pub(super) async fn give_room_back(
        &self,
        cx: &StepContext,
        id: &ResourceId,
        unit: &str,
    ) -> Result<(), UnitError> {
        match self.drop_in_directory(unit) {
            Some(directory) => self.take_file(cx, id, &directory, &FilePast::default()).await,
            None => Ok(()),
        }
    }

    fn drop_in_directory(&self, unit: &str) -> Option<FileSpec> {
        let directory = drop_in_directory(&self.directory, unit)?;
        Some(FileSpec { create_parents: self.makes_directory, ..directory })
    }
}

/// What is known of a file from before.
#[derive(Debug, Default)]
pub(super) struct FilePast<'a> {
    /// What was applied at its path.
    pub(super) applied: Option<&'a FileSpec>,
    /// What was begun there.
    pub(super) attempted: Option<&'a FileSpec>,
    /// What the ledger says was there before us.
    pub(super) before: Option<Before>,
}

impl<'a> FilePast<'a> {
    fn owned(&self, file: &'a FileSpec, held: &'a BTreeMap<Claim, Before>) -> Owned<'a, FileSpec> {
        Owned {
            spec: self.applied.unwrap_or(file),
            applied: self.applied.is_some(),
            attempted: self.attempted,
            held,
        }
    }

    /// What is not known is treated as something to be kept.
    fn held(&self, file: &FileSpec) -> BTreeMap<Claim, Before> {
        let before = self.before.unwrap_or(Before::Original);
        BTreeMap::from([(Claim::Path(file.path.as_str().to_owned()), before)])
    }
}

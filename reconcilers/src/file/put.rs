//! Bringing one path to its spec: look, decide, save what must not be lost, write beside, put in place.

use std::{fs::File, sync::Arc};

use manifest_types::{
    digest::Digest,
    kinds::file::{FileContent, FileSpec, FileType},
};
use nix::{
    dir::Dir,
    fcntl::OFlag,
    sys::stat::{Mode, fstat},
};

use super::{
    World,
    accounts::{Accounts, wanted_owners},
    cache::{Signature, file_clock},
    content::Writing,
    decide::{Change, Keep, Way, keep, way},
    drift::{drift, that_can_be_mended},
    error::FileError,
    look::{Aim, Seen, look, look_again},
    permit::Permit,
    sight::{Found, Sight},
    sites::AtWork,
    stage::{Attributes, Staged, clean, remove},
    walk::{Place, Reached, Walker},
};
use crate::{
    error::Fault,
    observation::Before,
    reconciler::{Put, Target},
};

/// One path to bring to its spec.
pub(super) struct Job {
    world: Arc<World>,
    permit: Permit,
    spec: FileSpec,
    /// The specs of this path that were applied or begun.
    ours: Vec<FileSpec>,
    before: Before,
    /// Whether a spec of this path was applied whole before.
    was_applied: bool,
    aim: Option<Aim>,
}

/// How far a job is.
pub(super) enum Begun {
    /// It is done, and this was seen after it.
    Done(Option<Sight>),
    /// The file beside is ready for a content that must be fetched.
    Fetch(Box<Fetching>, Box<Writing>),
}

/// A job that waits for its content.
pub(super) struct Fetching {
    job: Job,
    walker: Walker,
    attributes: Attributes,
}

/// What was found out about a place before anything is done there.
struct Ground<'s> {
    place: Place,
    _at_work: AtWork<'s>,
    seen: Seen,
    way: Way,
    attributes: Attributes,
}

impl Job {
    /// The job of one step.
    pub(super) fn new(world: Arc<World>, permit: Permit, put: &Put<'_, FileSpec>) -> Self {
        let spec = put.spec.clone();
        let ours = super::ours(put.owned, &spec.path);
        let before = super::before(put.owned.held, &spec.path);
        let was_applied = put.owned.applied && put.owned.spec.path == spec.path;
        let aim = Aim::of(&Target { id: put.id, wanted: Some(put.spec), owned: Some(put.owned) });
        Self { world, permit, spec, ours, before, was_applied, aim }
    }

    /// Does it all, but for a content that must be fetched.
    pub(super) fn begin(self) -> Result<Begun, FileError> {
        self.permit.check()?;
        let walker = self.world.tree.enter()?;
        let ground = self.survey(&walker)?;
        match ground.way {
            Way::Leave => {}
            Way::Mend => self.mend(&ground)?,
            Way::Replace => {
                passable(&ground.place, &ground.seen.found, self.spec.file_type)?;
                let Some(staged) = self.stage(&ground)? else {
                    let writing = Writing::begin(&ground.place)?;
                    let attributes = ground.attributes;
                    // Fetching takes long, and who waits for this site holds a thread.
                    drop(ground);
                    return Ok(Begun::Fetch(
                        Box::new(Fetching { job: self, walker, attributes }),
                        Box::new(writing),
                    ));
                };
                self.install(&ground, staged)?;
            }
        }
        drop(ground);
        // A look that fails here is made again by those who can tell why.
        let seen = self.aim.and_then(|aim| look_again(&self.world, &walker, aim).ok());
        Ok(Begun::Done(seen))
    }

    fn survey(&self, walker: &Walker) -> Result<Ground<'_>, FileError> {
        let path = &self.spec.path;
        let reached = if self.spec.create_parents {
            walker.make(path, &self.permit, &self.world.sites)?
        } else {
            walker.reach(path)?
        };
        let directory = match reached {
            Reached::Whole(directory) => directory,
            Reached::Missing(place) => return Err(FileError::ParentMissing(place.path())),
        };
        walker.may_name(&directory, path)?;
        let place = Place { directory, name: path.name().into() };
        let at_work = self.world.sites.enter(&place);
        clean(&place)?;
        let names = Accounts::default().names(self.spec.owner.as_ref(), self.spec.group.as_ref());
        let (uid, gid) = wanted_owners(&self.spec, names)?;
        let seen = look(walker, &place.directory, path, &self.world.digests, file_clock())?;
        let way =
            way(&that_can_be_mended(drift(&seen.found, names, &self.spec), place.directory.keeps_marks()));
        let marks = seen.found.marks();
        let attributes = Attributes {
            mode: self.spec.wanted_mode().map(|mode| mode.0),
            uid: uid.or(marks.map(|marks| marks.uid)),
            gid: gid.or(marks.map(|marks| marks.gid)),
        };
        Ok(Ground { place, _at_work: at_work, seen, way, attributes })
    }

    /// Makes what is wanted beside its place; `None` if its content must be fetched.
    fn stage(&self, ground: &Ground<'_>) -> Result<Option<Staged>, FileError> {
        let Ground { place, attributes, .. } = ground;
        match self.spec.file_type {
            FileType::Directory => Staged::directory(place, *attributes).map(Some),
            FileType::Symlink => {
                let target = self.spec.target.as_deref().unwrap_or_default();
                Staged::symlink(place, target.as_ref(), *attributes).map(Some)
            }
            FileType::File => {
                let Some(bytes) = self.spec.content.as_ref().and_then(FileContent::bytes) else {
                    return Ok(None);
                };
                let mut writing = Writing::begin(place)?;
                writing.write(bytes)?;
                writing.seal(*attributes).map(Some)
            }
        }
    }

    /// Sets mode and owners of what is there.
    fn mend(&self, ground: &Ground<'_>) -> Result<(), FileError> {
        let Ground { place, seen, attributes, .. } = ground;
        let Some(stat) = &seen.stat else { return Err(FileError::ChangedMeanwhile(place.path())) };
        if let Found::Symlink { .. } = seen.found {
            self.save(ground)?;
            attributes.set_on_link(place, &place.name, stat)?;
            return nix::unistd::fsync(place.directory.open()?)
                .map_err(FileError::system("sync", &place.directory.path));
        }
        let mut file: File = place.open_read()?.into();
        let opened = fstat(&file).map_err(FileError::system("look at", place.path()))?;
        if !Signature::of(&opened).is_same_file(&Signature::of(stat)) {
            return Err(FileError::ChangedMeanwhile(place.path()));
        }
        match &seen.found {
            // Another name of this file may be somebody else's: theirs keeps its mode and owners.
            Found::File { digest, .. } if opened.st_nlink > 1 => {
                let staged = copy_of(&mut file, place, *digest)?.seal(*attributes)?;
                self.install(ground, staged)
            }
            _ => {
                self.save(ground)?;
                attributes.set(&file, place)
            }
        }
    }

    /// Saves what must not be lost of what is there, and asks for the last time whether the step may go on.
    fn save(&self, ground: &Ground<'_>) -> Result<Keep, FileError> {
        let Ground { place, seen, .. } = ground;
        let (path, originals) = (&self.spec.path, &self.world.originals);
        let (before, kept) = originals.past(path, self.before)?;
        let keep = keep(&Change {
            before,
            found: &seen.found,
            kept: kept.as_ref(),
            ours: &self.ours,
            was_applied: self.was_applied,
            wanted: &self.spec,
        });
        match keep {
            Keep::Nothing => {}
            Keep::Original => originals.keep(place, seen, path)?,
            Keep::Absence => originals.note_absence(path)?,
            Keep::Displaced => match originals.displace(place, seen) {
                Ok(copy) => {
                    tracing::warn!(%path, copy = %copy.display(), "what others put here is set aside")
                }
                // What is wanted goes first: a full disk does not keep a file from being mended.
                Err(error @ FileError::System { .. }) => {
                    let reason = error.reason();
                    tracing::warn!(%path, reason, %error, "what others put here cannot be set aside");
                }
                Err(error) => return Err(error),
            },
        }
        // Once something is kept, what is there counts as ours: that must not be so where nothing is written.
        if let Err(cancelled) = self.permit.check() {
            if matches!(keep, Keep::Original | Keep::Absence) {
                originals.release(path)?;
            }
            return Err(cancelled.into());
        }
        Ok(keep)
    }

    /// Saves what must not be lost and puts what was made beside in its place.
    fn install(&self, ground: &Ground<'_>, staged: Staged) -> Result<(), FileError> {
        let Ground { place, seen, .. } = ground;
        passable(place, &seen.found, self.spec.file_type)?;
        let kept = self.save(ground)?;
        let is_directory = matches!(seen.found, Found::Directory(_));
        let wants_directory = self.spec.file_type == FileType::Directory;
        if seen.found == Found::Absent || is_directory == wants_directory {
            return staged.place_now();
        }
        // The kernel renames neither a file over a directory nor a directory over a file.
        let removed = remove(place, is_directory);
        if kept == Keep::Original && matches!(removed, Err(FileError::DirectoryInTheWay(_))) {
            self.world.originals.release(&self.spec.path)?;
        }
        removed?;
        staged.place_now()
    }
}

impl Fetching {
    /// Puts the fetched content in its place. What is there is looked at again: fetching takes long.
    pub(super) fn finish(self, writing: Writing) -> Result<(), FileError> {
        let Self { job, walker, attributes } = self;
        let staged = writing.seal(attributes)?;
        let path = &job.spec.path;
        let place = staged.destination().clone();
        let at_work = job.world.sites.enter(&place);
        let seen = look(&walker, &place.directory, path, &job.world.digests, file_clock())?;
        let ground = Ground { place, _at_work: at_work, seen, way: Way::Replace, attributes };
        job.install(&ground, staged)?;
        Ok(())
    }
}

/// An error if what is in the way is not to be removed.
fn passable(place: &Place, found: &Found, wanted: FileType) -> Result<(), FileError> {
    match found {
        Found::Special(_) => Err(FileError::SpecialFileInTheWay(place.path())),
        Found::Directory(_) if wanted != FileType::Directory && !is_empty(place)? => {
            Err(FileError::DirectoryInTheWay(place.path()))
        }
        _ => Ok(()),
    }
}

fn is_empty(place: &Place) -> Result<bool, FileError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = Dir::openat(&place.directory, place.name.as_os_str(), flags, Mode::empty());
    let mut directory = opened.map_err(FileError::system("open", place.path()))?;
    for entry in directory.iter() {
        let entry = entry.map_err(FileError::system("list", place.path()))?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same content in a file of its own, beside its place.
fn copy_of(file: &mut File, place: &Place, digest: Digest) -> Result<Writing, FileError> {
    let mut writing = Writing::begin(place)?;
    writing.write_all_of(file)?;
    if writing.digest() == digest { Ok(writing) } else { Err(FileError::ChangedMeanwhile(place.path())) }
}

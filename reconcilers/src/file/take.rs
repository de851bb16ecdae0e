//! Giving one path back: what others put there is set aside, what was there before us returns.

use std::sync::Arc;

use manifest_types::kinds::file::{AbsolutePath, FileSpec, FileType};

use super::{
    World,
    cache::file_clock,
    decide::{Undo, undo},
    error::FileError,
    look::{Seen, look},
    originals::Record,
    permit::Permit,
    sight::Found,
    stage::{clean, remove},
    walk::{Place, Reached},
};
use crate::{observation::Before, reconciler::Owned};

/// One path to give back.
pub(super) struct Job {
    world: Arc<World>,
    permit: Permit,
    path: AbsolutePath,
    /// The specs of this path that were applied or begun.
    ours: Vec<FileSpec>,
    before: Before,
}

impl Job {
    /// The job for one of the paths that are held.
    pub(super) fn new(
        world: Arc<World>,
        permit: Permit,
        path: AbsolutePath,
        owned: Owned<'_, FileSpec>,
    ) -> Self {
        let ours = super::ours(owned, &path);
        let before = super::before(owned.held, &path);
        Self { world, permit, path, ours, before }
    }

    /// Does it all.
    pub(super) fn run(&self) -> Result<(), FileError> {
        self.permit.check()?;
        let (before, kept) = self.world.originals.past(&self.path, self.before)?;
        let walker = self.world.tree.enter()?;
        match walker.reach(&self.path) {
            Ok(Reached::Missing(missing)) => {
                // A killed agent may have been making this directory; another step may be making it now.
                let _at_work = self.world.sites.enter(&missing);
                clean(&missing)?;
                self.set_aside(kept.as_ref())?;
            }
            Err(FileError::NotADirectory(_)) => self.set_aside(kept.as_ref())?,
            Err(error) => return Err(error),
            Ok(Reached::Whole(directory)) => {
                walker.may_name(&directory, &self.path)?;
                let place = Place { directory, name: self.path.name().into() };
                let _at_work = self.world.sites.enter(&place);
                clean(&place)?;
                let seen = look(&walker, &place.directory, &self.path, &self.world.digests, file_clock())?;
                self.undo(&place, &seen, before, kept.as_ref())?;
            }
        }
        self.world.originals.release(&self.path)?;
        self.world.forget(&self.path);
        Ok(())
    }

    fn undo(
        &self,
        place: &Place,
        seen: &Seen,
        before: Before,
        kept: Option<&Record>,
    ) -> Result<(), FileError> {
        let path = &self.path;
        match undo(before, &seen.found, kept, &self.ours) {
            Undo::Leave => Ok(()),
            Undo::LeaveForeign => {
                tracing::warn!(%path, "what is here now is not ours, and is left");
                Ok(())
            }
            Undo::Remove { is_foreign } => {
                self.displace_if(is_foreign, place, seen)?;
                self.permit.check()?;
                match remove(place, matches!(seen.found, Found::Directory(_))) {
                    Err(FileError::DirectoryInTheWay(_)) => {
                        tracing::info!(%path, "the directory is not empty, and is left");
                        Ok(())
                    }
                    removed => removed,
                }
            }
            Undo::PutBack { is_foreign } => {
                self.displace_if(is_foreign, place, seen)?;
                kept.map_or(Ok(()), |record| self.put_back(place, seen, record))
            }
        }
    }

    fn put_back(&self, place: &Place, seen: &Seen, record: &Record) -> Result<(), FileError> {
        let is_directory = match seen.found {
            Found::Special(_) => return Err(FileError::SpecialFileInTheWay(place.path())),
            Found::Directory(_) if record.file_type == FileType::Directory => {
                self.permit.check()?;
                return record.attributes().set(place.open_read()?, place);
            }
            Found::Directory(_) => true,
            Found::File { .. } | Found::Symlink { .. } if record.file_type == FileType::Directory => false,
            _ => return self.world.originals.restore(record, place)?.place(&self.permit),
        };
        let staged = self.world.originals.restore(record, place)?;
        self.permit.check()?;
        remove(place, is_directory)?;
        staged.place_now()
    }

    fn displace_if(&self, is_foreign: bool, place: &Place, seen: &Seen) -> Result<(), FileError> {
        if is_foreign {
            let copy = self.world.originals.displace(place, seen)?;
            tracing::warn!(path = %self.path, copy = %copy.display(), "what others changed is set aside");
        }
        Ok(())
    }

    /// The directory is gone, so that the original cannot be put back.
    fn set_aside(&self, kept: Option<&Record>) -> Result<(), FileError> {
        let Some(record) = kept else { return Ok(()) };
        self.permit.check()?;
        let copy = self.world.originals.set_aside(record)?;
        let copy = copy.as_deref().unwrap_or_else(|| "nowhere".as_ref());
        tracing::warn!(path = %self.path, copy = %copy.display(), "the directory is gone; the original is set aside");
        Ok(())
    }
}

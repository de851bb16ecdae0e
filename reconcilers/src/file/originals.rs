//! What was there before us, kept to be put back; and what others put there since, kept from being lost.
//!
//! `originals/<path's digest>.json` says that an original is kept and what it was; it is written after the content beside it
//! (`.data`: a file's bytes, a link's target) and removed before it, so that it never speaks of a content that is not there.
//! Where there was nothing any more when we came to write, though the ledger says otherwise, `.absent` stands instead of a record.
//! One of the two is there before we first write at a path that the ledger does not call empty, and until it is given back:
//! where neither is, nothing of ours is.
//! What others changed is copied to `displaced/`, named after what it was; nothing there is ever read again by the agent.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use manifest_types::{
    digest::Digest,
    kinds::file::{AbsolutePath, FileType, Mode},
};
use serde::{Deserialize, Serialize};

use super::{
    content::copy,
    error::FileError,
    look::Seen,
    sight::{Found, Marks},
    sites::Sites,
    stage::{Attributes, Staged, is_temporary, remove},
    walk::{Directory, Place},
};
use crate::observation::Before;

const ORIGINALS: &str = "originals";
const DISPLACED: &str = "displaced";

/// The originals and the displaced, in the agent's state directory.
pub(super) struct Originals {
    state_dir: PathBuf,
    /// The names of the records and notes that are there; nobody else writes them.
    kept: Mutex<Option<BTreeSet<String>>>,
    sites: Sites,
}

/// What an original was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    /// Where, as in the manifest.
    pub(super) path: AbsolutePath,
    /// What it was.
    #[serde(rename = "type")]
    pub(super) file_type: FileType,
    /// Its permission bits.
    pub(super) mode: Mode,
    /// Its owning user.
    pub(super) uid: u32,
    /// Its owning group.
    pub(super) gid: u32,
    /// The digest of its bytes, or of a link's target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<Digest>,
}

impl Record {
    /// Of what was seen; `None` if there is nothing that can be kept.
    fn of(path: &AbsolutePath, found: &Found) -> Option<Self> {
        let (file_type, Marks { mode, uid, gid }) = (found.file_type()?, found.marks()?);
        Some(Self { path: path.clone(), file_type, mode: Mode(mode), uid, gid, sha256: digest(found) })
    }

    /// Whether what is there has its type and content.
    pub(super) fn has_content_of(&self, found: &Found) -> bool {
        found.file_type() == Some(self.file_type) && digest(found) == self.sha256
    }

    /// Whether what is there is all that it was.
    pub(super) fn is(&self, found: &Found) -> bool {
        Self::of(&self.path, found).as_ref() == Some(self)
    }

    /// Its mode and owners.
    pub(super) fn attributes(&self) -> Attributes {
        Attributes { mode: Some(self.mode.0), uid: Some(self.uid), gid: Some(self.gid) }
    }
}

fn digest(found: &Found) -> Option<Digest> {
    match found {
        Found::File { digest, .. } => Some(*digest),
        Found::Symlink { target, .. } => Some(Digest::of(target.as_bytes())),
        _ => None,
    }
}

impl Originals {
    /// Those kept in `state_dir`.
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, kept: Mutex::new(None), sites: Sites::default() }
    }

    /// Finds out, once, which originals are kept.
    pub(super) fn load(&self) -> Result<(), FileError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_none() {
            *kept = Some(self.list().map_err(FileError::io("list", self.state_dir.join(ORIGINALS)))?);
        }
        Ok(())
    }

    /// The records and notes that are there; what a killed agent left half done beside them is removed.
    fn list(&self) -> io::Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        let mut contents = Vec::new();
        for directory in [ORIGINALS, DISPLACED] {
            let entries = match fs::read_dir(self.state_dir.join(directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                match entry.file_name().to_str() {
                    Some(name) if is_temporary(name) => fs::remove_file(entry.path())?,
                    Some(name) if directory == ORIGINALS => match name.strip_suffix(".data") {
                        Some(stem) => contents.push((entry.path(), format!("{stem}.json"))),
                        None => _ = names.insert(name.to_owned()),
                    },
                    _ => {}
                }
            }
        }
        // A content without its record was not yet, or is no longer, kept.
        for (path, _) in contents.iter().filter(|(_, record)| !names.contains(record)) {
            fs::remove_file(path)?;
        }
        Ok(names)
    }

    /// Whether an original is kept for `path`. Only what was loaded is known.
    pub(super) fn holds(&self, path: &AbsolutePath) -> bool {
        self.has(path, "json")
    }

    fn has(&self, path: &AbsolutePath, suffix: &str) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().is_some_and(|kept| !kept.is_empty() && kept.contains(&name(path, suffix)))
    }

    /// What was at `path` before us, as `told` by the ledger unless it is known better here, and what is kept of it.
    pub(super) fn past(
        &self,
        path: &AbsolutePath,
        told: Before,
    ) -> Result<(Before, Option<Record>), FileError> {
        let kept = self.record(path)?;
        Ok((if self.has(path, "absent") { Before::Absent } else { told }, kept))
    }

    /// What is kept for `path`.
    fn record(&self, path: &AbsolutePath) -> Result<Option<Record>, FileError> {
        self.load()?;
        if !self.holds(path) {
            return Ok(None);
        }
        let file = self.state_dir.join(ORIGINALS).join(name(path, "json"));
        let text = fs::read(&file).map_err(FileError::io("read", &file))?;
        match serde_json::from_slice::<Record>(&text) {
            Ok(record) if record.path == *path => Ok(Some(record)),
            Ok(_) => Err(FileError::OriginalDamaged { record: file, why: "it is of another path" }),
            Err(_) => Err(FileError::OriginalDamaged { record: file, why: "it is not what we write" }),
        }
    }

    /// Keeps what was seen at `place`. What is kept already is never overwritten.
    pub(super) fn keep(&self, place: &Place, seen: &Seen, path: &AbsolutePath) -> Result<(), FileError> {
        self.load()?;
        let Some(record) = Record::of(path, &seen.found) else { return Ok(()) };
        if self.holds(path) {
            return Ok(());
        }
        let directory = self.directory(ORIGINALS)?;
        if record.sha256.is_some() {
            let data = Place { directory: Arc::clone(&directory), name: name(path, "data").into() };
            self.save(&data, |file| write_content(place, seen, file))?;
        }
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        self.write(directory, name(path, "json"), &text)
    }

    /// Notes that there was nothing at `path` when we came to write there.
    pub(super) fn note_absence(&self, path: &AbsolutePath) -> Result<(), FileError> {
        self.load()?;
        // The name says it all; the path is for people.
        self.write(self.directory(ORIGINALS)?, name(path, "absent"), path.as_str().as_bytes())
    }

    fn write(&self, directory: Arc<Directory>, name: String, text: &[u8]) -> Result<(), FileError> {
        let place = Place { directory, name: name.clone().into() };
        self.save(&place, |file| file.write_all(text).map_err(FileError::io("write", place.path())))?;
        self.remember(|kept| kept.insert(name));
        Ok(())
    }

    /// Makes the original again, beside the place where it was.
    pub(super) fn restore(&self, record: &Record, place: &Place) -> Result<Staged, FileError> {
        if record.file_type == FileType::Directory {
            return Staged::directory(place, record.attributes());
        }
        let path = self.state_dir.join(ORIGINALS).join(name(&record.path, "data"));
        let mut data = File::open(&path).map_err(FileError::io("open", &path))?;
        let damaged = |why| FileError::OriginalDamaged { record: path.clone(), why };
        if record.file_type == FileType::Symlink {
            let mut target = Vec::new();
            data.read_to_end(&mut target).map_err(FileError::io("read", &path))?;
            if record.sha256 != Some(Digest::of(&target)) {
                return Err(damaged("its digest is wrong"));
            }
            return Staged::symlink(place, &OsString::from_vec(target), record.attributes());
        }
        let (staged, mut file) = Staged::file(place)?;
        if record.sha256 != Some(copy(&mut data, &mut file, place)?) {
            return Err(damaged("its digest is wrong"));
        }
        record.attributes().set(&file, place)?;
        Ok(staged)
    }

    /// Lets go of what is kept or noted for `path`.
    pub(super) fn release(&self, path: &AbsolutePath) -> Result<(), FileError> {
        for suffixes in [&["json", "data"][..], &["absent"]] {
            if !self.has(path, suffixes[0]) {
                continue;
            }
            let directory = self.directory(ORIGINALS)?;
            for suffix in suffixes {
                remove(&Place { directory: Arc::clone(&directory), name: name(path, suffix).into() }, false)?;
            }
            self.remember(|kept| kept.remove(&name(path, suffixes[0])));
        }
        Ok(())
    }

    /// Copies what others put at `place`, and says where to.
    pub(super) fn displace(&self, place: &Place, seen: &Seen) -> Result<PathBuf, FileError> {
        let digest = digest(&seen.found).ok_or_else(|| FileError::ChangedMeanwhile(place.path()))?;
        let to = Place { directory: self.directory(DISPLACED)?, name: displaced_name(&place.name, digest) };
        if to.stat()?.is_none() {
            self.save(&to, |file| write_content(place, seen, file))?;
        }
        Ok(to.path())
    }

    /// Sets an original aside that cannot be put back, because the directory that it was in is gone.
    pub(super) fn set_aside(&self, record: &Record) -> Result<Option<PathBuf>, FileError> {
        let mut kept_as = None;
        if let Some(digest) = record.sha256 {
            let from = self.state_dir.join(ORIGINALS).join(name(&record.path, "data"));
            let name = displaced_name(OsStr::new(record.path.name()), digest);
            let to = Place { directory: self.directory(DISPLACED)?, name };
            let mut data = File::open(&from).map_err(FileError::io("open", &from))?;
            self.save(&to, |file| copy(&mut data, file, &to).map(drop))?;
            kept_as = Some(to.path());
        }
        self.release(&record.path)?;
        Ok(kept_as)
    }

    fn remember(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_mut().map(change).expect("what is kept was loaded");
    }

    /// A directory in the state directory, made if it is missing.
    fn directory(&self, name: &str) -> Result<Arc<Directory>, FileError> {
        let path = self.state_dir.join(name);
        match Directory::own(&path) {
            Err(FileError::System { errno: nix::errno::Errno::ENOENT, .. }) => {}
            opened => return opened,
        }
        fs::create_dir_all(&self.state_dir).map_err(FileError::io("make", &self.state_dir))?;
        let place = Place { directory: Directory::own(&self.state_dir)?, name: name.into() };
        let _at_work = self.sites.enter(&place);
        // Two steps may be the first at once.
        if place.stat()?.is_none() {
            Staged::directory(&place, Attributes::mode(0o700))?.place_now()?;
        }
        Directory::own(&path)
    }

    /// Writes a file of the agent's own, whole or not at all.
    fn save(
        &self,
        place: &Place,
        fill: impl FnOnce(&mut File) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let _at_work = self.sites.enter(place);
        let (staged, mut file) = Staged::file(place)?;
        fill(&mut file)?;
        Attributes::mode(0o600).set(&file, place)?;
        staged.place_now()
    }
}

/// Writes the bytes of a file or the target of a link, as they were seen.
fn write_content(place: &Place, seen: &Seen, to: &mut File) -> Result<(), FileError> {
    match &seen.found {
        Found::Symlink { target, .. } => {
            to.write_all(target.as_bytes()).map_err(FileError::io("write a copy of", place.path()))
        }
        Found::File { digest, .. } => {
            let mut from: File = place.open_read()?.into();
            if copy(&mut from, to, place)? == *digest {
                Ok(())
            } else {
                Err(FileError::ChangedMeanwhile(place.path()))
            }
        }
        _ => Ok(()),
    }
}

/// The name of what is kept for a path.
fn name(path: &AbsolutePath, suffix: &str) -> String {
    let digest = Digest::of(path.as_str().as_bytes()).to_string();
    let (_, hex) = digest.split_once(':').expect("a digest is written with its algorithm");
    format!("{}.{suffix}", &hex[..32])
}

/// A name may have 255 bytes; the digest must fit behind it.
fn displaced_name(name: &OsStr, digest: Digest) -> OsString {
    let name = name.as_bytes();
    let mut displaced = OsStr::from_bytes(&name[..name.len().min(200)]).to_owned();
    displaced.push(format!("-{}", digest.short()));
    displaced
}

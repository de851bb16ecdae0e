//! The ledger on disk: one redb file, one transaction per commit, one mebibyte in reserve.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use manifest_types::name::ResourceId;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    memory::{LedgerWrite, Memory},
    row::{OpaqueRow, Row},
};

const ROWS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rows");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const MANIFEST: &str = "manifest";
const GENERATIONS: &str = "generations";
const INSTANCES: &str = "instances";

/// Enough for the pages that one commit touches; the file itself is in the kernel's cache.
const CACHE: usize = 256 * 1024;
/// Kept back, so that a full disk never stops a deletion.
const RESERVE: usize = 1024 * 1024;
/// So many instance ids are remembered; the oldest go first.
const MOST_INSTANCES: usize = 1000;

/// The ledger on disk. It blocks; the driver calls it from a thread of its own.
pub struct Store {
    dir: PathBuf,
    /// Held for the store's whole life; the database itself is closed and opened again after a failure.
    _lock: Flock<File>,
    database: Option<Database>,
}

/// A ledger that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The state directory cannot be made or used.
    #[error("cannot use the state directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another agent has it open.
    #[error("{} is in use by another agent; stop it first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// There is no room to keep some back, so that nothing is begun.
    #[error("no room in {} to keep a mebibyte back", path.display())]
    Reserve {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read or written.
    #[error("cannot use the ledger {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
}

impl LedgerError {
    /// Whether it is for want of space.
    pub fn is_full(&self) -> bool {
        let io = match self {
            Self::Directory { source, .. } | Self::Reserve { source, .. } => Some(source),
            Self::Database { source, .. } => match source.as_ref() {
                redb::Error::Io(error) => Some(error),
                _ => None,
            },
            Self::InUse { .. } => None,
        };
        io.is_some_and(|error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        })
    }
}

impl Store {
    /// Opens the ledger in `dir`, making both if need be, and reads all of it. `instance` is remembered as one of this device's.
    /// A file that is damaged beyond repair is put aside: what it knew is lost, but the device is not.
    pub fn open(dir: &Path, instance: &str) -> Result<(Self, Memory), LedgerError> {
        let directory = |source| LedgerError::Directory { path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(directory)?;
        let lock = lock(&dir.join("lock"), dir)?;
        let mut store = Self { dir: dir.to_owned(), _lock: lock, database: None };
        let mut memory = match store.read_whole() {
            Err(LedgerError::Database { source, .. }) if is_damaged(&source) => {
                let aside = dir.join(format!("ledger.damaged-{instance}"));
                tracing::error!(kept = %aside.display(), error = %source, "the ledger is damaged; starting with an empty one");
                fs::rename(store.path(), &aside).map_err(directory)?;
                store.read()?
            }
            read => read?,
        };
        memory.instances.insert(instance.to_owned());
        while memory.instances.len() > MOST_INSTANCES {
            // By name the oldest goes first, whatever the clock says now; this one stays.
            let oldest = memory.instances.iter().find(|known| *known != instance).cloned();
            memory.instances.retain(|known| Some(known) != oldest.as_ref());
        }
        store.put_fact(INSTANCES, &memory.instances)?;
        if let Err(error) = store.ensure_reserve() {
            tracing::warn!(%error, "no room to keep a mebibyte back: nothing is begun until there is");
        }
        Ok((store, memory))
    }

    /// Commits `write`, whole or not at all; when this returns, it is on the disk. Only what lets go of things may use the reserve.
    pub fn commit(&mut self, write: &LedgerWrite) -> Result<(), LedgerError> {
        if !write.lets_go {
            self.ensure_reserve()
                .map_err(|source| LedgerError::Reserve { path: self.dir.clone(), source })?;
        }
        let mut result = self.try_commit(write);
        if write.lets_go && result.as_ref().is_err_and(LedgerError::is_full) {
            tracing::warn!("the disk is full: using the reserve to let go of what is not wanted");
            drop(fs::remove_file(self.reserve()));
            result = self.try_commit(write);
        }
        result
    }

    /// Forgets the last generation of each source, so that any is accepted next. For when no agent runs.
    pub fn forget_generations(&mut self) -> Result<(), LedgerError> {
        self.put_fact(GENERATIONS, &serde_json::Map::new())
    }

    fn try_commit(&mut self, write: &LedgerWrite) -> Result<(), LedgerError> {
        let result = self.database().and_then(|database| {
            commit(database, write)
                .map_err(|error| LedgerError::Database { path: PathBuf::new(), source: Box::new(error) })
        });
        if result.is_err() {
            // After a failed write redb wants to be opened again.
            self.database = None;
        }
        result.map_err(|error| self.with_path(error))
    }

    fn put_fact(&mut self, key: &str, value: &impl Serialize) -> Result<(), LedgerError> {
        let bytes = to_bytes(value);
        let put = |database: &Database| -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            transaction.open_table(FACTS)?.insert(key, bytes.as_slice())?;
            transaction.open_table(ROWS)?;
            Ok(transaction.commit()?)
        };
        put(self.database()?).map_err(|error| self.error(error))
    }

    /// Reads all of it. Of some damage the database does not tell: it breaks off.
    fn read_whole(&mut self) -> Result<Memory, LedgerError> {
        let read = catch_unwind(AssertUnwindSafe(|| self.read())).unwrap_or_else(|_| {
            let why = "the database breaks off while it is read".to_owned();
            Err(self.error(redb::Error::Corrupted(why)))
        });
        if read.is_err() {
            let database = self.database.take();
            // What has broken off once may do so again when it is closed.
            drop(catch_unwind(AssertUnwindSafe(|| drop(database))));
        }
        read
    }

    fn read(&mut self) -> Result<Memory, LedgerError> {
        read(self.database()?).map_err(|error| self.error(error))
    }

    fn database(&mut self) -> Result<&Database, LedgerError> {
        if self.database.is_none() {
            let opened = Database::builder().set_cache_size(CACHE).create(self.path());
            self.database = Some(opened.map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => LedgerError::InUse { path: self.path() },
                other => self.error(other.into()),
            })?);
        }
        Ok(self.database.as_ref().expect("it was just opened"))
    }

    fn path(&self) -> PathBuf {
        self.dir.join("ledger.redb")
    }

    fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    fn error(&self, source: redb::Error) -> LedgerError {
        LedgerError::Database { path: self.path(), source: Box::new(source) }
    }

    fn with_path(&self, error: LedgerError) -> LedgerError {
        match error {
            LedgerError::Database { source, .. } => LedgerError::Database { path: self.path(), source },
            other => other,
        }
    }

    /// Makes the reserve if it is not there.
    fn ensure_reserve(&self) -> io::Result<()> {
        let path = self.reserve();
        // One that was cut short by a kill keeps back too little.
        match fs::metadata(&path) {
            Ok(file) if file.len() >= RESERVE as u64 => return Ok(()),
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
        fill(&path).inspect_err(|_| drop(fs::remove_file(&path)))
    }
}

/// One agent at a time uses a state directory.
fn lock(path: &Path, dir: &Path) -> Result<Flock<File>, LedgerError> {
    let opened = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|source| LedgerError::Directory { path: dir.to_owned(), source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => LedgerError::InUse { path: dir.to_owned() },
        errno => LedgerError::Directory { path: dir.to_owned(), source: errno.into() },
    })
}

/// Whether no reading of the file will ever help. An older agent that meets a newer format is not that: it says so and stops.
fn is_damaged(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) | redb::Error::RepairAborted => true,
        redb::Error::Io(error) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

fn fill(path: &Path) -> io::Result<()> {
    let mut file: File = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&vec![0x5a; RESERVE])?;
    file.sync_all()
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what the ledger keeps is plain JSON")
}

fn commit(database: &Database, write: &LedgerWrite) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut rows = transaction.open_table(ROWS)?;
        for (id, row) in &write.rows {
            match row {
                Some(row) => drop(rows.insert(id.as_str(), to_bytes(row).as_slice())?),
                None => drop(rows.remove(id.as_str())?),
            }
        }
        if write.forgets_generations {
            let none = serde_json::Map::new();
            transaction.open_table(FACTS)?.insert(GENERATIONS, to_bytes(&none).as_slice())?;
        }
        if let Some((manifest, admission)) = &write.manifest {
            let mut facts = transaction.open_table(FACTS)?;
            let mut generations: std::collections::BTreeMap<String, super::memory::Admission> = {
                let known = facts.get(GENERATIONS)?;
                known.and_then(|known| serde_json::from_slice(known.value()).ok()).unwrap_or_default()
            };
            generations.insert(manifest.source.clone(), *admission);
            facts.insert(MANIFEST, to_bytes(manifest).as_slice())?;
            facts.insert(GENERATIONS, to_bytes(&generations).as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn read(database: &Database) -> Result<Memory, redb::Error> {
    let mut memory = Memory::default();
    let transaction = database.begin_read()?;
    let tables: Vec<String> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.iter().any(|table| table == FACTS.name()) {
        let facts = transaction.open_table(FACTS)?;
        memory.manifest = fact(&facts, MANIFEST)?;
        memory.generations = fact(&facts, GENERATIONS)?.unwrap_or_default();
        memory.instances = fact(&facts, INSTANCES)?.unwrap_or_default();
    }
    if tables.iter().any(|table| table == ROWS.name()) {
        for entry in transaction.open_table(ROWS)?.iter()? {
            let (id, bytes) = entry?;
            remember_row(&mut memory, id.value(), bytes.value());
        }
    }
    Ok(memory)
}

fn fact<T: DeserializeOwned>(
    facts: &impl ReadableTable<&'static str, &'static [u8]>,
    key: &str,
) -> Result<Option<T>, redb::Error> {
    let value = facts.get(key)?;
    Ok(value.and_then(|value| serde_json::from_slice(value.value()).ok()))
}

/// A row that this build cannot read is kept opaque; one that no build can read is told and left where it is.
fn remember_row(memory: &mut Memory, id: &str, bytes: &[u8]) {
    let Ok(id) = id.parse::<ResourceId>() else {
        tracing::error!(id, "the ledger has a row under what is no resource id");
        return;
    };
    if let Ok(row) = serde_json::from_slice::<Row>(bytes) {
        memory.rows.insert(id, Arc::new(row));
        return;
    }
    match serde_json::from_slice::<OpaqueRow>(bytes) {
        Ok(row) => drop(memory.opaque.insert(id, row)),
        Err(error) => tracing::error!(%id, %error, "the ledger has a row that cannot be read"),
    }
}

#[cfg(test)]
mod tests;

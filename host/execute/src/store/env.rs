//! Opening the environment: sizes, the lock against a second process, and errors that say what to do.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};

use super::code::{Stored, decode, encode};
use super::record::Keeping;

/// Databases in the environment, with room for later ones.
const DATABASES_MAX: u32 = 16;
/// Layout of the databases; another one on disk is refused.
const LAYOUT_VERSION: u32 = 2;

/// Key of the note that a re-seed was started.
const RESEEDING: &[u8] = b"reseeding";

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Folder; made if it is missing.
    pub dir: PathBuf,
    /// Largest size of the store in bytes (address space, not disk).
    pub map_bytes: usize,
    /// How long what has ended is kept.
    pub keeping: Keeping,
}

/// Why the store cannot be used. Every variant but `Locked` and `Layout` may also mean a broken disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{dir}: another executor has this state open; give each its own execute.state_dir")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The map is full.
    #[error("{dir}: the state is full at its limit of {map_bytes} bytes; raise execute.map_bytes")]
    MapFull {
        /// The folder.
        dir: PathBuf,
        /// The limit.
        map_bytes: usize,
    },
    /// The disk is full, or reading or writing failed.
    #[error("{dir}: {source}; free space or mend the disk, then start again (nothing is lost: the journal holds it)")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a program with another layout.
    #[error(
        "{dir}: the state has layout {found}, this program writes {LAYOUT_VERSION}; delete the folder, it is rebuilt from the journal"
    )]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What it says.
        found: String,
    },
    /// A value that this program did not write, or LMDB's own error.
    #[error("{dir}: the state is damaged ({reason}); delete the folder, it is rebuilt from the journal")]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The writer thread has ended after an earlier error.
    #[error("the state's writer has stopped")]
    Stopped,
}

/// The open environment.
#[derive(Clone)]
pub struct Store {
    pub(super) env: Env<WithoutTls>,
    pub(super) dbs: Dbs,
    pub(super) keeping: Keeping,
    dir: Arc<Path>,
    map_bytes: usize,
    /// Held for the life of the process: LMDB's own locks do not keep a second writer's logic out.
    _lock: Arc<File>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.dir).finish_non_exhaustive()
    }
}

pub(super) type Db = Database<Bytes, Bytes>;

/// The databases. Keys begin with the partition (4 bytes, big-endian).
#[derive(Clone, Copy)]
pub(super) struct Dbs {
    /// partition → `Checkpoint`.
    pub(super) checkpoints: Db,
    /// partition → the next offset of the result topic to read.
    pub(super) results: Db,
    /// partition, venue → `Fence`.
    pub(super) fences: Db,
    /// partition, command id → `Entry`.
    pub(super) entries: Db,
    /// partition, command id → nothing: claimed and not ended.
    pub(super) open: Db,
    /// partition, hash of the idempotency key → command id.
    pub(super) keys: Db,
    /// partition, record id → command id.
    pub(super) events: Db,
    /// partition, command id → claim record, until its settlement is no longer waited for.
    pub(super) claims: Db,
    /// partition, command id → outcome record, while its claim is kept or its result is unpublished.
    pub(super) outcomes: Db,
    /// partition, command id → evidence record of a fenced executor.
    pub(super) evidence: Db,
    /// partition, command id → record of a person's decision.
    pub(super) decisions: Db,
    /// partition, outcome offset (8 bytes, big-endian) → command id.
    pub(super) unpublished: Db,
    /// partition, command id → nothing: its result was read before its outcome was folded.
    pub(super) early: Db,
    /// What concerns the whole store.
    meta: Db,
}

impl Dbs {
    /// All that belongs to the fold of a partition.
    pub(super) fn of_fold(&self) -> [Db; 12] {
        let Self {
            checkpoints,
            fences,
            entries,
            open,
            keys,
            events,
            claims,
            outcomes,
            evidence,
            decisions,
            unpublished,
            early,
            results: _,
            meta: _,
        } = *self;
        [checkpoints, fences, entries, open, keys, events, claims, outcomes, evidence, decisions, unpublished, early]
    }
}

impl Store {
    /// Opens or makes the store.
    pub fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let dir: Arc<Path> = options.dir.clone().into();
        let io = |source| StoreError::Io { dir: options.dir.clone(), source };
        std::fs::create_dir_all(&options.dir).map_err(io)?;
        let lock = File::create(options.dir.join("unrip.lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { dir: options.dir.clone() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let map = |error| map_error(&dir, options.map_bytes, error);
        // Snapshots are not bound to threads: tasks that read move between them.
        let mut open = EnvOpenOptions::new().read_txn_without_tls();
        open.max_dbs(DATABASES_MAX).map_size(options.map_bytes);
        // No flags: data and meta pages are synced at each commit.
        #[allow(unsafe_code, reason = "LMDB maps a file; the lock above keeps other writers of ours out")]
        let env = unsafe { open.open(&options.dir) }.map_err(map)?;
        let mut txn = env.write_txn().map_err(map)?;
        let mut db = |name: &str| env.create_database::<Bytes, Bytes>(&mut txn, Some(name)).map_err(map);
        let dbs = Dbs {
            checkpoints: db("checkpoints")?,
            results: db("results")?,
            fences: db("fences")?,
            entries: db("entries")?,
            open: db("open")?,
            keys: db("keys")?,
            events: db("events")?,
            claims: db("claims")?,
            outcomes: db("outcomes")?,
            evidence: db("evidence")?,
            decisions: db("decisions")?,
            unpublished: db("unpublished")?,
            early: db("early")?,
            meta: db("meta")?,
        };
        let store = Self {
            env: env.clone(),
            dbs,
            keeping: options.keeping,
            dir: dir.clone(),
            map_bytes: options.map_bytes,
            _lock: Arc::new(lock),
        };
        // A decimal text, in every layout there was.
        match store.bytes(&txn, dbs.meta, b"layout")? {
            Some(found) if found == LAYOUT_VERSION.to_string().as_bytes() => {}
            Some(found) => {
                let found = String::from_utf8_lossy(found).into_owned();
                return Err(StoreError::Layout { dir: options.dir.clone(), found });
            }
            None => store.put_bytes(&mut txn, dbs.meta, b"layout", LAYOUT_VERSION.to_string().as_bytes())?,
        }
        txn.commit().map_err(map)?;
        Ok(store)
    }

    /// A snapshot to read from. Never hold it over an await.
    pub(super) fn read(&self) -> Result<RoTxn<'_, WithoutTls>, StoreError> {
        self.env.read_txn().map_err(|error| self.error(error))
    }

    pub(super) fn error(&self, error: heed::Error) -> StoreError {
        map_error(&self.dir, self.map_bytes, error)
    }

    /// Why a re-seed of the journal was started, if one was and did not reach its end.
    pub fn reseeding(&self) -> Result<Option<String>, StoreError> {
        let txn = self.read()?;
        let found = self.bytes(&txn, self.dbs.meta, RESEEDING)?;
        Ok(found.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Notes that a re-seed begins, or that it has reached its end.
    pub fn set_reseeding(&self, reason: Option<&str>) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.error(error))?;
        match reason {
            Some(reason) => self.put_bytes(&mut txn, self.dbs.meta, RESEEDING, reason.as_bytes())?,
            None => drop(self.delete(&mut txn, self.dbs.meta, RESEEDING)?),
        }
        txn.commit().map_err(|error| self.error(error))
    }

    /// How much of `execute.map_bytes` is in use, from 0 to 1.
    pub fn used_ratio(&self) -> Result<f64, StoreError> {
        let used = self.env.non_free_pages_size().map_err(|error| self.error(error))?;
        Ok(used as f64 / self.map_bytes as f64)
    }

    pub(super) fn bytes<'t>(&self, txn: &'t RoTxn<'_>, db: Db, key: &[u8]) -> Result<Option<&'t [u8]>, StoreError> {
        db.get(txn, key).map_err(|error| self.error(error))
    }

    pub(super) fn get<T: Stored>(&self, txn: &RoTxn<'_>, db: Db, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.bytes(txn, db, key)?.map(|bytes| self.decode(bytes)).transpose()
    }

    pub(super) fn put<T: Stored>(&self, txn: &mut RwTxn<'_>, db: Db, key: &[u8], value: &T) -> Result<(), StoreError> {
        self.put_bytes(txn, db, key, &encode(value))
    }

    pub(super) fn put_bytes(&self, txn: &mut RwTxn<'_>, db: Db, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        db.put(txn, key, value).map_err(|error| self.error(error))
    }

    /// Whether there was something.
    pub(super) fn delete(&self, txn: &mut RwTxn<'_>, db: Db, key: &[u8]) -> Result<bool, StoreError> {
        db.delete(txn, key).map_err(|error| self.error(error))
    }

    /// The first keys and values under a prefix, in key order.
    pub(super) fn list<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        db: Db,
        prefix: &[u8],
    ) -> Result<impl Iterator<Item = Entry<'t>> + use<'t, '_>, StoreError> {
        let found = db.prefix_iter(txn, prefix).map_err(|error| self.error(error))?;
        Ok(found.map(|item| item.map_err(|error| self.error(error))))
    }

    pub(super) fn decode<T: Stored>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        decode(bytes).ok_or_else(|| self.damaged("a value of another shape".to_owned()))
    }

    pub(super) fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { dir: self.dir.to_path_buf(), reason }
    }
}

/// A key and its value, while the transaction lasts.
type Entry<'t> = Result<(&'t [u8], &'t [u8]), StoreError>;

fn map_error(dir: &Path, map_bytes: usize, error: heed::Error) -> StoreError {
    let dir = dir.to_path_buf();
    match error {
        heed::Error::Mdb(MdbError::MapFull) => StoreError::MapFull { dir, map_bytes },
        heed::Error::Io(source) => StoreError::Io { dir, source },
        // LMDB hands on what the system said as a bare number.
        heed::Error::Mdb(MdbError::Other(code)) => StoreError::Io { dir, source: io::Error::from_raw_os_error(code) },
        // After a failed write LMDB refuses everything until it is opened again; what was committed is whole.
        heed::Error::Mdb(MdbError::Panic) => {
            StoreError::Io { dir, source: io::Error::other("a write to the disk failed (MDB_PANIC)") }
        }
        other => StoreError::Damaged { dir, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_disk_names_its_cure() {
        const ENOSPC: i32 = 28;
        let says = |error: heed::Error| map_error(Path::new("/state"), 4_096, error).to_string();
        for (error, found, cure) in [
            (MdbError::MapFull, "4096 bytes", "raise execute.map_bytes"),
            (MdbError::Other(ENOSPC), "No space left", "free space"),
            (MdbError::Panic, "MDB_PANIC", "start again"),
            (MdbError::Corrupted, "damaged", "delete the folder"),
        ] {
            let text = says(heed::Error::Mdb(error));
            assert!(text.contains(found) && text.contains(cure), "{text}");
        }
        let text = says(heed::Error::Io(io::Error::from_raw_os_error(ENOSPC)));
        assert!(text.contains("No space left") && text.contains("nothing is lost"), "{text}");
    }
}

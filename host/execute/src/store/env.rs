//! Opening the environment: sizes, the lock against a second process, and errors that say what to do.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};
use serde::{Serialize, de::DeserializeOwned};

/// Databases in the environment, with room for later ones.
const DATABASES_MAX: u32 = 16;
/// Layout of the databases; another one on disk is refused.
const LAYOUT_VERSION: u32 = 1;

/// How the store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Folder; made if it is missing.
    pub dir: PathBuf,
    /// Largest size of the store in bytes (address space, not disk).
    pub map_bytes: usize,
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
        "{dir}: the state has layout {found}, this program writes {LAYOUT_VERSION}; delete the folder, it is made anew from the journal"
    )]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What it says.
        found: u32,
    },
    /// A value that this program did not write, or LMDB's own error.
    #[error("{dir}: the state is damaged ({reason}); delete the folder, it is made anew from the journal")]
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
    /// partition, venue → `Fence`.
    pub(super) fences: Db,
    /// partition, command id → `Entry`.
    pub(super) entries: Db,
    /// partition, SHA-256 of the idempotency key → command id.
    pub(super) keys: Db,
    /// partition, record id → command id.
    pub(super) events: Db,
    /// partition, command id → claim payload, while its result is unpublished.
    pub(super) claims: Db,
    /// partition, command id → evidence payload of a fenced executor.
    pub(super) evidence: Db,
    /// partition, command id → a person's decision.
    pub(super) decisions: Db,
    /// partition, outcome offset (8 bytes, big-endian) → `Unpublished`.
    pub(super) unpublished: Db,
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
            fences: db("fences")?,
            entries: db("entries")?,
            keys: db("keys")?,
            events: db("events")?,
            claims: db("claims")?,
            evidence: db("evidence")?,
            decisions: db("decisions")?,
            unpublished: db("unpublished")?,
        };
        let meta = db("meta")?;
        let store =
            Self { env: env.clone(), dbs, dir: dir.clone(), map_bytes: options.map_bytes, _lock: Arc::new(lock) };
        match store.get::<u32>(&txn, meta, b"layout")? {
            Some(LAYOUT_VERSION) => {}
            Some(found) => return Err(StoreError::Layout { dir: options.dir.clone(), found }),
            None => store.put(&mut txn, meta, b"layout", &LAYOUT_VERSION)?,
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

    pub(super) fn get<T: DeserializeOwned>(
        &self,
        txn: &RoTxn<'_>,
        db: Db,
        key: &[u8],
    ) -> Result<Option<T>, StoreError> {
        let bytes = db.get(txn, key).map_err(|error| self.error(error))?;
        bytes.map(|bytes| self.decode(bytes)).transpose()
    }

    pub(super) fn put<T: Serialize>(
        &self,
        txn: &mut RwTxn<'_>,
        db: Db,
        key: &[u8],
        value: &T,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|error| self.damaged(error.to_string()))?;
        db.put(txn, key, &bytes).map_err(|error| self.error(error))
    }

    pub(super) fn delete(&self, txn: &mut RwTxn<'_>, db: Db, key: &[u8]) -> Result<(), StoreError> {
        db.delete(txn, key).map(|_| ()).map_err(|error| self.error(error))
    }

    /// All values under a prefix, in key order.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        txn: &RoTxn<'_>,
        db: Db,
        prefix: &[u8],
    ) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        for item in db.prefix_iter(txn, prefix).map_err(|error| self.error(error))? {
            let (_, bytes) = item.map_err(|error| self.error(error))?;
            values.push(self.decode(bytes)?);
        }
        Ok(values)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| self.damaged(error.to_string()))
    }

    pub(super) fn damaged(&self, reason: String) -> StoreError {
        StoreError::Damaged { dir: self.dir.to_path_buf(), reason }
    }
}

fn map_error(dir: &Path, map_bytes: usize, error: heed::Error) -> StoreError {
    let dir = dir.to_path_buf();
    match error {
        heed::Error::Mdb(MdbError::MapFull) => StoreError::MapFull { dir, map_bytes },
        heed::Error::Io(source) => StoreError::Io { dir, source },
        // LMDB hands on what the system said as a bare number.
        heed::Error::Mdb(MdbError::Other(code)) => StoreError::Io { dir, source: io::Error::from_raw_os_error(code) },
        other => StoreError::Damaged { dir, reason: other.to_string() },
    }
}

//! The environment: its size, the lock against a second process, reading and writing values.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use heed::{Env, EnvOpenOptions, RoTxn, RwTxn, WithoutTls};

use super::databases::{DATABASES_MAX, Db, Dbs};
use super::encoding::{Stored, decode, encode};
use super::error::{LAYOUT_VERSION, StoreError, map_error};
use super::record::Keeping;

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
        let dbs = Dbs::create(&env, &mut txn).map_err(map)?;
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

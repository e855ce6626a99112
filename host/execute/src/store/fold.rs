//! One partition's fold in LMDB, as the protocol reads and writes it.

use heed::{RoTxn, RwTxn, WithoutTls};
use sha2::{Digest, Sha256};
use unrip_core::event::journal::{JournalDecision, JournalEvidence};
use unrip_core::{CommandId, Payload, Timestamp, Uuid};

use super::databases::Db;
use super::env::Store;
use super::error::StoreError;
use super::record::{Checkpoint, KeptClaim, KeptOutcome, Unpublished, id_of, read_kept, unpublished};
use unrip_protocol::fold::{Entry, Fence, FoldStore, FoldView};

/// One partition's fold: in a snapshot ([`PartitionView`]) or in the writer's transaction.
pub struct Fold<'a, T> {
    pub(super) store: &'a Store,
    pub(super) txn: T,
    pub(super) partition: i32,
}

/// A snapshot of one partition's fold.
pub type PartitionView<'a> = Fold<'a, RoTxn<'a, WithoutTls>>;
/// One partition's fold inside the writer's transaction.
pub(super) type PartitionFold<'a, 'env> = Fold<'a, &'a mut RwTxn<'env>>;

/// What can be read from.
pub trait Reading {
    /// The transaction.
    fn txn(&self) -> &RoTxn<'_>;
}

impl Reading for RoTxn<'_, WithoutTls> {
    fn txn(&self) -> &RoTxn<'_> {
        self
    }
}

impl Reading for &mut RwTxn<'_> {
    fn txn(&self) -> &RoTxn<'_> {
        self
    }
}

impl<T> std::fmt::Debug for Fold<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl Store {
    /// A snapshot of one partition's fold. Never hold it over an await.
    pub fn view(&self, partition: i32) -> Result<PartitionView<'_>, StoreError> {
        Ok(Fold { store: self, txn: self.read()?, partition })
    }

    /// The claims of a partition that still hold an asset back or whose settlement is waited for, oldest first.
    pub fn recent_claims(&self, partition: i32) -> Result<Vec<(Entry, KeptClaim)>, StoreError> {
        let view = self.view(partition)?;
        let mut recent = Vec::new();
        for entry in view.claimed()? {
            let claim = view.claim(&entry.head.id)?;
            recent.extend(claim.map(|claim| (entry, claim)));
        }
        Ok(recent)
    }
}

impl<T: Reading> Fold<'_, T> {
    /// How far the partition is folded.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.get(self.txn.txn(), self.store.dbs.checkpoints, &self.partition.to_be_bytes())
    }

    /// The next offset of the result topic to read: what lies before it is noted.
    pub fn result_next(&self) -> Result<i64, StoreError> {
        let next = self.store.get(self.txn.txn(), self.store.dbs.results, &self.partition.to_be_bytes())?;
        Ok(next.unwrap_or_default())
    }

    /// The valid claim of a command, until its settlement is no longer waited for.
    pub fn claim(&self, id: &CommandId) -> Result<Option<KeptClaim>, StoreError> {
        Ok(self.kept(self.store.dbs.claims, id)?.map(|(claim, trace)| KeptClaim { claim, trace }))
    }

    /// The valid outcome of a command, while its claim is kept or its result is unpublished.
    pub fn outcome(&self, id: &CommandId) -> Result<Option<KeptOutcome>, StoreError> {
        Ok(self.kept(self.store.dbs.outcomes, id)?.map(|(outcome, trace)| KeptOutcome { outcome, trace }))
    }

    /// What a fenced executor heard of a command.
    pub fn evidence(&self, id: &CommandId) -> Result<Option<JournalEvidence>, StoreError> {
        Ok(self.kept(self.store.dbs.evidence, id)?.map(|(evidence, _)| evidence))
    }

    /// What a person decided of a command.
    pub fn decision(&self, id: &CommandId) -> Result<Option<JournalDecision>, StoreError> {
        Ok(self.kept(self.store.dbs.decisions, id)?.map(|(decision, _)| decision))
    }

    /// Outcomes of a venue whose results are not known to be published, in log order.
    pub fn unpublished(&self, venue: &str, max: usize) -> Result<Vec<Unpublished>, StoreError> {
        let mut found = Vec::new();
        for (offset, id) in self.unpublished_ids()? {
            if found.len() >= max {
                break;
            }
            if self.entry(&id)?.is_none_or(|entry| entry.head.venue != venue) {
                continue;
            }
            let Some(outcome) = self.outcome(&id)? else {
                return Err(self.store.damaged(format!("the outcome of {id} is missing")));
            };
            found.extend(unpublished(offset, outcome, self.claim(&id)?));
        }
        Ok(found)
    }

    /// Offsets and commands of all outcomes whose results are not known to be published, in log order.
    pub fn unpublished_ids(&self) -> Result<Vec<(i64, CommandId)>, StoreError> {
        let mut found = Vec::new();
        for item in self.store.list(self.txn.txn(), self.store.dbs.unpublished, &self.partition.to_be_bytes())? {
            let (key, id) = item?;
            let offset = key.get(4..).and_then(super::encoding::decode::<i64>);
            let (Some(offset), Some(id)) = (offset, id_of(id)) else {
                return Err(self.store.damaged("an unpublished outcome of another shape".to_owned()));
            };
            found.push((offset, id));
        }
        Ok(found)
    }

    /// Every command that is claimed and has not ended, of whatever venue.
    pub fn open(&self) -> Result<Vec<Entry>, StoreError> {
        self.entries_of(self.store.dbs.open)
    }

    /// Every command whose claim is kept, oldest first.
    pub fn claimed(&self) -> Result<Vec<Entry>, StoreError> {
        self.entries_of(self.store.dbs.claims)
    }

    /// Every command that the fold holds, oldest first; stops where `take` says so.
    pub fn each_entry(&self, mut take: impl FnMut(Entry) -> bool) -> Result<(), StoreError> {
        for item in self.store.list(self.txn.txn(), self.store.dbs.entries, &self.partition.to_be_bytes())? {
            if !take(self.store.decode(item?.1)?) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn is_unpublished(&self, entry: &Entry) -> Result<bool, StoreError> {
        let Some(outcome) = entry.outcome else { return Ok(false) };
        let key = offset_key(self.partition, outcome.offset);
        Ok(self.store.bytes(self.txn.txn(), self.store.dbs.unpublished, &key)?.is_some())
    }

    /// The entries of all commands that a database names.
    fn entries_of(&self, db: Db) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for item in self.store.list(self.txn.txn(), db, &self.partition.to_be_bytes())? {
            entries.extend(self.store.get(self.txn.txn(), self.store.dbs.entries, item?.0)?);
        }
        Ok(entries)
    }

    fn kept<P: Payload>(&self, db: Db, id: &CommandId) -> Result<Option<(P, Option<String>)>, StoreError> {
        let Some(bytes) = self.store.bytes(self.txn.txn(), db, &id_key(self.partition, id))? else { return Ok(None) };
        let damaged = || self.store.damaged(format!("the {} of {id} cannot be read", P::EVENT_TYPE));
        read_kept(bytes).map(Some).ok_or_else(damaged)
    }
}

impl<T: Reading> FoldView for Fold<'_, T> {
    type Error = StoreError;

    fn fence(&self, venue: &str) -> Result<Option<Fence>, StoreError> {
        self.store.get(self.txn.txn(), self.store.dbs.fences, &venue_key(self.partition, venue))
    }
    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, StoreError> {
        self.store.get(self.txn.txn(), self.store.dbs.entries, &id_key(self.partition, id))
    }
    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, StoreError> {
        self.store.get(self.txn.txn(), self.store.dbs.keys, &hash_key(self.partition, key))
    }
    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, StoreError> {
        self.store.get(self.txn.txn(), self.store.dbs.events, &event_key(self.partition, event_id))
    }
    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, StoreError> {
        let mut open = self.open()?;
        open.retain(|entry| entry.is_open() && entry.head.venue == venue);
        Ok(open)
    }
    fn floor(&self) -> Result<Timestamp, StoreError> {
        Ok(self.checkpoint()?.map(|checkpoint| checkpoint.floor).unwrap_or_default())
    }
}

impl FoldStore for PartitionFold<'_, '_> {
    fn set_fence(&mut self, venue: &str, fence: Fence) -> Result<(), StoreError> {
        self.store.put(self.txn, self.store.dbs.fences, &venue_key(self.partition, venue), &fence)
    }
    fn set_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let (store, id) = (self.store, &entry.head.id);
        let key = id_key(self.partition, id);
        store.put(self.txn, store.dbs.entries, &key, entry)?;
        if entry.is_open() {
            store.put_bytes(self.txn, store.dbs.open, &key, &[])?;
        } else if entry.claim.is_some() {
            store.delete(self.txn, store.dbs.open, &key)?;
        }
        if entry.head.event_id.is_nil() || is_later(entry) {
            return Ok(());
        }
        store.put(self.txn, store.dbs.events, &event_key(self.partition, &entry.head.event_id), id)
    }
    fn set_key_owner(&mut self, key: &str, id: &CommandId) -> Result<(), StoreError> {
        self.store.put(self.txn, self.store.dbs.keys, &hash_key(self.partition, key), id)
    }
}

/// Whether the entry was there before: then its record's id is kept already.
fn is_later(entry: &Entry) -> bool {
    let Some(claim) = entry.claim else { return false };
    entry.evidence.is_some()
        || entry.decision.is_some()
        || entry.outcome.is_some_and(|outcome| outcome.offset != claim.offset)
}

pub(super) fn id_key(partition: i32, id: &CommandId) -> [u8; 20] {
    key(partition, id.as_bytes())
}

pub(super) fn offset_key(partition: i32, offset: i64) -> [u8; 12] {
    key(partition, &offset.to_be_bytes())
}

pub(super) fn event_key(partition: i32, id: &Uuid) -> [u8; 20] {
    key(partition, id.as_bytes())
}

/// Sixteen bytes of the hash: short keys make a refold quick, and two that met would only refuse the later command.
pub(super) fn hash_key(partition: i32, idempotency_key: &str) -> [u8; 20] {
    key(partition, &Sha256::digest(idempotency_key))
}

/// The partition and as much of the rest as fits.
fn key<const N: usize>(partition: i32, rest: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key.iter_mut().zip(partition.to_be_bytes().iter().chain(rest)).for_each(|(to, from)| *to = *from);
    key
}

fn venue_key(partition: i32, venue: &str) -> Vec<u8> {
    [&partition.to_be_bytes()[..], venue.as_bytes()].concat()
}

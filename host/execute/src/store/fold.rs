//! One partition's fold in LMDB, as the protocol reads and writes it.

use heed::{RoTxn, RwTxn, WithoutTls};
use sha2::{Digest, Sha256};
use unrip_core::event::journal::{JournalDecision, JournalEvidence};
use unrip_core::{CommandId, Uuid};

use super::env::{Store, StoreError};
use super::record::{Checkpoint, KeptClaim, Unpublished};
use crate::core::fold::{Entry, Fence, FoldStore, FoldView};

/// A snapshot of one partition's fold.
pub struct PartitionView<'a> {
    store: &'a Store,
    txn: RoTxn<'a, WithoutTls>,
    partition: i32,
}

impl std::fmt::Debug for PartitionView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionView").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl Store {
    /// A snapshot of one partition's fold. Never hold it over an await.
    pub fn view(&self, partition: i32) -> Result<PartitionView<'_>, StoreError> {
        Ok(PartitionView { store: self, txn: self.read()?, partition })
    }
}

impl PartitionView<'_> {
    /// How far the partition is folded.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.get(&self.txn, self.store.dbs.checkpoints, &self.partition.to_be_bytes())
    }

    /// The valid claim of a command, while its result is unpublished.
    pub fn claim(&self, id: &CommandId) -> Result<Option<KeptClaim>, StoreError> {
        self.store.get(&self.txn, self.store.dbs.claims, &id_key(self.partition, id))
    }

    /// What a fenced executor heard of a command.
    pub fn evidence(&self, id: &CommandId) -> Result<Option<JournalEvidence>, StoreError> {
        self.store.get(&self.txn, self.store.dbs.evidence, &id_key(self.partition, id))
    }

    /// What a person decided of a command.
    pub fn decision(&self, id: &CommandId) -> Result<Option<JournalDecision>, StoreError> {
        self.store.get(&self.txn, self.store.dbs.decisions, &id_key(self.partition, id))
    }

    /// Outcomes whose results are not known to be published, in log order.
    pub fn unpublished(&self) -> Result<Vec<Unpublished>, StoreError> {
        self.store.list(&self.txn, self.store.dbs.unpublished, &self.partition.to_be_bytes())
    }
}

impl FoldView for PartitionView<'_> {
    type Error = StoreError;

    fn fence(&self, venue: &str) -> Result<Option<Fence>, StoreError> {
        reads::fence(self.store, &self.txn, self.partition, venue)
    }
    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, StoreError> {
        reads::entry(self.store, &self.txn, self.partition, id)
    }
    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, StoreError> {
        reads::key_owner(self.store, &self.txn, self.partition, key)
    }
    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, StoreError> {
        reads::event_owner(self.store, &self.txn, self.partition, event_id)
    }
    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, StoreError> {
        reads::open_claims(self.store, &self.txn, self.partition, venue)
    }
}

/// One partition's fold inside the writer's transaction.
pub(super) struct PartitionFold<'a, 'env> {
    pub(super) store: &'a Store,
    pub(super) txn: &'a mut RwTxn<'env>,
    pub(super) partition: i32,
}

impl FoldView for PartitionFold<'_, '_> {
    type Error = StoreError;

    fn fence(&self, venue: &str) -> Result<Option<Fence>, StoreError> {
        reads::fence(self.store, self.txn, self.partition, venue)
    }
    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, StoreError> {
        reads::entry(self.store, self.txn, self.partition, id)
    }
    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, StoreError> {
        reads::key_owner(self.store, self.txn, self.partition, key)
    }
    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, StoreError> {
        reads::event_owner(self.store, self.txn, self.partition, event_id)
    }
    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, StoreError> {
        reads::open_claims(self.store, self.txn, self.partition, venue)
    }
}

impl FoldStore for PartitionFold<'_, '_> {
    fn set_fence(&mut self, venue: &str, fence: Fence) -> Result<(), StoreError> {
        self.store.put(self.txn, self.store.dbs.fences, &venue_key(self.partition, venue), &fence)
    }
    fn set_entry(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let id = &entry.head.id;
        self.store.put(self.txn, self.store.dbs.entries, &id_key(self.partition, id), entry)?;
        if entry.head.event_id.is_nil() {
            return Ok(());
        }
        self.store.put(self.txn, self.store.dbs.events, &event_key(self.partition, &entry.head.event_id), id)
    }
    fn set_key_owner(&mut self, key: &str, id: &CommandId) -> Result<(), StoreError> {
        self.store.put(self.txn, self.store.dbs.keys, &hash_key(self.partition, key), id)
    }
}

/// The reads, the same in a snapshot and in the writer's transaction.
mod reads {
    use super::*;

    pub(super) fn fence(
        store: &Store,
        txn: &RoTxn<'_>,
        partition: i32,
        venue: &str,
    ) -> Result<Option<Fence>, StoreError> {
        store.get(txn, store.dbs.fences, &venue_key(partition, venue))
    }
    pub(super) fn entry(
        store: &Store,
        txn: &RoTxn<'_>,
        partition: i32,
        id: &CommandId,
    ) -> Result<Option<Entry>, StoreError> {
        store.get(txn, store.dbs.entries, &id_key(partition, id))
    }
    pub(super) fn key_owner(
        store: &Store,
        txn: &RoTxn<'_>,
        partition: i32,
        key: &str,
    ) -> Result<Option<CommandId>, StoreError> {
        store.get(txn, store.dbs.keys, &hash_key(partition, key))
    }
    pub(super) fn event_owner(
        store: &Store,
        txn: &RoTxn<'_>,
        partition: i32,
        id: &Uuid,
    ) -> Result<Option<CommandId>, StoreError> {
        store.get(txn, store.dbs.events, &event_key(partition, id))
    }
    /// Claims are kept until their result is published, so this reads what is open and little more.
    pub(super) fn open_claims(
        store: &Store,
        txn: &RoTxn<'_>,
        partition: i32,
        venue: &str,
    ) -> Result<Vec<Entry>, StoreError> {
        let claims: Vec<KeptClaim> = store.list(txn, store.dbs.claims, &partition.to_be_bytes())?;
        let mut open = Vec::new();
        for kept in claims {
            let entry = entry(store, txn, partition, &kept.claim.command_id)?;
            open.extend(entry.filter(|entry| entry.is_open() && entry.head.venue == venue));
        }
        Ok(open)
    }
}

pub(super) fn id_key(partition: i32, id: &CommandId) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &id.as_bytes()[..]].concat()
}

pub(super) fn offset_key(partition: i32, offset: i64) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &offset.to_be_bytes()[..]].concat()
}

fn venue_key(partition: i32, venue: &str) -> Vec<u8> {
    [&partition.to_be_bytes()[..], venue.as_bytes()].concat()
}

fn event_key(partition: i32, id: &Uuid) -> Vec<u8> {
    [&partition.to_be_bytes()[..], id.as_bytes()].concat()
}

/// LMDB keys are at most 511 bytes long, idempotency keys are not.
fn hash_key(partition: i32, key: &str) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &Sha256::digest(key)[..]].concat()
}

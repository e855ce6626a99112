//! One commit: journal records applied by the rule, and what is kept beside the fold.

use std::collections::{BTreeMap, HashMap};

use heed::RwTxn;
use unrip_core::{CommandId, Timestamp};

use super::env::Store;
use super::error::StoreError;
use super::fold::{PartitionFold, id_key, offset_key};
use super::record::{Checkpoint, LogEnd, kept};
use super::sweep::Sweep;
use unrip_protocol::fold::{Applied, Fact, FoldView, Head, Placed, apply};
use unrip_protocol::wire::JournalRecord;

/// A journal record as it was read from the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    pub partition: i32,
    /// The broker's time of its append (its own time where the broker does not stamp).
    pub appended_at: Timestamp,
    /// Its `traceparent`.
    pub trace: Option<String>,
    pub record: JournalRecord,
}

/// A journal record that is in the fold, and the fold on disk.
#[derive(Clone, Debug)]
pub struct FoldedRecord {
    pub partition: i32,
    /// The broker's time of its append.
    pub appended_at: Timestamp,
    /// The record.
    pub placed: Placed,
    /// What it did.
    pub applied: Applied,
}

/// A valid claim that is not on disk yet: one whose command is over within the same commit need not go there.
struct NewClaim {
    deadline: Timestamp,
    bytes: Vec<u8>,
}

/// Everything that one commit puts on disk.
pub(super) struct Batch<'s> {
    store: &'s Store,
    txn: RwTxn<'s>,
    /// Where each log ended when this process began: what is long over there is not kept on the way.
    ends: &'s BTreeMap<i32, LogEnd>,
    checkpoints: BTreeMap<i32, Checkpoint>,
    claims: HashMap<(i32, CommandId), NewClaim>,
    pub(super) folded: Vec<FoldedRecord>,
    /// Bytes of the records folded.
    pub(super) bytes: usize,
}

impl<'s> Batch<'s> {
    pub(super) fn begin(store: &'s Store, ends: &'s BTreeMap<i32, LogEnd>) -> Result<Self, StoreError> {
        let txn = store.env.write_txn().map_err(|error| store.error(error))?;
        let (checkpoints, claims, folded) = (BTreeMap::new(), HashMap::new(), Vec::new());
        Ok(Self { store, txn, ends, checkpoints, claims, folded, bytes: 0 })
    }

    /// Puts it on disk, and sweeps a little behind it.
    pub(super) fn commit(mut self, sweep: &mut Sweep) -> Result<Vec<FoldedRecord>, StoreError> {
        let store = self.store;
        for ((partition, id), claim) in std::mem::take(&mut self.claims) {
            store.put_bytes(&mut self.txn, store.dbs.claims, &id_key(partition, &id), &claim.bytes)?;
        }
        let records = self.folded.len();
        for (partition, mut checkpoint) in std::mem::take(&mut self.checkpoints) {
            let newest = newest(self.ends, partition, &checkpoint);
            sweep.partition(store, &mut self.txn, partition, &mut checkpoint, newest, records)?;
            store.put(&mut self.txn, store.dbs.checkpoints, &partition.to_be_bytes(), &checkpoint)?;
        }
        self.txn.commit().map_err(|error| store.error(error))?;
        Ok(self.folded)
    }

    /// Applies one record.
    pub(super) fn fold(&mut self, log: LogRecord) -> Result<(), StoreError> {
        let LogRecord { partition, appended_at, trace, record: JournalRecord { placed, journal_id, value } } = log;
        let applied = apply(&mut self.of(partition), &placed)?;
        let bytes = value.len();
        let checkpoint = self.checkpoint(partition, appended_at)?;
        if let Some(id) = journal_id.filter(|id| !id.is_nil()) {
            // A fence says it too, where the genesis has passed its retention.
            if placed.fact == Fact::Genesis {
                checkpoint.journal_id = Some(id);
            } else {
                checkpoint.journal_id.get_or_insert(id);
            }
        }
        if applied == Applied::Fenced {
            checkpoint.first_fence_at.get_or_insert(appended_at);
        }
        checkpoint.next_offset = placed.offset + 1;
        checkpoint.last_event_id = Some(placed.event_id);
        checkpoint.newest_append = checkpoint.newest_append.max(appended_at);
        self.keep(partition, &placed, &applied, &value, trace.as_deref())?;
        self.folded.push(FoldedRecord { partition, appended_at, placed, applied });
        self.bytes += bytes;
        Ok(())
    }

    /// Notes that these results are on the result topic, which is read up to `result_next`.
    pub(super) fn published(
        &mut self,
        partition: i32,
        ids: &[CommandId],
        result_next: Option<i64>,
    ) -> Result<(), StoreError> {
        let store = self.store;
        for id in ids {
            let entry = self.of(partition).entry(id)?;
            let key = id_key(partition, id);
            match entry.as_ref().and_then(|entry| Some((entry, entry.outcome?))) {
                Some((entry, outcome)) => {
                    let place = offset_key(partition, outcome.offset);
                    store.delete(&mut self.txn, store.dbs.unpublished, &place)?;
                    if entry.claim.is_none() {
                        store.delete(&mut self.txn, store.dbs.outcomes, &key)?;
                    }
                }
                // The result is read and its outcome not yet folded.
                None => store.put_bytes(&mut self.txn, store.dbs.early, &key, &[])?,
            }
        }
        match result_next {
            Some(next) => store.put(&mut self.txn, store.dbs.results, &partition.to_be_bytes(), &next),
            None => Ok(()),
        }
    }

    /// Drops a partition's fold.
    pub(super) fn forget(&mut self, partition: i32) -> Result<(), StoreError> {
        self.checkpoints.remove(&partition);
        self.claims.retain(|(of, _), _| *of != partition);
        let prefix = partition.to_be_bytes();
        let failed = |error| self.store.error(error);
        for db in self.store.dbs.of_fold() {
            let mut found = db.prefix_iter_mut(&mut self.txn, &prefix).map_err(failed)?;
            while found.next().transpose().map_err(failed)?.is_some() {
                #[allow(unsafe_code, reason = "the key and the value are not held over the deletion")]
                unsafe { found.del_current() }.map_err(failed)?;
            }
        }
        // The results are read again too: they say which outcomes of the next fold are published.
        self.store.delete(&mut self.txn, self.store.dbs.results, &prefix)?;
        Ok(())
    }

    fn of(&mut self, partition: i32) -> PartitionFold<'_, 's> {
        PartitionFold { store: self.store, txn: &mut self.txn, partition }
    }

    fn checkpoint(&mut self, partition: i32, appended_at: Timestamp) -> Result<&mut Checkpoint, StoreError> {
        use std::collections::btree_map::Entry;
        match self.checkpoints.entry(partition) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(place) => {
                let key = partition.to_be_bytes();
                let known = self.store.get(&self.txn, self.store.dbs.checkpoints, &key)?;
                // The floor starts at the oldest record: genesis, or what is left of a log cut by age.
                Ok(place.insert(known.unwrap_or_else(|| Checkpoint { floor: appended_at, ..Checkpoint::default() })))
            }
        }
    }

    /// Keeps the records that recovery and publication need.
    fn keep(
        &mut self,
        partition: i32,
        placed: &Placed,
        applied: &Applied,
        value: &[u8],
        trace: Option<&str>,
    ) -> Result<(), StoreError> {
        let dbs = self.store.dbs;
        let (db, id) = match (&placed.fact, applied) {
            (Fact::Claim { head, .. }, Applied::ClaimValid) => {
                let claim = NewClaim { deadline: head.deadline, bytes: kept(trace, value) };
                self.claims.insert((partition, head.id), claim);
                return Ok(());
            }
            (Fact::Outcome { head, .. }, Applied::OutcomeValid) => {
                return self.keep_outcome(partition, placed.offset, head, &kept(trace, value));
            }
            (Fact::Evidence { id }, Applied::EvidenceNoted) => (dbs.evidence, id),
            (Fact::Decision { id }, Applied::DecisionNoted) => (dbs.decisions, id),
            _ => return Ok(()),
        };
        self.store.put_bytes(&mut self.txn, db, &id_key(partition, id), &kept(trace, value))
    }

    fn keep_outcome(&mut self, partition: i32, offset: i64, head: &Head, record: &[u8]) -> Result<(), StoreError> {
        let (store, key, place) = (self.store, id_key(partition, &head.id), (partition, head.id));
        let is_published = store.delete(&mut self.txn, store.dbs.early, &key)?;
        let new = self.claims.get(&place).map(|claim| claim.deadline);
        if let (true, Some(deadline)) = (is_published, new)
            && self
                .checkpoints
                .get(&partition)
                .is_some_and(|checkpoint| store.keeping.is_settled(deadline, newest(self.ends, partition, checkpoint)))
        {
            self.claims.remove(&place);
            return Ok(());
        }
        let is_claimed = new.is_some() || store.bytes(&self.txn, store.dbs.claims, &key)?.is_some();
        // Neither claim nor command: a record that no executor of ours writes. There is nothing to answer to.
        let is_answerable = is_claimed || !head.event_id.is_nil();
        if is_claimed || (is_answerable && !is_published) {
            store.put_bytes(&mut self.txn, store.dbs.outcomes, &key, record)?;
        }
        if is_answerable && !is_published {
            store.put(&mut self.txn, store.dbs.unpublished, &offset_key(partition, offset), &head.id)?;
        }
        Ok(())
    }
}

/// The newest append time known of a log.
fn newest(ends: &BTreeMap<i32, LogEnd>, partition: i32, checkpoint: &Checkpoint) -> Timestamp {
    ends.get(&partition).map_or(checkpoint.newest_append, |end| checkpoint.newest_append.max(end.appended_at))
}

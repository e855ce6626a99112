//! Forgetting what can no longer be asked for, a little with each commit.
//!
//! The floor moves first, and by append times only: a command below it that comes again is stale, so that what was
//! known of it may go.

use std::collections::BTreeMap;

use heed::RwTxn;
use unrip_core::{CommandId, Timestamp};

use super::databases::Db;
use super::encoding::decode;
use super::env::Store;
use super::error::StoreError;
use super::fold::{PartitionFold, event_key, hash_key, id_key};
use super::record::{Checkpoint, Keeping};
use unrip_protocol::fold::{Entry, FoldView};

/// Commands looked at per commit at least; with more records in it twice as many as records, up to the most.
const LOOKS_MIN: usize = 64;
const LOOKS_MAX: usize = 50_000;
/// After its deadline a claim is kept this long, in milliseconds: news of its settlement may come minutes late.
const SETTLED_MS: i64 = 900_000;
/// The same where the store is more than half full.
const SETTLED_PRESSED_MS: i64 = 60_000;
/// Beside two clocks' skew, entries are kept this long below the floor, in milliseconds.
const FLOOR_MARGIN_MS: i64 = 60_000;
/// Commits between two looks at how full the store is, and what counts as pressed.
const PRESSED_COMMITS: u32 = 256;
const PRESSED_RATIO: f64 = 0.5;

impl Keeping {
    /// Whether nothing waits for the settlement of an action with this deadline.
    pub(super) fn is_settled(&self, deadline: Timestamp, newest: Timestamp) -> bool {
        deadline.plus_millis(SETTLED_MS) < newest
    }
}

/// Where sweeping stands.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The next claim to look at, where the last look did not reach the end.
    claims: BTreeMap<i32, CommandId>,
    /// The same of entries.
    entries: BTreeMap<i32, CommandId>,
    commits: u32,
    is_pressed: bool,
}

impl Sweep {
    /// Looks from time to time how full the store is. Not within a transaction.
    pub(super) fn weigh(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.commits.is_multiple_of(PRESSED_COMMITS) {
            self.is_pressed = store.used_ratio()? > PRESSED_RATIO;
        }
        self.commits = self.commits.wrapping_add(1);
        Ok(())
    }

    /// Sweeps behind one partition's newest append, after `records` more were folded.
    pub(super) fn partition(
        &mut self,
        store: &Store,
        txn: &mut RwTxn<'_>,
        partition: i32,
        checkpoint: &mut Checkpoint,
        newest: Timestamp,
        records: usize,
    ) -> Result<(), StoreError> {
        let looks = records.saturating_mul(2).clamp(LOOKS_MIN, LOOKS_MAX);
        let mut fold = PartitionFold { store, txn, partition };
        let settled_ms = if self.is_pressed { SETTLED_PRESSED_MS } else { SETTLED_MS };
        let from = self.claims.remove(&partition);
        let (found, next) = ids(&fold, store.dbs.claims, from, looks, newest.plus_millis(-settled_ms))?;
        next.map(|next| self.claims.insert(partition, next));
        for id in found {
            let entry = fold.entry(&id)?;
            let is_over = match &entry {
                Some(entry) => is_over(&fold, entry)? && entry.head.deadline.plus_millis(settled_ms) < newest,
                None => true,
            };
            if is_over {
                forget_records(&mut fold, &id)?;
            }
        }
        checkpoint.floor = checkpoint.floor.max(newest.plus_millis(-store.keeping.history_ms));
        let below = checkpoint.floor.plus_millis(-(2 * store.keeping.clock_skew_ms_max + FLOOR_MARGIN_MS));
        let from = self.entries.remove(&partition);
        let (found, next) = ids(&fold, store.dbs.entries, from, looks, below)?;
        next.map(|next| self.entries.insert(partition, next));
        for id in found {
            if let Some(entry) = fold.entry(&id)?
                && is_over(&fold, &entry)?
            {
                forget_entry(&mut fold, &entry)?;
            }
        }
        for id in ids(&fold, store.dbs.early, None, looks, below)?.0 {
            store.delete(fold.txn, store.dbs.early, &id_key(partition, &id))?;
        }
        Ok(())
    }
}

/// Ended and published.
fn is_over(fold: &PartitionFold<'_, '_>, entry: &Entry) -> Result<bool, StoreError> {
    Ok(entry.outcome.is_some() && !fold.is_unpublished(entry)?)
}

/// Commands older than `below`, at most so many, and where to go on if there may be more. Ids are ordered by time.
fn ids(
    fold: &PartitionFold<'_, '_>,
    db: Db,
    from: Option<CommandId>,
    most: usize,
    below: Timestamp,
) -> Result<(Vec<CommandId>, Option<CommandId>), StoreError> {
    use std::ops::Bound::{Excluded, Included};
    let (first, end) = (
        from.map_or_else(|| id_key(fold.partition, &CommandId::from_bytes([0; 16])), |id| id_key(fold.partition, &id)),
        id_key(fold.partition, &CommandId::from_bytes([0xff; 16])),
    );
    let range = (Included(&first[..]), Excluded(&end[..]));
    let mut found = Vec::new();
    let read = |error| fold.store.error(error);
    for item in db.range(fold.txn, &range).map_err(read)? {
        let id = item.map_err(read)?.0.get(4..).and_then(decode::<CommandId>);
        let id = id.ok_or_else(|| fold.store.damaged("a key of another shape".to_owned()))?;
        if id.time() >= below {
            return Ok((found, None));
        }
        if found.len() >= most {
            return Ok((found, Some(id)));
        }
        found.push(id);
    }
    Ok((found, None))
}

fn forget_records(fold: &mut PartitionFold<'_, '_>, id: &CommandId) -> Result<(), StoreError> {
    let (store, key) = (fold.store, id_key(fold.partition, id));
    for db in [store.dbs.claims, store.dbs.outcomes, store.dbs.evidence, store.dbs.decisions] {
        store.delete(fold.txn, db, &key)?;
    }
    Ok(())
}

fn forget_entry(fold: &mut PartitionFold<'_, '_>, entry: &Entry) -> Result<(), StoreError> {
    let (store, partition, head) = (fold.store, fold.partition, &entry.head);
    forget_records(fold, &head.id)?;
    if fold.key_owner(&head.idempotency_key)? == Some(head.id) {
        store.delete(fold.txn, store.dbs.keys, &hash_key(partition, &head.idempotency_key))?;
    }
    if fold.event_owner(&head.event_id)? == Some(head.id) {
        store.delete(fold.txn, store.dbs.events, &event_key(partition, &head.event_id))?;
    }
    store.delete(fold.txn, store.dbs.entries, &id_key(partition, &head.id))?;
    Ok(())
}

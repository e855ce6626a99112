//! The one thread that writes: takes batches of journal records, applies the rule, commits once, then tells.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use heed::RwTxn;
use unrip_core::event::journal::{JournalEntry, JournalOutcome};
use unrip_core::{CommandId, Timestamp};

use super::env::{Store, StoreError};
use super::fold::{PartitionFold, id_key, offset_key};
use super::record::{Checkpoint, KeptClaim, Unpublished};
use crate::core::fold::{Applied, Fact, FoldView, Placed, apply};
use crate::core::wire::JournalRecord;
use crate::points::{Point, reach};

/// Batches waiting for the writer; more hold the journal's reader back.
const QUEUE_BATCHES_MAX: usize = 64;
/// Batches that share one commit.
const COMMIT_BATCHES_MAX: usize = 32;

/// A journal record as it was read from the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// Its partition.
    pub partition: i32,
    /// The broker's time of its append (its own time where the broker does not stamp).
    pub appended_at: Timestamp,
    /// Its `traceparent`.
    pub trace: Option<String>,
    /// The record.
    pub record: JournalRecord,
}

/// A journal record that is in the fold, and the fold on disk.
#[derive(Clone, Debug)]
pub struct FoldedRecord {
    /// Its partition.
    pub partition: i32,
    /// The broker's time of its append.
    pub appended_at: Timestamp,
    /// The record.
    pub placed: Placed,
    /// What it did.
    pub applied: Applied,
}

enum Job {
    Apply(Vec<LogRecord>),
    Published { partition: i32, ids: Vec<CommandId>, result_next: i64, done: SyncSender<()> },
    Forget { partition: i32, done: SyncSender<()> },
}

/// A handle to the writer thread.
#[derive(Clone)]
pub struct Writer {
    jobs: SyncSender<Job>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts the thread. `told` gets every folded record after its commit; an error is told once and ends the thread.
    pub fn start<F>(store: Store, told: F) -> std::io::Result<Self>
    where
        F: Fn(Result<Vec<FoldedRecord>, StoreError>) + Send + 'static,
    {
        let (jobs, queue) = sync_channel(QUEUE_BATCHES_MAX);
        thread::Builder::new().name("fold".to_owned()).spawn(move || {
            if let Err(error) = run(&store, &queue, &told) {
                told(Err(error));
            }
        })?;
        Ok(Self { jobs })
    }

    /// Applies records in the order given. Blocks while the queue is full.
    pub fn apply(&self, records: Vec<LogRecord>) -> Result<(), StoreError> {
        self.send(Job::Apply(records))
    }

    /// Notes that these commands' results are on the result topic, which is read up to `result_next`. Blocks until it
    /// is on disk.
    pub fn published(&self, partition: i32, ids: Vec<CommandId>, result_next: i64) -> Result<(), StoreError> {
        self.wait(|done| Job::Published { partition, ids, result_next, done })
    }

    /// Drops a partition's fold: another log stands in its place. Blocks until it is on disk.
    pub fn forget(&self, partition: i32) -> Result<(), StoreError> {
        self.wait(|done| Job::Forget { partition, done })
    }

    fn wait(&self, job: impl FnOnce(SyncSender<()>) -> Job) -> Result<(), StoreError> {
        let (done, waited) = sync_channel(1);
        self.send(job(done))?;
        waited.recv().map_err(|_| StoreError::Stopped)
    }

    fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).map_err(|_| StoreError::Stopped)
    }
}

fn run<F>(store: &Store, queue: &Receiver<Job>, told: &F) -> Result<(), StoreError>
where
    F: Fn(Result<Vec<FoldedRecord>, StoreError>),
{
    while let Ok(first) = queue.recv() {
        let mut txn = store.env.write_txn().map_err(|error| store.error(error))?;
        let (mut folded, mut waiting) = (Vec::new(), Vec::new());
        let rest = std::iter::from_fn(|| queue.try_recv().ok()).take(COMMIT_BATCHES_MAX - 1);
        for job in std::iter::once(first).chain(rest) {
            waiting.extend(work(store, &mut txn, job, &mut folded)?);
        }
        if !folded.is_empty() {
            reach(Point::FoldCommitBefore);
        }
        txn.commit().map_err(|error| store.error(error))?;
        for done in waiting {
            // Whoever waited may have been stopped meanwhile.
            let _ = done.send(());
        }
        if !folded.is_empty() {
            reach(Point::FoldCommitAfter);
            told(Ok(folded));
        }
    }
    Ok(())
}

/// Does one job; returns whom to tell after the commit.
fn work(
    store: &Store,
    txn: &mut RwTxn<'_>,
    job: Job,
    folded: &mut Vec<FoldedRecord>,
) -> Result<Option<SyncSender<()>>, StoreError> {
    match job {
        Job::Apply(records) => {
            for record in records {
                folded.push(fold_one(store, txn, record)?);
            }
            Ok(None)
        }
        Job::Published { partition, ids, result_next, done } => {
            published(store, txn, partition, &ids, result_next)?;
            Ok(Some(done))
        }
        Job::Forget { partition, done } => {
            forget(store, txn, partition)?;
            Ok(Some(done))
        }
    }
}

fn fold_one(store: &Store, txn: &mut RwTxn<'_>, log: LogRecord) -> Result<FoldedRecord, StoreError> {
    let LogRecord { partition, appended_at, trace, record: JournalRecord { placed, entry } } = log;
    let mut fold = PartitionFold { store, txn, partition };
    let applied = apply(&mut fold, &placed)?;
    keep(&mut fold, &placed, &applied, &entry, trace)?;
    checkpoint(&mut fold, &placed, &applied, &entry, appended_at)?;
    Ok(FoldedRecord { partition, appended_at, placed, applied })
}

/// Keeps the payloads that recovery and publication need.
fn keep(
    fold: &mut PartitionFold<'_, '_>,
    placed: &Placed,
    applied: &Applied,
    entry: &JournalEntry,
    trace: Option<String>,
) -> Result<(), StoreError> {
    let (store, partition) = (fold.store, fold.partition);
    match (entry, applied) {
        (JournalEntry::Claim(claim), Applied::ClaimValid) => {
            let kept = KeptClaim { claim: (**claim).clone(), trace };
            store.put(fold.txn, store.dbs.claims, &id_key(partition, &claim.command_id), &kept)
        }
        (JournalEntry::Evidence(evidence), Applied::EvidenceNoted) => {
            store.put(fold.txn, store.dbs.evidence, &id_key(partition, &evidence.command_id), evidence)
        }
        (JournalEntry::Decision(decision), Applied::DecisionNoted) => {
            store.put(fold.txn, store.dbs.decisions, &id_key(partition, &decision.command_id), decision)
        }
        (JournalEntry::Outcome(outcome), Applied::OutcomeValid) => {
            let claim: Option<KeptClaim> =
                store.get(fold.txn, store.dbs.claims, &id_key(partition, &outcome.command_id))?;
            if let Some(unpublished) = unpublished(placed.offset, outcome, claim, trace) {
                store.put(fold.txn, store.dbs.unpublished, &offset_key(partition, placed.offset), &unpublished)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn unpublished(
    offset: i64,
    outcome: &JournalOutcome,
    claim: Option<KeptClaim>,
    trace: Option<String>,
) -> Option<Unpublished> {
    let (command, action_digest, module) = match claim {
        Some(KeptClaim { claim, .. }) => (claim.command, Some(claim.action_digest), Some(claim.module)),
        // Neither claim nor command: a record that no executor of ours writes. There is nothing to answer to.
        None => (outcome.command.clone()?, None, None),
    };
    Some(Unpublished { offset, outcome: outcome.clone(), command, action_digest, module, trace })
}

fn checkpoint(
    fold: &mut PartitionFold<'_, '_>,
    placed: &Placed,
    applied: &Applied,
    entry: &JournalEntry,
    appended_at: Timestamp,
) -> Result<(), StoreError> {
    let (store, key) = (fold.store, fold.partition.to_be_bytes());
    // The floor starts at the oldest record: genesis, or what is left of a log whose beginning was deleted by age.
    let mut next = store
        .get(fold.txn, store.dbs.checkpoints, &key)?
        .unwrap_or_else(|| Checkpoint { floor: appended_at, ..Checkpoint::default() });
    if let JournalEntry::Genesis(genesis) = entry {
        next.journal_id = Some(genesis.journal_id);
    }
    if placed.fact == Fact::Fence && *applied == Applied::Fenced {
        next.first_fence_at.get_or_insert(appended_at);
    }
    next.next_offset = placed.offset + 1;
    next.last_event_id = Some(placed.event_id);
    next.newest_append = next.newest_append.max(appended_at);
    store.put(fold.txn, store.dbs.checkpoints, &key, &next)
}

fn published(
    store: &Store,
    txn: &mut RwTxn<'_>,
    partition: i32,
    ids: &[CommandId],
    result_next: i64,
) -> Result<(), StoreError> {
    for id in ids {
        let entry = PartitionFold { store, txn: &mut *txn, partition }.entry(id)?;
        if let Some(outcome) = entry.and_then(|entry| entry.outcome) {
            store.delete(txn, store.dbs.unpublished, &offset_key(partition, outcome.offset))?;
            store.delete(txn, store.dbs.claims, &id_key(partition, id))?;
            store.delete(txn, store.dbs.evidence, &id_key(partition, id))?;
            store.delete(txn, store.dbs.decisions, &id_key(partition, id))?;
        }
    }
    let key = partition.to_be_bytes();
    let mut next: Checkpoint = store.get(txn, store.dbs.checkpoints, &key)?.unwrap_or_default();
    next.result_next = next.result_next.max(result_next);
    store.put(txn, store.dbs.checkpoints, &key, &next)
}

fn forget(store: &Store, txn: &mut RwTxn<'_>, partition: i32) -> Result<(), StoreError> {
    let prefix = partition.to_be_bytes();
    let dbs = &store.dbs;
    for db in [
        dbs.checkpoints,
        dbs.fences,
        dbs.entries,
        dbs.keys,
        dbs.events,
        dbs.claims,
        dbs.evidence,
        dbs.decisions,
        dbs.unpublished,
    ] {
        let mut keys = Vec::new();
        for item in db.prefix_iter(txn, &prefix).map_err(|error| store.error(error))? {
            keys.push(item.map_err(|error| store.error(error))?.0.to_vec());
        }
        for key in keys {
            store.delete(txn, db, &key)?;
        }
    }
    Ok(())
}

//! The one thread that writes: takes batches of journal records, applies the rule, commits once, then tells.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use unrip_core::CommandId;

use super::batch::{Batch, FoldedRecord, LogRecord};
use super::env::Store;
use super::error::StoreError;
use super::record::LogEnd;
use super::sweep::Sweep;
use crate::points::{Point, reach};

/// Batches waiting for the writer; more hold the journal's reader back.
const QUEUE_BATCHES_MAX: usize = 32;
/// Records and bytes of them that share one commit.
const COMMIT_RECORDS_MAX: usize = 100_000;
const COMMIT_BYTES_MAX: usize = 256 * 1_024 * 1_024;
/// How long a commit waits for more records while the log of the past is read.
const BEHIND_WAIT: Duration = Duration::from_millis(200);

enum Job {
    Apply(Vec<LogRecord>),
    Published { partition: i32, ids: Vec<CommandId>, result_next: Option<i64>, done: SyncSender<()> },
    Forget { partition: i32, done: SyncSender<()> },
    Ends(BTreeMap<i32, LogEnd>),
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
    /// Starts the thread. `report` gets every folded record after its commit; an error is reported once and ends the thread.
    pub fn start<F>(store: Store, report: F) -> std::io::Result<Self>
    where
        F: Fn(Result<Vec<FoldedRecord>, StoreError>) + Send + 'static,
    {
        let (jobs, queue) = sync_channel(QUEUE_BATCHES_MAX);
        thread::Builder::new().name("fold".to_owned()).spawn(move || {
            if let Err(error) = run(&store, &queue, &report) {
                report(Err(error));
            }
        })?;
        Ok(Self { jobs })
    }

    /// Applies records in the order given. Blocks while the queue is full.
    pub fn apply(&self, records: Vec<LogRecord>) -> Result<(), StoreError> {
        self.send(Job::Apply(records))
    }

    /// Says where the logs end: until there, more records share a commit, and what is long over is not kept.
    pub fn log_ends(&self, ends: BTreeMap<i32, LogEnd>) -> Result<(), StoreError> {
        self.send(Job::Ends(ends))
    }

    /// Notes that these commands' results are on the result topic, and up to which offset it was read. Blocks until it
    /// is on disk.
    pub fn published(&self, partition: i32, ids: Vec<CommandId>, result_next: Option<i64>) -> Result<(), StoreError> {
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

fn run<F>(store: &Store, queue: &Receiver<Job>, report: &F) -> Result<(), StoreError>
where
    F: Fn(Result<Vec<FoldedRecord>, StoreError>),
{
    let (mut ends, mut sweep) = (BTreeMap::new(), Sweep::default());
    while let Ok(first) = queue.recv() {
        if let Job::Ends(newer) = first {
            ends = newer;
            continue;
        }
        sweep.weigh(store)?;
        let mut batch = Batch::begin(store, &ends)?;
        let (waiting, told_ends) = gather(&mut batch, queue, first, &ends)?;
        if !batch.folded.is_empty() {
            reach(Point::FoldCommitBefore);
        }
        let folded = batch.commit(&mut sweep)?;
        for done in waiting {
            // What waited may have been stopped meanwhile.
            let _ = done.send(());
        }
        if !folded.is_empty() {
            reach(Point::FoldCommitAfter);
            report(Ok(folded));
        }
        ends = told_ends.unwrap_or(ends);
    }
    Ok(())
}

/// What one commit leaves to do after it: who waits for it, and the ends of the logs if newer ones came meanwhile.
type After = (Vec<SyncSender<()>>, Option<BTreeMap<i32, LogEnd>>);

/// Works on jobs until the queue is empty or the commit is large enough. While the past is read more records are sure
/// to come, so it waits for them: each commit writes much of the trees again.
fn gather(
    batch: &mut Batch<'_>,
    queue: &Receiver<Job>,
    first: Job,
    ends: &BTreeMap<i32, LogEnd>,
) -> Result<After, StoreError> {
    let (mut waiting, mut newer, mut next) = (Vec::new(), None, Some(first));
    while let Some(job) = next {
        match job {
            Job::Apply(records) => records.into_iter().try_for_each(|record| batch.fold(record))?,
            Job::Published { partition, ids, result_next, done } => {
                batch.published(partition, &ids, result_next)?;
                waiting.push(done);
            }
            Job::Forget { partition, done } => {
                batch.forget(partition)?;
                waiting.push(done);
            }
            Job::Ends(ends) => {
                newer = Some(ends);
                break;
            }
        }
        let last = batch.folded.last();
        let is_behind =
            last.is_some_and(|last| ends.get(&last.partition).is_some_and(|end| last.placed.offset + 1 < end.offset));
        next = if batch.folded.len() >= COMMIT_RECORDS_MAX || batch.bytes >= COMMIT_BYTES_MAX {
            None
        } else if is_behind && waiting.is_empty() {
            queue.recv_timeout(BEHIND_WAIT).ok()
        } else {
            queue.try_recv().ok()
        };
    }
    Ok((waiting, newer))
}

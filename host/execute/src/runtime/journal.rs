//! The journal from the bus into the fold: start-up checks, then one reader for all partitions.

use std::time::Duration;

use unrip_bus::{BusConfig, Isolation, LogReader, Record};
use unrip_core::event::journal::JournalEntry;
use unrip_core::{Timestamp, Uuid, topic};
use unrip_service::RunError;

use crate::core::wire;
use crate::store::{Checkpoint, LogRecord, Store, Writer};

/// What the journal is at start.
#[derive(Clone, Debug)]
pub(crate) struct Begun {
    /// Where folding begins, per partition.
    pub(crate) from: Vec<(String, i32, i64)>,
    /// The end of each partition at start: until there the past is read.
    pub(crate) ends: Vec<(i32, i64)>,
}

/// Compares the fold on disk with the log; drops a fold that belongs to another log.
pub(crate) async fn begin(bus: &BusConfig, store: &Store, writer: &Writer, partitions: i32) -> Result<Begun, RunError> {
    let probe = LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted).map_err(unavailable)?;
    let mut begun = Begun { from: Vec::new(), ends: Vec::new() };
    for partition in 0..partitions {
        let (low, high) = patiently("journal watermarks", || probe.watermarks(topic::JOURNAL, partition)).await?;
        if high == low {
            return Err(RunError::Unavailable(format!(
                "{}/{partition} is empty; run `unrip topics ensure`: it begins each partition with its genesis",
                topic::JOURNAL
            )));
        }
        let checkpoint = store.view(partition).and_then(|view| view.checkpoint()).map_err(state)?;
        let next = match checkpoint {
            None => low,
            Some(checkpoint) => match compare(bus, partition, &checkpoint, low, high).await? {
                Match::Same => checkpoint.next_offset,
                Match::Other(reason) => {
                    tracing::warn!(partition, reason, "the fold belongs to another log: it is dropped and made anew");
                    writer.forget(partition).map_err(state)?;
                    low
                }
            },
        };
        begun.from.push((topic::JOURNAL.to_owned(), partition, next));
        begun.ends.push((partition, high));
    }
    Ok(begun)
}

enum Match {
    Same,
    Other(String),
}

async fn compare(bus: &BusConfig, partition: i32, fold: &Checkpoint, low: i64, high: i64) -> Result<Match, RunError> {
    if low > fold.next_offset {
        return Ok(Match::Other(format!("the log begins at {low}, the fold ends at {}", fold.next_offset)));
    }
    let first = record_at(bus, topic::JOURNAL, partition, low).await?;
    if let (Some(known), Some(found)) = (fold.journal_id, first.as_ref().and_then(journal_id))
        && known != found
    {
        return Ok(Match::Other(format!("the journal is {found}, the fold knows {known}")));
    }
    if fold.next_offset > high {
        // The same journal, and shorter than what this executor has read: history is lost.
        return Err(RunError::State(format!(
            "{}/{partition} ends at {high}, but this executor has folded it up to {}: the journal was truncated. Nothing is \
             dispatched. Restore the topic; only if that is impossible, remove execute.state_dir to accept the loss",
            topic::JOURNAL,
            fold.next_offset
        )));
    }
    if fold.next_offset == low {
        return Ok(Match::Same);
    }
    let last = record_at(bus, topic::JOURNAL, partition, fold.next_offset - 1).await?;
    let found = last.map(|record| wire::read(record.offset, &record.value).placed.event_id);
    Ok(match (fold.last_event_id, found) {
        (Some(known), Some(found)) if known != found => {
            Match::Other(format!("offset {} holds another record", fold.next_offset - 1))
        }
        _ => Match::Same,
    })
}

/// The first record at or after an offset that is below the end.
pub(crate) async fn record_at(
    bus: &BusConfig,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Record>, RunError> {
    let from = vec![(name.to_owned(), partition, offset)];
    let mut reader = LogReader::open(bus, from, Isolation::ReadUncommitted).map_err(unavailable)?;
    loop {
        match reader.next().await {
            Ok(records) if records.is_empty() => {}
            Ok(records) => return Ok(records.into_iter().next()),
            Err(error) if error.is_retriable() => tracing::warn!(%error, name, partition, offset, "not read yet"),
            Err(error) => return Err(unavailable(error)),
        }
    }
}

fn journal_id(record: &Record) -> Option<Uuid> {
    match wire::read(record.offset, &record.value).entry {
        JournalEntry::Genesis(genesis) => Some(genesis.journal_id),
        _ => None,
    }
}

/// Reads the journal for ever and hands it to the fold's writer.
pub(crate) async fn tail(bus: BusConfig, from: Vec<(String, i32, i64)>, writer: Writer) -> RunError {
    let mut reader = match LogReader::open(&bus, from, Isolation::ReadUncommitted) {
        Ok(reader) => reader,
        Err(error) => return unavailable(error),
    };
    loop {
        match reader.next().await {
            Ok(records) => {
                let records: Vec<LogRecord> = records.iter().map(log_record).collect();
                // The writer's queue is bounded: a slow disk holds this reader back, not the loop.
                if let Err(error) = tokio::task::block_in_place(|| writer.apply(records)) {
                    return state(error);
                }
            }
            Err(error) if error.is_retriable() => tracing::warn!(%error, "the journal is not read"),
            Err(error) => return RunError::State(format!("the journal cannot be read on: {error}")),
        }
    }
}

fn log_record(record: &Record) -> LogRecord {
    LogRecord {
        partition: record.partition,
        appended_at: Timestamp::from_millis(record.timestamp.millis().unwrap_or_default()),
        trace: record.trace().map(|trace| trace.to_string()),
        record: wire::read(record.offset, &record.value),
    }
}

/// How often and how long apart a broker that is away is asked again before the service gives up.
const PATIENCE: (u32, Duration) = (60, Duration::from_millis(500));

/// Asks the broker again while it is away: a restart of it is no reason to end.
pub(crate) async fn patiently<T, F>(what: &'static str, mut ask: impl FnMut() -> F) -> Result<T, RunError>
where
    F: Future<Output = Result<T, unrip_bus::Error>>,
{
    let (mut left, pause) = PATIENCE;
    loop {
        match ask().await {
            Err(error) if error.is_retriable() && left > 0 => {
                tracing::warn!(what, %error, "the broker does not answer; asking again");
                left -= 1;
                tokio::time::sleep(pause).await;
            }
            answered => return answered.map_err(unavailable),
        }
    }
}

pub(crate) fn unavailable(error: unrip_bus::Error) -> RunError {
    RunError::Unavailable(error.to_string())
}

pub(crate) fn state(error: crate::store::StoreError) -> RunError {
    RunError::State(error.to_string())
}

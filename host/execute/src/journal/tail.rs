//! The journal from the bus into the fold: the comparison at start, then one reader for all partitions.

use std::collections::BTreeMap;
use std::time::Duration;

use unrip_bus::{BusConfig, Isolation, LogReader, Record};
use unrip_core::{Timestamp, Uuid, topic};
use unrip_service::RunError;

use crate::results::follow::Results;
use crate::start::loss::{Log, Stake, Verdict, compare, quarantine};
use crate::store::{Checkpoint, LogEnd, LogRecord, Store, Writer};
use unrip_protocol::fold::Fact;
use unrip_protocol::wire;

/// What the journal is at start.
pub struct Begun {
    /// Where folding begins, per partition.
    pub from: Vec<(String, i32, i64)>,
    /// The end of each partition at start: until there the past is read.
    pub ends: Vec<(i32, i64)>,
    /// The journal's id, where it is known.
    pub journal_id: Option<Uuid>,
    /// The result topic, read to its end if a fold is made anew.
    pub(crate) results: Results,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}

/// Compares the folds on disk with the log: drops those of another log, and ends where history is lost that matters.
///
/// # Errors
/// The broker stayed away, or a person must decide what becomes of lost history (74).
pub async fn begin(
    bus: &BusConfig,
    store: &Store,
    writer: &Writer,
    partitions: i32,
    skew_ms: i64,
) -> Result<Begun, RunError> {
    if let Some(reason) = store.reseeding().map_err(state)? {
        return Err(RunError::State(format!(
            "a re-seed of the journal was begun ({reason}) and did not reach its end: run `unrip-execute --config FILE \
             --reseed-journal \"WHO: WHY\"` again; it goes on where it stopped"
        )));
    }
    let journal = Journal::look(bus, store, partitions).await?;
    drop_others(bus, store, writer, &journal, skew_ms).await?;
    let mut results = Results::open(bus, store, writer, partitions).await?;
    let (mut from, mut ends, mut past) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (partition, log) in &journal.logs {
        let fold = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state)?;
        let next = fold.map_or(log.low, |fold| fold.next_offset);
        from.push((topic::JOURNAL.to_owned(), *partition, next));
        ends.push((*partition, log.high));
        if next < log.high
            && let Some(last) = record_at(bus, topic::JOURNAL, *partition, log.high - 1).await?
        {
            past.insert(*partition, LogEnd { offset: log.high, appended_at: appended_at(&last) });
        }
    }
    if !past.is_empty() {
        results.catch_up().await?;
    }
    writer.log_ends(past).map_err(state)?;
    let journal_id = journal.id(store)?;
    Ok(Begun { from, ends, journal_id, results })
}

/// The journal as it lies on the bus.
pub(crate) struct Journal {
    /// Its partitions.
    pub(crate) logs: Vec<(i32, Log)>,
}

impl Journal {
    /// Reads where each partition begins and ends, and what stands where its fold ends.
    pub(crate) async fn look(bus: &BusConfig, store: &Store, partitions: i32) -> Result<Self, RunError> {
        let probe = LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted).map_err(unavailable)?;
        let mut logs = Vec::new();
        for partition in 0..partitions {
            let (low, high) = patiently("journal watermarks", || probe.watermarks(topic::JOURNAL, partition)).await?;
            if high == 0 {
                return Err(RunError::Unavailable(format!(
                    "{}/{partition} is empty; run `unrip topics ensure`: it begins each partition with its genesis",
                    topic::JOURNAL
                )));
            }
            let first = if low == 0 { record_at(bus, topic::JOURNAL, partition, 0).await? } else { None };
            let journal_id = first.and_then(|record| wire::read(record.offset, record.value).journal_id);
            let fold = store.view(partition).and_then(|view| view.checkpoint()).map_err(state)?;
            let last = fold.map_or(-1, |fold| fold.next_offset - 1);
            let at_fold_end = match (low..high).contains(&last) {
                true => record_at(bus, topic::JOURNAL, partition, last).await?.filter(|record| record.offset == last),
                false => None,
            };
            let at_fold_end = at_fold_end.map(|record| wire::read(record.offset, record.value).placed.event_id);
            logs.push((partition, Log { low, high, journal_id, at_fold_end }));
        }
        Ok(Self { logs })
    }

    /// Whether it holds nothing but genesis records: topic steps that ran at the same time may have written several.
    pub(crate) async fn is_fresh(&self, bus: &BusConfig) -> Result<bool, RunError> {
        for (partition, log) in &self.logs {
            if log.low != 0 {
                return Ok(false);
            }
            for offset in 1..log.high {
                let record = record_at(bus, topic::JOURNAL, *partition, offset).await?;
                let fact = record.map(|record| wire::read(record.offset, record.value).placed.fact);
                if fact.is_some_and(|fact| fact != Fact::Genesis) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Its id: from a genesis, or from what was folded before the genesis passed its retention.
    fn id(&self, store: &Store) -> Result<Option<Uuid>, RunError> {
        for (partition, log) in &self.logs {
            let fold = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state)?;
            if let Some(id) = log.journal_id.or_else(|| fold.and_then(|fold| fold.journal_id)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

async fn drop_others(
    bus: &BusConfig,
    store: &Store,
    writer: &Writer,
    journal: &Journal,
    skew_ms: i64,
) -> Result<(), RunError> {
    let (mut drop, mut lost): (Vec<i32>, Option<(i32, String, Stake)>) = (Vec::new(), None);
    let is_fresh = journal.is_fresh(bus).await?;
    for (partition, log) in &journal.logs {
        let Some(fold) = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state)? else { continue };
        let reason = match compare(&fold, log, is_fresh) {
            Verdict::Same => continue,
            Verdict::Other(reason) => reason,
            Verdict::Lost(from, reason) => {
                let newest = newest(bus, *partition, &fold, log).await?;
                let stake =
                    store.view(*partition).and_then(|view| Stake::of(&view, from, newest, skew_ms)).map_err(state)?;
                let (first, why, before) =
                    lost.take().unwrap_or_else(|| (*partition, reason.clone(), Stake::default()));
                lost = Some((first, why, before.and(stake)));
                reason
            }
        };
        tracing::warn!(partition, reason, "the fold is not of this log");
        drop.push(*partition);
    }
    if let Some((partition, why, stake)) = lost.filter(|(_, _, stake)| !stake.is_nothing()) {
        return Err(RunError::State(quarantine(topic::JOURNAL, partition, &why, stake)));
    }
    for partition in drop {
        tracing::warn!(partition, "the fold is dropped and made anew from the log; nothing in it matters any more");
        writer.forget(partition).map_err(state)?;
    }
    Ok(())
}

/// The newest time that the fold or the log has told.
async fn newest(bus: &BusConfig, partition: i32, fold: &Checkpoint, log: &Log) -> Result<Timestamp, RunError> {
    if log.high == log.low {
        return Ok(fold.newest_append);
    }
    let last = record_at(bus, topic::JOURNAL, partition, log.high - 1).await?;
    Ok(last.map_or(fold.newest_append, |last| fold.newest_append.max(appended_at(&last))))
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

/// Reads the journal for ever and hands it to the fold's writer; returns what ended it.
pub async fn tail(bus: BusConfig, from: Vec<(String, i32, i64)>, journal_id: Option<Uuid>, writer: Writer) -> RunError {
    let mut reader = match LogReader::open(&bus, from, Isolation::ReadUncommitted) {
        Ok(reader) => reader,
        Err(error) => return unavailable(error),
    };
    loop {
        match reader.next().await {
            Ok(records) => {
                let records: Vec<LogRecord> = records.into_iter().map(log_record).collect();
                if let Some(error) = stranger(&bus, &records, journal_id).await {
                    return error;
                }
                // The writer's queue is bounded: a slow disk holds this reader back, not the loop.
                if let Err(error) = tokio::task::block_in_place(|| writer.apply(records)) {
                    return state(error);
                }
            }
            Err(error) if error.is_retriable() => tracing::warn!(%error, "the journal is not read"),
            Err(error) => {
                return RunError::State(format!(
                    "the journal cannot be read on: {error}. Nothing is dispatched; start again: the state is then \
                     compared with the journal, and what is lost is named"
                ));
            }
        }
    }
}

/// A record that names another journal: this one was made anew while it was read, or another executor is mistaken.
async fn stranger(bus: &BusConfig, records: &[LogRecord], known: Option<Uuid>) -> Option<RunError> {
    let known = known?;
    let other = |log: &&LogRecord| log.record.journal_id.is_some_and(|id| !id.is_nil() && id != known);
    let log = records.iter().find(other)?;
    match record_at(bus, topic::JOURNAL, log.partition, 0).await {
        Ok(first) => {
            let found = first.filter(|first| first.offset == 0);
            let found = found.and_then(|first| wire::read(first.offset, first.value).journal_id)?;
            (found != known).then(|| made_anew(log.partition, known, found))
        }
        // Its beginning has passed its retention: the id cannot be asked for.
        Err(error) => {
            tracing::warn!(partition = log.partition, %error, "a fence of another journal came by");
            None
        }
    }
}

/// The journal was made anew under a running executor.
pub(crate) fn made_anew(partition: i32, known: Uuid, found: Uuid) -> RunError {
    RunError::State(format!(
        "{}/{partition}: journal {known} was replaced by {found} while this executor ran. Nothing is dispatched; start \
         again: the state is then compared with the journal, and what is lost is named",
        topic::JOURNAL
    ))
}

/// A record of the bus as the fold takes it.
pub(crate) fn log_record(record: Record) -> LogRecord {
    LogRecord {
        partition: record.partition,
        appended_at: appended_at(&record),
        trace: record.trace().map(|trace| trace.to_string()),
        record: wire::read(record.offset, record.value),
    }
}

pub(crate) fn appended_at(record: &Record) -> Timestamp {
    Timestamp::from_millis(record.timestamp.millis().unwrap_or_default())
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

//! The folds on disk held against the journal at start.

use std::collections::BTreeMap;

use unrip_bus::{BusConfig, Isolation, LogReader, Position};
use unrip_core::{Timestamp, Uuid, topic};
use unrip_protocol::fold::Fact;
use unrip_protocol::wire;
use unrip_service::RunError;

use crate::results::follow::Results;
use crate::runtime::retry::{appended_at, patiently, record_at, state_error, unavailable};
use crate::start::loss::{Log, LossFinding, Stake, compare, quarantine};
use crate::store::{Checkpoint, LogEnd, Store, Writer};

/// What the journal is at start.
pub struct Started {
    /// Where folding begins, per partition.
    pub from: Vec<Position>,
    /// The end of each partition at start: until there the past is read.
    pub ends: Vec<(i32, i64)>,
    /// The journal's id, where it is known.
    pub journal_id: Option<Uuid>,
    /// The result topic, read to its end if a fold is rebuilt.
    pub(crate) results: Results,
}

impl std::fmt::Debug for Started {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Started").finish_non_exhaustive()
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
) -> Result<Started, RunError> {
    if let Some(reason) = store.reseeding().map_err(state_error)? {
        return Err(RunError::State(format!(
            "a re-seed of the journal was started ({reason}) and did not reach its end: run `unrip-execute --config FILE \
             --reseed-journal \"WHO: WHY\"` again; it continues where it stopped"
        )));
    }
    let journal = Journal::look(bus, store, partitions).await?;
    drop_others(bus, store, writer, &journal, skew_ms).await?;
    let mut results = Results::open(bus, store, writer, partitions).await?;
    let (mut from, mut ends, mut past) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (partition, log) in &journal.logs {
        let fold = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
        let next = fold.map_or(log.low, |fold| fold.next_offset);
        from.push(Position::new(topic::JOURNAL, *partition, next));
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
    writer.log_ends(past).map_err(state_error)?;
    let journal_id = journal.id(store)?;
    Ok(Started { from, ends, journal_id, results })
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
            let fold = store.view(partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
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
            let fold = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
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
        let Some(fold) = store.view(*partition).and_then(|view| view.checkpoint()).map_err(state_error)? else {
            continue;
        };
        let reason = match compare(&fold, log, is_fresh) {
            LossFinding::Same => continue,
            LossFinding::Other(reason) => reason,
            LossFinding::Lost(from, reason) => {
                let newest = newest(bus, *partition, &fold, log).await?;
                let stake = store
                    .view(*partition)
                    .and_then(|view| Stake::of(&view, from, newest, skew_ms))
                    .map_err(state_error)?;
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
        tracing::warn!(partition, "the fold is dropped and rebuilt from the log; nothing in it matters any more");
        writer.forget(partition).map_err(state_error)?;
    }
    Ok(())
}

/// The newest time in the fold or the log.
async fn newest(bus: &BusConfig, partition: i32, fold: &Checkpoint, log: &Log) -> Result<Timestamp, RunError> {
    if log.high == log.low {
        return Ok(fold.newest_append);
    }
    let last = record_at(bus, topic::JOURNAL, partition, log.high - 1).await?;
    Ok(last.map_or(fold.newest_append, |last| fold.newest_append.max(appended_at(&last))))
}

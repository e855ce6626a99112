//! The journal from the bus into the fold: one reader for all partitions.

use unrip_bus::{BusConfig, Isolation, LogReader, Position, Record};
use unrip_core::{Uuid, topic};
use unrip_protocol::wire;
use unrip_service::RunError;

use crate::runtime::retry::{appended_at, record_at, state_error, unavailable};
use crate::store::{LogRecord, Writer};

/// Reads the journal for ever and hands it to the fold's writer; returns what ended it.
pub async fn tail(bus: BusConfig, from: Vec<Position>, journal_id: Option<Uuid>, writer: Writer) -> RunError {
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
                    return state_error(error);
                }
            }
            Err(error) if error.is_retriable() => tracing::warn!(%error, "cannot read the journal; retrying"),
            Err(error) => {
                return RunError::State(format!(
                    "the journal cannot be read on: {error}. Nothing is dispatched; start again: the state is then \
                     compared with the journal, and what is lost is named"
                ));
            }
        }
    }
}

/// A record that names another journal: this one was recreated while it was read, or another executor is mistaken.
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
            tracing::warn!(partition = log.partition, %error, "a fence names another journal, and this one's beginning cannot be read");
            None
        }
    }
}

/// The journal was recreated under a running executor.
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

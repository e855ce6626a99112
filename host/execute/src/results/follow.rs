//! The result topic into the store: which outcomes are published, by whomever.
//!
//! Every executor folds all partitions, so it must also learn of the results that others publish; else it would keep
//! them as unpublished for ever. The owner of a partition reads once more, to the stable end, before it publishes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use unrip_bus::{BusConfig, Error, Isolation, LogReader, Position, Record};
use unrip_core::event::result::TradeResult;
use unrip_core::{CommandId, Payload, topic};
use unrip_service::RunError;

use crate::runtime::Input;
use crate::runtime::retry::{patiently, state_error, unavailable};
use crate::store::{Store, Writer};

/// How long the past of the topic may be silent before it counts as read: its end may be markers of transactions.
const PAST_SILENCE: Duration = Duration::from_millis(500);
/// Pause after an error that passes.
const RETRY: Duration = Duration::from_millis(500);

/// A reader of all partitions of the result topic.
pub(crate) struct Results {
    reader: LogReader,
    writer: Writer,
    /// Where each partition ends now, as far as it is not read.
    missing: BTreeMap<i32, i64>,
}

impl Results {
    /// Continues where the store has read up to.
    pub(crate) async fn open(bus: &BusConfig, store: &Store, writer: &Writer, count: i32) -> Result<Self, RunError> {
        let probe = LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted).map_err(unavailable)?;
        let (mut from, mut missing) = (Vec::new(), BTreeMap::new());
        for partition in 0..count {
            let (low, high) =
                patiently("result watermarks", || probe.watermarks(topic::TRADE_RESULT, partition)).await?;
            let known = store.view(partition).and_then(|view| view.result_next()).map_err(state_error)?;
            let next = if (low..=high).contains(&known) { known } else { low };
            if known > high {
                tracing::warn!(
                    partition,
                    known,
                    high,
                    "the result topic is shorter than what was read of it; reading it again"
                );
            }
            if next != known {
                noted(writer, partition, Vec::new(), Some(next)).await?;
            }
            if next < high {
                missing.insert(partition, high);
            }
            from.push(Position::new(topic::TRADE_RESULT, partition, next));
        }
        let reader = LogReader::open(bus, from, Isolation::ReadCommitted).map_err(unavailable)?;
        Ok(Self { reader, writer: writer.clone(), missing })
    }

    /// Reads what there is now: a fold that is rebuilt then keeps only what is not published.
    pub(crate) async fn catch_up(&mut self) -> Result<(), RunError> {
        while !self.missing.is_empty() {
            match tokio::time::timeout(PAST_SILENCE, self.reader.next()).await {
                Ok(read) => self.take(read).await?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads until something fails that does not pass.
    async fn read_on(mut self) -> RunError {
        loop {
            let read = self.reader.next().await;
            if let Err(error) = self.take(read).await {
                return error;
            }
        }
    }

    async fn take(&mut self, read: Result<Vec<Record>, Error>) -> Result<(), RunError> {
        match read {
            Ok(records) => {
                let mut found: BTreeMap<i32, (Vec<CommandId>, i64)> = BTreeMap::new();
                for record in records {
                    let (ids, next) = found.entry(record.partition).or_default();
                    ids.extend(command_of(&record.value));
                    *next = record.offset + 1;
                }
                for (partition, (ids, next)) in found {
                    noted(&self.writer, partition, ids, Some(next)).await?;
                    if self.missing.get(&partition).is_some_and(|end| next >= *end) {
                        self.missing.remove(&partition);
                    }
                }
                Ok(())
            }
            Err(Error::OutOfRange { topic, partition, offset, low, .. }) => {
                tracing::warn!(partition, offset, low, "the result topic was cut: read from its beginning");
                self.reader.assign_more(vec![Position::new(topic, partition, low)]).await.map_err(unavailable)
            }
            Err(error) if error.is_fatal() => Err(unavailable(error)),
            Err(error) => {
                tracing::warn!(%error, "cannot read results; retrying");
                tokio::time::sleep(RETRY).await;
                Ok(())
            }
        }
    }
}

/// Reads for ever, in the background.
pub(crate) fn follow(results: Results, failed: mpsc::Sender<Input>) {
    tokio::spawn(async move {
        let error = results.read_on().await;
        // The loop is gone: so is the service.
        let _ = failed.send(Input::Failed(error)).await;
    });
}

async fn noted(writer: &Writer, partition: i32, ids: Vec<CommandId>, next: Option<i64>) -> Result<(), RunError> {
    // Blocks until it is on disk; beside the runtime, for tests run on one thread.
    let writer = writer.clone();
    let noted = tokio::task::spawn_blocking(move || writer.published(partition, ids, next)).await;
    noted.map_err(|error| RunError::Software(error.to_string()))?.map_err(state_error)
}

/// The command that a result answers; `None` where the record is no result.
pub(crate) fn command_of(value: &[u8]) -> Option<CommandId> {
    #[derive(Deserialize)]
    struct Outline<'a> {
        event_type: &'a str,
        payload: Answered,
    }
    #[derive(Deserialize)]
    struct Answered {
        command_id: CommandId,
    }
    let outline: Outline<'_> = serde_json::from_slice(value).ok()?;
    (outline.event_type == TradeResult::EVENT_TYPE).then_some(outline.payload.command_id)
}

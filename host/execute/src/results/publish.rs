//! Results onto their topic, once: what is there is read first, what is missing follows in log order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use unrip_bus::{BusConfig, Isolation, Outgoing, Position, Producer, Transactor, TxnError, read_to_end};
use unrip_core::{CommandId, topic};
use unrip_service::RunError;
use unrip_service::clock::Clock;

use crate::config::Publish;
use crate::journal::records::Maker;
use crate::points::{Point, reach};
use crate::results::follow as results;
use crate::runtime::Input;
use crate::store::{Store, StoreError, Unpublished, Writer};

/// Results that share one transaction at most.
const BATCH_RECORDS_MAX: usize = 500;
/// Pause before a failed publication is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Publishes the results of one partition while it is ours.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) partition: i32,
    pub(crate) bus: BusConfig,
    pub(crate) producer: Producer,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) maker: Maker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) how: Publish,
    /// Whether a broker without transactions is refused.
    pub(crate) production: bool,
    /// Tells the loop that the broker does not support transactions.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Poked when an outcome is in the log.
    pub(crate) poke: Arc<Notify>,
    /// Cancelled when the partition is not ours any more.
    pub(crate) stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Bus(#[from] unrip_bus::Error),
    #[error(transparent)]
    Txn(#[from] TxnError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a result could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Publisher {
    /// Runs until the partition is taken away.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.publish_all() => match ended {
                    Err(Error::Txn(TxnError::Unsupported(_))) if self.how == Publish::Auto && !self.production => {
                        tracing::warn!(
                            partition = self.partition,
                            "this broker has no transactions: results are published plain, a crash may leave a repeat"
                        );
                        self.how = Publish::Plain;
                    }
                    Err(Error::Txn(TxnError::Unsupported(reason))) => {
                        let refusal = format!("execute.publish needs a broker with transactions, and this one has none: {reason}");
                        // The loop is gone: so is the service.
                        let _ = self.inputs.send(Input::Failed(RunError::Config(refusal))).await;
                        return;
                    }
                    // The transactor is dropped with the error; what is on the topic is read again before going on.
                    Err(error) => {
                        tracing::warn!(partition = self.partition, %error, "results not published yet");
                        tokio::time::sleep(RETRY).await;
                    }
                    Ok(()) => {}
                },
            }
        }
    }

    async fn publish_all(&self) -> Result<(), Error> {
        let transactor = match self.how {
            Publish::Plain => None,
            Publish::Auto | Publish::Transactional => {
                // One id per partition: the next owner fences this producer, and its open transaction is aborted.
                let id = format!("unrip-exec-result-{}-{}", self.maker.venue, self.partition);
                let transactor = Transactor::new(&self.bus, &id)?;
                reach(Point::InitTransactionsBefore);
                transactor.init().await?;
                reach(Point::InitTransactionsAfter);
                Some(transactor)
            }
        };
        self.note_published().await?;
        loop {
            let unpublished = self.store.view(self.partition)?.unpublished(&self.maker.venue, BATCH_RECORDS_MAX)?;
            if unpublished.is_empty() {
                self.poke.notified().await;
            } else {
                self.publish(transactor.as_ref(), &unpublished).await?;
            }
        }
    }

    /// Reads what is on the topic since the last look.
    async fn note_published(&self) -> Result<(), Error> {
        let from = self.store.view(self.partition)?.result_next()?;
        let records =
            read_to_end(&self.bus, Position::new(topic::TRADE_RESULT, self.partition, from), Isolation::ReadCommitted)
                .await?;
        let there = records.iter().filter_map(|record| results::command_of(&record.value)).collect();
        self.noted(there, records.last().map(|record| record.offset + 1)).await
    }

    async fn publish(&self, transactor: Option<&Transactor>, batch: &[Unpublished]) -> Result<(), Error> {
        let now = self.clock.now();
        let records: Result<Vec<Outgoing>, _> =
            batch.iter().map(|one| self.maker.result(self.partition, one, now)).collect();
        reach(Point::ResultCommitBefore);
        match transactor {
            Some(transactor) => drop(transactor.run(records?).await?),
            None => {
                for record in records? {
                    self.producer.send(record).await?;
                }
            }
        }
        reach(Point::ResultCommitAfter);
        // Up to where the topic was read stays as it is: others may have written between.
        self.noted(batch.iter().map(|one| one.outcome.command_id).collect(), None).await?;
        reach(Point::ResultNoted);
        Ok(())
    }

    /// Has the fold forget what is published; returns when it has, so that nothing is published twice.
    async fn noted(&self, ids: Vec<CommandId>, next: Option<i64>) -> Result<(), Error> {
        let (partition, writer) = (self.partition, self.writer.clone());
        Ok(tokio::task::block_in_place(move || writer.published(partition, ids, next))?)
    }
}

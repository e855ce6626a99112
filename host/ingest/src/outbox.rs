//! Ingest's way to the bus: what the broker will never take is replaced by its dead letter.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use unrip_bus::{BusConfig, Outgoing};
use unrip_service::outbox::{self, OutboxLimits, Receipt, Unwritten};
use unrip_service::{BusWatch, Context, RunError};

use crate::records::Bury;

/// What may wait for its acknowledgement; the next record holds the socket back. A minute of a busy venue.
const LIMITS: OutboxLimits = OutboxLimits { records_max: 4_096, bytes_max: 64 * 1_024 * 1_024 };

/// Takes records in order and writes them in order.
pub(crate) struct Outbox {
    outbox: Arc<outbox::Outbox>,
    receipts: mpsc::Sender<Receipt>,
    confirmer: AbortOnDropHandle<Result<(), RunError>>,
}

impl Outbox {
    pub(crate) fn new(bus: &BusConfig, watch: &BusWatch, bury: Bury, context: &Context) -> Result<Self, RunError> {
        let outbox = Arc::new(outbox::Outbox::start(bus, watch, LIMITS, context)?);
        let (receipts, queue) = mpsc::channel(LIMITS.records_max);
        let confirmer = tokio::spawn(confirm(queue, Arc::clone(&outbox), bury));
        Ok(Self { outbox, receipts, confirmer: AbortOnDropHandle::new(confirmer) })
    }

    /// Hands a record over; waits while too many are not acknowledged.
    pub(crate) async fn put(&self, outgoing: Outgoing) -> Result<(), RunError> {
        let receipt = self.outbox.put(outgoing).await?;
        self.receipts
            .send(receipt)
            .await
            .map_err(|_| RunError::Unavailable("the broker refuses dead letters; see the log".to_owned()))
    }

    /// Waits until everything is acknowledged; the error says how many records were not.
    pub(crate) async fn finish(self, wait: Duration) -> Result<(), RunError> {
        let Self { outbox, receipts, confirmer } = self;
        drop(receipts);
        match tokio::time::timeout(wait, confirmer).await {
            Ok(Ok(confirmed)) => confirmed,
            Ok(Err(_)) => Err(RunError::Software("the task that confirms records ended".to_owned())),
            Err(_) => Err(RunError::Unavailable(format!(
                "the broker did not acknowledge about {} records within ingest.flush_timeout_ms; they may be lost",
                outbox.waiting()
            ))),
        }
    }
}

/// Until every record, or the dead letter in its place, is acknowledged.
async fn confirm(
    mut receipts: mpsc::Receiver<Receipt>,
    outbox: Arc<outbox::Outbox>,
    bury: Bury,
) -> Result<(), RunError> {
    while let Some(mut receipt) = receipts.recv().await {
        while let Err(unwritten) = (&mut receipt).await {
            let Unwritten::Refused(refused) = unwritten else {
                return Err(RunError::Software("the task that writes to the bus ended".to_owned()));
            };
            // A record that will never be taken must not hold back all others.
            let Some(letter) = bury.letter(&refused.record, &refused.error) else {
                tracing::error!(topic = refused.record.topic, error = %refused.error, "the broker refuses a dead letter; ending");
                let text = format!("the broker refuses a dead letter for {}: {}", refused.record.topic, refused.error);
                return Err(RunError::Unavailable(text));
            };
            receipt = outbox.put(letter).await?;
        }
    }
    Ok(())
}

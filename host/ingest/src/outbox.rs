//! The way to the bus: everything handed over is acknowledged, however long the broker is away.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use unrip_bus::{BusConfig, Delivery, Error, Outgoing, Producer};
use unrip_service::BusWatch;
use unrip_service::RunError;

use crate::metrics::Metrics;
use crate::records::Bury;

/// Records that may wait for their acknowledgement; the next one holds the socket back. A minute of a busy venue.
const WAITING_MAX: usize = 4_096;
/// Before a record that failed is given to the broker again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Without an acknowledgement for so long, the broker is asked whether it is there.
const SUSPECT_AFTER: Duration = Duration::from_secs(3);

/// Takes records in order and writes them in order.
pub(crate) struct Outbox {
    producer: Producer,
    waiting: mpsc::Sender<(Outgoing, Result<Delivery, Error>)>,
    confirmer: JoinHandle<()>,
}

impl Outbox {
    pub(crate) fn new(bus: &BusConfig, watch: BusWatch, metrics: Metrics, bury: Bury) -> Result<Self, RunError> {
        let producer = Producer::new(bus).map_err(|error| RunError::Config(error.to_string()))?;
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        let confirm = Confirm { bus: bus.clone(), producer: producer.clone(), watch, metrics, bury };
        Ok(Self { producer, waiting, confirmer: tokio::spawn(confirm.run(queue)) })
    }

    /// Hands a record over; waits while too many are not acknowledged.
    pub(crate) async fn put(&self, outgoing: Outgoing) -> Result<(), RunError> {
        // The copy is what is sent again if the broker did not take the first: same bytes, same event id.
        let delivery = self.producer.enqueue(outgoing.clone()).await;
        let gone = |_| RunError::Software("the task that confirms records ended".to_owned());
        self.waiting.send((outgoing, delivery)).await.map_err(gone)
    }

    /// Waits until everything is acknowledged; the error says how many records were not.
    pub(crate) async fn finish(self, wait: Duration) -> Result<(), RunError> {
        let Self { producer, waiting, mut confirmer } = self;
        let unconfirmed = waiting.max_capacity() - waiting.capacity();
        drop(waiting);
        if tokio::time::timeout(wait, &mut confirmer).await.is_ok() {
            return Ok(());
        }
        confirmer.abort();
        drop(producer);
        Err(RunError::Unavailable(format!(
            "the broker did not acknowledge about {unconfirmed} records within ingest.flush_timeout_ms; they may be lost"
        )))
    }
}

struct Confirm {
    bus: BusConfig,
    producer: Producer,
    watch: BusWatch,
    metrics: Metrics,
    bury: Bury,
}

impl Confirm {
    async fn run(mut self, mut queue: mpsc::Receiver<(Outgoing, Result<Delivery, Error>)>) {
        while let Some((outgoing, delivery)) = queue.recv().await {
            let first = match delivery {
                Ok(delivery) => self.patiently(delivery).await,
                Err(error) => Err(error),
            };
            let topic = match first {
                Ok(()) => outgoing.topic,
                Err(error) => self.again(outgoing, error).await,
            };
            self.metrics.produced.inc(&topic);
        }
    }

    /// Until the broker holds the record; in which topic. The same id twice is a repeat that every reader recognises.
    async fn again(&mut self, mut outgoing: Outgoing, mut error: Error) -> String {
        loop {
            if let (Error::Refused { .. }, Some(letter)) = (&error, self.bury.letter(&outgoing, &error)) {
                // A record that will never be taken must not hold back all others.
                outgoing = letter;
            }
            tracing::warn!(topic = outgoing.topic, %error, "record not written, trying again");
            self.watch.suspect(&error);
            if error.is_fatal() {
                match Producer::new(&self.bus) {
                    Ok(producer) => self.producer = producer,
                    Err(error) => tracing::error!(%error, "no new producer"),
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
            self.metrics.repeated.inc();
            let sent = match self.producer.enqueue(outgoing.clone()).await {
                Ok(delivery) => self.patiently(delivery).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(()) => return outgoing.topic,
                Err(next) => error = next,
            }
        }
    }

    /// Waits as long as the client tries, and asks for the broker meanwhile.
    async fn patiently(&self, delivery: Delivery) -> Result<(), Error> {
        tokio::pin!(delivery);
        loop {
            match tokio::time::timeout(SUSPECT_AFTER, &mut delivery).await {
                Ok(position) => return position.map(drop),
                Err(_) => self
                    .watch
                    .suspect(&Error::Retriable { operation: "produce", reason: "no acknowledgement yet".to_owned() }),
            }
        }
    }
}

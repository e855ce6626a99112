//! The way to the bus: every record handed over is written and acknowledged, however long the broker is away.
//!
//! One producer for all of a service's records. When it fails for good it is made again, once, and what it did not
//! acknowledge is written again in order: the same bytes with the same event id, a repeat that every reader recognises.
//! What waits for the operator (a topic that was not made, a revoked permission) holds only the records of its topic, and
//! the readiness condition `outputs` names it. A record that the broker will never take is handed back.

mod lane;
mod worker;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Poller, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use unrip_bus::{BusConfig, Error, Outgoing, Position, Producer};

use crate::bus_watch::BusWatch;
use crate::run::{Context, RunError};
use worker::Worker;

/// How much may wait for its acknowledgement; the next [`Outbox::put`] waits for room.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    /// Records.
    pub records_max: usize,
    /// Bytes of keys, values and headers. A larger record is written alone.
    pub bytes_max: usize,
}

/// Takes records in order and writes them in order. Dropping it gives up what is not acknowledged.
pub struct Outbox {
    entries: mpsc::Sender<Entry>,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    limits: OutboxLimits,
    worker: AbortOnDropHandle<()>,
}

/// The acknowledgement of one record. Dropping it does not take the record back.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Position, Refused>>);

/// A record that the broker will never take as it is.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The record.
    pub record: Outgoing,
    /// What the broker said.
    pub error: Error,
}

/// Why a record was not written.
#[derive(Clone, Debug)]
pub enum Unwritten {
    /// The broker refuses it: replace it.
    Refused(Box<Refused>),
    /// The outbox was dropped, or its task ended.
    Gone,
}

/// A record and all that goes with it.
struct Entry {
    record: Outgoing,
    reply: oneshot::Sender<Result<Position, Refused>>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Outbox {
    /// Starts the task that writes; call inside the runtime. Needs no broker yet.
    ///
    /// # Errors
    /// The bus's settings cannot be used (64).
    pub fn start(bus: &BusConfig, watch: &BusWatch, limits: OutboxLimits, context: &Context) -> Result<Self, RunError> {
        let producer = Producer::new(bus).map_err(|error| RunError::Config(error.to_string()))?;
        let (entries, queue) = mpsc::channel(limits.records_max.max(1));
        let worker = tokio::spawn(Worker::new(bus, watch, producer, context).run(queue));
        Ok(Self {
            entries,
            records: Arc::new(Semaphore::new(limits.records_max)),
            bytes: Arc::new(Semaphore::new(limits.bytes_max)),
            limits,
            worker: AbortOnDropHandle::new(worker),
        })
    }

    /// Hands a record over; waits while too much is not acknowledged. Safe to cancel: the record is then not written.
    ///
    /// # Errors
    /// The task that writes has ended (70).
    pub async fn put(&self, record: Outgoing) -> Result<Receipt, RunError> {
        let gone = || RunError::Software("the task that writes to the bus ended".to_owned());
        let bytes = u32::try_from(record.bytes().min(self.limits.bytes_max)).unwrap_or(u32::MAX);
        let one = Arc::clone(&self.records).acquire_owned().await.map_err(|_| gone())?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.map_err(|_| gone())?;
        let (reply, receipt) = oneshot::channel();
        let entry = Entry { record, reply, _room: (one, bytes) };
        // There is room for every record that got its permits.
        self.entries.send(entry).await.map_err(|_| gone())?;
        Ok(Receipt(receipt))
    }

    /// Records that are not acknowledged yet.
    pub fn waiting(&self) -> usize {
        self.limits.records_max.saturating_sub(self.records.available_permits())
    }

    /// Waits until everything is acknowledged or handed back.
    ///
    /// # Errors
    /// About how many records were not, after `wait`; they may be lost.
    pub async fn finish(self, wait: Duration) -> Result<(), usize> {
        let Self { entries, records, limits, worker, .. } = self;
        drop(entries);
        match tokio::time::timeout(wait, worker).await {
            Ok(_) => Ok(()),
            Err(_) => Err(limits.records_max.saturating_sub(records.available_permits())),
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("limits", &self.limits).field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Receipt {
    /// How it ended, where that is known already.
    pub fn try_get(&mut self) -> Option<Result<Position, Unwritten>> {
        match self.0.try_recv() {
            Ok(result) => Some(result.map_err(Unwritten::from)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(Unwritten::Gone)),
        }
    }
}

impl Future for Receipt {
    type Output = Result<Position, Unwritten>;

    fn poll(mut self: Pin<&mut Self>, poller: &mut Poller<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(poller).map(|ended| match ended {
            Ok(result) => result.map_err(Unwritten::from),
            Err(_) => Err(Unwritten::Gone),
        })
    }
}

impl From<Refused> for Unwritten {
    fn from(refused: Refused) -> Self {
        Self::Refused(Box::new(refused))
    }
}

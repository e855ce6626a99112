//! The idempotent producer: a record is acknowledged by all replicas, or its [`Delivery`] says why not.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::PRODUCE_REQUEST_MS_MAX;
use crate::{BusConfig, Error, Outgoing, Position, logging};

/// Records that may wait for their acknowledgement in one producer. The next `enqueue` waits.
pub const QUEUE_RECORDS_MAX: usize = 20_000;
/// Bytes that may wait for their acknowledgement in one producer. The next `enqueue` waits.
pub const QUEUE_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Largest request in bytes; above the topics' `max.message.bytes`, so that the broker decides.
const REQUEST_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// How long a reachable broker may not know a topic before its records fail, in milliseconds.
const TOPIC_UNKNOWN_MS_MAX: u64 = 10_000;

/// How a producer trades latency for batches, and how long it tries.
#[derive(Clone, Copy, Debug)]
pub struct ProducerOptions {
    /// How long a record may wait for others in its batch, in milliseconds.
    pub linger_ms: u64,
    /// How long a record is tried before its delivery fails as `Retriable` (its fate is then unknown), in
    /// milliseconds; `None` tries as long as the producer lives.
    pub delivery_ms_max: Option<u64>,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self { linger_ms: 1, delivery_ms_max: None }
    }
}

/// Writes records. Clones share one client and one queue.
///
/// Order is kept per partition. Call [`Producer::flush`] before the last clone is dropped: what is still queued then
/// fails with [`Error::Closed`].
#[derive(Clone)]
pub struct Producer {
    client: Arc<ThreadedProducer<Reports>>,
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

/// The acknowledgement of one record. Dropping it does not cancel the record.
pub struct Delivery(oneshot::Receiver<Result<Position, Error>>);

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

impl Producer {
    /// A producer with the default options. Needs no broker yet.
    pub fn new(config: &BusConfig) -> Result<Self, Error> {
        Self::with_options(config, ProducerOptions::default())
    }

    /// A producer. Needs no broker yet.
    pub fn with_options(config: &BusConfig, options: ProducerOptions) -> Result<Self, Error> {
        let settings = config.client(&producer_settings(options))?;
        let client = settings.create_with_context(Reports).map_err(|e| Error::from_kafka("create producer", "", &e))?;
        Ok(Self {
            client: Arc::new(client),
            records: Arc::new(Semaphore::new(QUEUE_RECORDS_MAX)),
            bytes: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
        })
    }

    /// Puts a record into the queue; waits while the queue is full. Records of one partition keep the order in which
    /// their `enqueue` returned.
    pub async fn enqueue(&self, outgoing: Outgoing) -> Result<Delivery, Error> {
        let room = self.room(outgoing.bytes()).await?;
        let (tell, report) = oneshot::channel();
        let pending = Box::new(Pending::new(tell, outgoing.topic.clone(), Some(room)));
        let mut record = BaseRecord::with_opaque_to(&outgoing.topic, pending)
            .key(&outgoing.key)
            .payload(&outgoing.value)
            .headers(outgoing.kafka_headers());
        record.partition = outgoing.partition;
        self.client.send(record).map_err(|(error, _)| Error::from_kafka("enqueue", &outgoing.topic, &error))?;
        Ok(Delivery(report))
    }

    /// Writes a record and waits for its acknowledgement.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Position, Error> {
        self.enqueue(outgoing).await?.await
    }

    /// Waits until everything enqueued so far is acknowledged or failed.
    pub async fn flush(&self, wait: Duration) -> Result<(), Error> {
        let client = Arc::clone(&self.client);
        let flushed = tokio::task::spawn_blocking(move || client.flush(wait)).await;
        flushed.map_err(|_| Error::Closed { operation: "flush" })?.map_err(|e| Error::from_kafka("flush", "", &e))
    }

    /// The error that ended this producer for good, if there was one.
    pub fn fatal(&self) -> Option<Error> {
        let (_, reason) = self.client.client().fatal_error()?;
        Some(Error::Fatal { operation: "produce", reason })
    }

    async fn room(&self, bytes: usize) -> Result<Room, Error> {
        let closed = |_| Error::Closed { operation: "enqueue" };
        let wanted = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let record = Arc::clone(&self.records).acquire_owned().await.map_err(closed)?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(wanted).await.map_err(closed)?;
        Ok(Room { _record: record, _bytes: bytes })
    }
}

/// The settings of every producer; the transactional one adds its own.
pub(crate) fn producer_settings(options: ProducerOptions) -> Vec<(&'static str, String)> {
    vec![
        ("enable.idempotence", "true".to_owned()),
        ("acks", "all".to_owned()),
        ("partitioner", "murmur2_random".to_owned()),
        ("linger.ms", options.linger_ms.to_string()),
        ("message.timeout.ms", options.delivery_ms_max.unwrap_or(0).to_string()),
        ("request.timeout.ms", PRODUCE_REQUEST_MS_MAX.to_string()),
        ("message.max.bytes", REQUEST_BYTES_MAX.to_string()),
        ("topic.metadata.propagation.max.ms", TOPIC_UNKNOWN_MS_MAX.to_string()),
        // Our own limits bind first (they can be awaited); these are only a second line.
        ("queue.buffering.max.messages", (2 * QUEUE_RECORDS_MAX).to_string()),
        ("queue.buffering.max.kbytes", (2 * QUEUE_BYTES_MAX / 1_024).to_string()),
    ]
}

/// A record's place in the queue, given back with its delivery report.
pub(crate) struct Room {
    _record: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// What travels with a record through librdkafka.
pub(crate) struct Pending {
    tell: oneshot::Sender<Result<Position, Error>>,
    topic: String,
    _room: Option<Room>,
}

impl Pending {
    pub(crate) fn new(tell: oneshot::Sender<Result<Position, Error>>, topic: String, room: Option<Room>) -> Self {
        Self { tell, topic, _room: room }
    }
}

/// Hands each delivery report to its record's sender.
pub(crate) struct Reports;

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        logging::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        logging::report(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Pending>;

    fn delivery(&self, result: &DeliveryResult<'_>, pending: Self::DeliveryOpaque) {
        let Pending { tell, topic, _room } = *pending;
        // The caller may have dropped its Delivery; the record is written all the same.
        let _ = tell.send(outcome(result, topic));
    }
}

/// A delivery report as a position or an error.
fn outcome(result: &DeliveryResult<'_>, topic: String) -> Result<Position, Error> {
    match result {
        Ok(message) => Ok(Position { topic, partition: message.partition(), offset: message.offset() }),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight), _)) => {
            Err(Error::Closed { operation: "produce" })
        }
        Err((error, _)) => Err(Error::from_kafka("produce", &topic, error)),
    }
}

impl Future for Delivery {
    type Output = Result<Position, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|report| report.unwrap_or(Err(Error::Closed { operation: "produce" })))
    }
}

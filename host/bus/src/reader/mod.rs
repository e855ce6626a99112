//! Reading partitions from exact offsets, without a group.

mod read_to_end;
mod thread;

use std::collections::HashMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc;

use crate::config::REQUEST_WAIT_MS_MAX;
use crate::logging::Logging;
use crate::{BusConfig, Error, Isolation, Partition, Position, Record};

pub use read_to_end::{READ_TO_END_BYTES_MAX, READ_TO_END_STALL_S_MAX, ToEnd, read_to_end};

/// Records in one answer of [`LogReader::next`] at most.
pub const READ_BATCH_RECORDS_MAX: usize = 1_000;
/// Bytes after which an answer of [`LogReader::next`] is closed.
pub const READ_BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Answers that wait for [`LogReader::next`]; then reading pauses.
const BATCHES_AHEAD_MAX: usize = 2;
/// A name that the client library asks for; nothing is ever committed under it.
const GROUP: &str = "unrip-reader";

/// Reads partitions in order from exact offsets. A position outside the log is [`Error::OutOfRange`], never a jump.
pub struct LogReader {
    consumer: Arc<BaseConsumer<Logging>>,
    starts: Starts,
    batches: mpsc::Receiver<Result<Vec<Record>, Error>>,
    /// Dropped after `consumer`: the reader's thread holds the last reference.
    _dropped: Sender<()>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").finish_non_exhaustive()
    }
}

impl LogReader {
    /// A reader at these positions. Needs no broker yet.
    pub fn open(config: &BusConfig, from: Vec<Position>, isolation: Isolation) -> Result<Self, Error> {
        let consumer = Arc::new(consumer(config, isolation, false)?);
        let starts = Starts::default();
        starts.note(&from);
        assign(&consumer, &from)?;
        let (tell, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (_dropped, dropped) = channel();
        thread::start(Arc::clone(&consumer), config, starts.clone(), isolation, tell, dropped)?;
        Ok(Self { consumer, starts, batches, _dropped })
    }

    /// The next records; never empty. Safe to cancel. After `Retriable` call `next` again; after `OutOfRange` that
    /// partition is not read any more, the others are. `Stopped` comes again while a partition cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Record>, Error> {
        self.batches.recv().await.unwrap_or(Err(Error::Closed { operation: "read" }))
    }

    /// Reads further partitions too.
    pub async fn assign_more(&self, from: Vec<Position>) -> Result<(), Error> {
        self.starts.note(&from);
        self.blocking("assign", move |consumer| assign(consumer, &from)).await
    }

    /// Stops reading these partitions. Records fetched before may still come.
    pub async fn unassign(&self, partitions: &[Partition]) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(topic, *partition);
        }
        self.blocking("unassign", move |consumer| {
            consumer.incremental_unassign(&list).map_err(|e| Error::from_kafka("unassign", "", &e))
        })
        .await
    }

    /// (oldest offset, end). With `ReadCommitted` the end is the last stable one.
    pub async fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        let topic = topic.to_owned();
        self.blocking("watermarks", move |consumer| watermarks(consumer, &topic, partition)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&BaseConsumer<Logging>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let consumer = Arc::clone(&self.consumer);
        let called = tokio::task::spawn_blocking(move || call(&consumer)).await;
        called.map_err(|_| Error::Closed { operation })?
    }
}

/// The requested start of each partition: the client library knows the position only of partitions it has read from.
#[derive(Clone, Default)]
struct Starts(Arc<Mutex<StartMap>>);

#[derive(Default)]
struct StartMap {
    of: HashMap<Partition, i64>,
    /// Not yet compared with the log.
    new: Vec<Position>,
}

impl Starts {
    fn note(&self, from: &[Position]) {
        let mut starts = self.lock();
        starts.of.extend(from.iter().map(|at| (at.place(), at.offset)));
        starts.new.extend_from_slice(from);
    }

    fn of(&self, at: &Partition) -> Option<i64> {
        self.lock().of.get(at).copied()
    }

    fn take_new(&self) -> Vec<Position> {
        std::mem::take(&mut self.lock().new)
    }

    fn check_again(&self, starts: impl Iterator<Item = Position>) {
        self.lock().new.extend(starts);
    }

    fn lock(&self) -> MutexGuard<'_, StartMap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn consumer(
    config: &BusConfig,
    isolation: Isolation,
    tell_end: bool,
) -> Result<BaseConsumer<Logging>, Error> {
    let settings = [("auto.offset.reset", "error".to_owned()), ("enable.partition.eof", tell_end.to_string())];
    let settings = config.consumer(GROUP, isolation, &settings)?;
    settings.create_with_context(Logging).map_err(|e| Error::from_kafka("create reader", "", &e))
}

pub(crate) fn assign(consumer: &BaseConsumer<Logging>, from: &[Position]) -> Result<(), Error> {
    let failed = |e: KafkaError| Error::from_kafka("assign", "", &e);
    let mut list = TopicPartitionList::new();
    for Position { topic, partition, offset } in from {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset)).map_err(failed)?;
    }
    consumer.incremental_assign(&list).map_err(failed)
}

pub(crate) fn watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), Error> {
    watermarks_within(consumer, topic, partition, Duration::from_millis(REQUEST_WAIT_MS_MAX))
}

pub(crate) fn watermarks_within<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    wait: Duration,
) -> Result<(i64, i64), Error> {
    let subject = format!("{topic}/{partition}");
    consumer.fetch_watermarks(topic, partition, wait).map_err(|e| Error::from_kafka("watermarks", &subject, &e))
}

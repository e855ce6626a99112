//! The reader's own thread: librdkafka blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionListElem};
use tokio::sync::mpsc::Sender;

use super::{READ_BATCH_BYTES_MAX, READ_BATCH_RECORDS_MAX, Starts, watermarks};
use crate::logging::Logging;
use crate::stopped::{Place, Retried, Stopped};
use crate::{BusConfig, Error, Isolation, Partition, Position, Record};

/// Poll timeout. Bounds how late it is noticed that the reader was dropped.
const POLL: Duration = Duration::from_millis(100);

type Tell = Sender<Result<Vec<Record>, Error>>;

struct Reading {
    consumer: Arc<BaseConsumer<Logging>>,
    starts: Starts,
    isolation: Isolation,
    stopped: Stopped,
    tell: Tell,
}

/// The reader was dropped, or its client will never work again.
struct Ended;

pub(super) fn start(
    consumer: Arc<BaseConsumer<Logging>>,
    config: &BusConfig,
    starts: Starts,
    isolation: Isolation,
    tell: Tell,
    dropped: Receiver<()>,
) -> Result<(), Error> {
    let stopped = Stopped::new(config, isolation);
    let mut reading = Reading { consumer, starts, isolation, stopped, tell };
    let work = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| while reading.turn().is_ok() {}));
        let Reading { consumer, tell, .. } = reading;
        if ended.is_err() {
            tell.blocking_send(Err(Error::Panicked { operation: "read" })).ok();
        }
        drop(tell);
        // The last reference is dropped here and never inside the runtime: it blocks until the client is closed.
        dropped.recv().ok();
        drop(consumer);
    };
    let thread = std::thread::Builder::new().name("bus-reader".to_owned()).spawn(work);
    thread.map(drop).map_err(|e| Error::Fatal { operation: "start reader thread", reason: e.to_string() })
}

impl Reading {
    fn turn(&mut self) -> Result<(), Ended> {
        if self.tell.is_closed() {
            return Err(Ended);
        }
        self.report(check_starts(&self.consumer, &self.starts, self.isolation))?;
        self.watch_stopped()?;
        let Some(first) = self.consumer.poll(POLL) else { return Ok(()) };
        let (batch, error) = gather(&self.consumer, first.map(|message| Record::from_message(&message)));
        if !batch.is_empty() {
            self.tell.blocking_send(Ok(batch)).map_err(|_| Ended)?;
        }
        let Some(error) = error else { return Ok(()) };
        let (consumer, starts) = (&self.consumer, &self.starts);
        let stopped = self.stopped.take(consumer, &error, || places(consumer, starts));
        self.report(stopped.unwrap_or_else(|| explain(&self.consumer, &self.starts, &error)))
    }

    /// Tries partitions again that could not be read, and finds those that stand still.
    fn watch_stopped(&mut self) -> Result<(), Ended> {
        let mut errors = Vec::new();
        for retried in self.stopped.retry() {
            match retried {
                Retried::Still(error) => errors.push(error),
                Retried::Free((topic, partition)) => {
                    let mut list = rdkafka::TopicPartitionList::new();
                    list.add_partition(&topic, partition);
                    let resumed = self.consumer.resume(&list);
                    errors.extend(resumed.err().map(|error| Error::from_kafka("resume", &topic, &error)));
                }
            }
        }
        let (consumer, starts) = (&self.consumer, &self.starts);
        errors.extend(self.stopped.look(consumer, || places(consumer, starts)));
        self.report(errors)
    }

    fn report(&self, errors: Vec<Error>) -> Result<(), Ended> {
        for error in errors {
            let end = error.is_fatal();
            self.tell.blocking_send(Err(error)).map_err(|_| Ended)?;
            if end {
                return Err(Ended);
            }
        }
        Ok(())
    }
}

/// Some brokers answer nothing at all beyond the end of the log, so a new start is compared with the log here. With
/// `ReadCommitted` only with its beginning: the stable end may lag behind a good start.
fn check_starts(consumer: &BaseConsumer<Logging>, starts: &Starts, isolation: Isolation) -> Vec<Error> {
    let mut outside = Vec::new();
    let mut new = starts.take_new().into_iter();
    while let Some(Position { topic, partition, offset }) = new.next() {
        match watermarks(consumer, &topic, partition) {
            Ok((low, high)) if offset < low || (offset > high && isolation == Isolation::ReadUncommitted) => {
                let mut list = rdkafka::TopicPartitionList::new();
                list.add_partition(&topic, partition);
                // It is not read any more; the client library would only report it again.
                consumer.incremental_unassign(&list).ok();
                outside.push(Error::OutOfRange { topic, partition, offset, low, high });
            }
            Err(error) if error.is_retriable() => {
                starts.check_again([Position { topic, partition, offset }].into_iter().chain(new));
                break;
            }
            // A missing topic is reported by the client library.
            Ok(_) | Err(_) => {}
        }
    }
    outside
}

/// The first record and what else has already been fetched: no record waits for others.
fn gather(consumer: &BaseConsumer<Logging>, first: Result<Record, KafkaError>) -> (Vec<Record>, Option<KafkaError>) {
    let (mut batch, mut bytes, mut polled) = (Vec::new(), 0, Some(first));
    while let Some(result) = polled {
        match result {
            Ok(record) => {
                bytes += record.bytes();
                batch.push(record);
            }
            Err(error) => return (batch, Some(error)),
        }
        if batch.len() >= READ_BATCH_RECORDS_MAX || bytes >= READ_BATCH_BYTES_MAX {
            break;
        }
        polled = consumer.poll(Duration::ZERO).map(|polled| polled.map(|message| Record::from_message(&message)));
    }
    (batch, None)
}

/// The client library does not say which partition is concerned; the log does.
fn explain(consumer: &BaseConsumer<Logging>, starts: &Starts, error: &KafkaError) -> Vec<Error> {
    let assigned = places(consumer, starts);
    let asked: Vec<Error> = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            assigned.iter().filter_map(|(at, next)| out_of_range(consumer, at, (*next)?)).collect()
        }
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic,
        ) => {
            let ask = |((topic, partition), _): &Place| watermarks(consumer, topic, *partition).err();
            assigned.iter().filter_map(ask).filter(|error| matches!(error, Error::MissingTopic { .. })).collect()
        }
        _ => Vec::new(),
    };
    if asked.is_empty() { vec![Error::from_kafka("read", "", error)] } else { asked }
}

/// The assigned partitions with the offset that each reads next, where it is known.
fn places(consumer: &BaseConsumer<Logging>, starts: &Starts) -> Vec<Place> {
    let Ok(list) = consumer.position() else { return Vec::new() };
    let place = |at: &TopicPartitionListElem<'_>| {
        let partition = (at.topic().to_owned(), at.partition());
        let next = if let Offset::Offset(offset) = at.offset() { Some(offset) } else { starts.of(&partition) };
        (partition, next)
    };
    list.elements().iter().map(place).collect()
}

fn out_of_range(consumer: &BaseConsumer<Logging>, (topic, partition): &Partition, offset: i64) -> Option<Error> {
    let (low, high) = watermarks(consumer, topic, *partition).ok()?;
    let inside = (low..=high).contains(&offset);
    (!inside).then(|| Error::OutOfRange { topic: topic.clone(), partition: *partition, offset, low, high })
}

//! The reader's own thread: librdkafka blocks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::Sender;

use super::{READ_BATCH_BYTES_MAX, READ_BATCH_RECORDS_MAX, Starts, watermarks};
use crate::logging::Logging;
use crate::stopped::Stopped;
use crate::{Error, Isolation, Record};

/// Poll timeout. Bounds how late it is noticed that the reader was dropped.
const POLL: Duration = Duration::from_millis(100);

type Tell = Sender<Result<Vec<Record>, Error>>;

pub(super) fn start(
    consumer: Arc<BaseConsumer<Logging>>,
    starts: Starts,
    isolation: Isolation,
    tell: Tell,
    dropped: Receiver<()>,
) -> Result<(), Error> {
    let work = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| run(&consumer, &starts, isolation, &tell)));
        if ended.is_err() {
            let reason = "the reader's thread panicked".to_owned();
            tell.blocking_send(Err(Error::Fatal { operation: "read", reason })).ok();
        }
        drop(tell);
        // The last reference is dropped here and never inside the runtime: it blocks until the client is closed.
        dropped.recv().ok();
        drop(consumer);
    };
    let thread = std::thread::Builder::new().name("bus-reader".to_owned()).spawn(work);
    thread.map(drop).map_err(|e| Error::Fatal { operation: "start reader thread", reason: e.to_string() })
}

/// Polls until the reader is dropped.
fn run(consumer: &BaseConsumer<Logging>, starts: &Starts, isolation: Isolation, tell: &Tell) {
    let mut stopped = Stopped::default();
    while !tell.is_closed() {
        for error in check_starts(consumer, starts, isolation) {
            if tell.blocking_send(Err(error)).is_err() {
                return;
            }
        }
        let Some(first) = consumer.poll(POLL) else { continue };
        let (batch, error) = gather(consumer, first.map(|message| Record::from_message(&message)));
        if !batch.is_empty() && tell.blocking_send(Ok(batch)).is_err() {
            return;
        }
        if let Some(error) = error {
            let places = || consumer.position().map(|list| places(&list, starts)).unwrap_or_default();
            let errors = stopped.take(consumer, &error, places);
            for error in errors.unwrap_or_else(|| explain(consumer, starts, &error)) {
                let end = error.is_fatal();
                if tell.blocking_send(Err(error)).is_err() || end {
                    return;
                }
            }
        }
    }
}

/// Some brokers answer nothing at all beyond the end of the log, so a new start is compared with the log here. With
/// `ReadCommitted` only with its beginning: the stable end may lag behind a good start.
fn check_starts(consumer: &BaseConsumer<Logging>, starts: &Starts, isolation: Isolation) -> Vec<Error> {
    let mut outside = Vec::new();
    let mut new = starts.take_new().into_iter();
    while let Some((topic, partition, offset)) = new.next() {
        match watermarks(consumer, &topic, partition) {
            Ok((low, high)) if offset < low || (offset > high && isolation == Isolation::ReadUncommitted) => {
                let mut list = rdkafka::TopicPartitionList::new();
                list.add_partition(&topic, partition);
                // It is not read any more; the client library would only report it again.
                consumer.incremental_unassign(&list).ok();
                outside.push(Error::OutOfRange { topic, partition, offset, low, high });
            }
            Err(error) if error.is_retriable() => {
                starts.check_again([(topic, partition, offset)].into_iter().chain(new));
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
    let code = error.rdkafka_error_code();
    let assigned = consumer.position().map(|list| positions(&list, starts)).unwrap_or_default();
    let asked: Vec<Error> = match code {
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            assigned.iter().filter_map(|at| out_of_range(consumer, at)).collect()
        }
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic,
        ) => {
            let ask =
                |(topic, partition, _): &(String, i32, Option<i64>)| watermarks(consumer, topic, *partition).err();
            assigned.iter().filter_map(ask).filter(|error| matches!(error, Error::MissingTopic { .. })).collect()
        }
        _ => Vec::new(),
    };
    if asked.is_empty() { vec![Error::from_kafka("read", "", error)] } else { asked }
}

fn positions(list: &rdkafka::TopicPartitionList, starts: &Starts) -> Vec<(String, i32, Option<i64>)> {
    let offset = |at: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match at.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => starts.of(at.topic(), at.partition()),
    };
    list.elements().iter().map(|at| (at.topic().to_owned(), at.partition(), offset(at))).collect()
}

fn places(list: &rdkafka::TopicPartitionList, starts: &Starts) -> Vec<((String, i32), Option<i64>)> {
    positions(list, starts).into_iter().map(|(topic, partition, next)| ((topic, partition), next)).collect()
}

fn out_of_range(consumer: &BaseConsumer<Logging>, at: &(String, i32, Option<i64>)) -> Option<Error> {
    let (topic, partition, position) = at;
    let (low, high) = watermarks(consumer, topic, *partition).ok()?;
    let offset = (*position)?;
    if (low..=high).contains(&offset) {
        return None;
    }
    Some(Error::OutOfRange { topic: topic.clone(), partition: *partition, offset, low, high })
}

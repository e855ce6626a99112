//! Reading partitions to their ends as of now.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::{BATCHES_AHEAD_MAX, READ_BATCH_BYTES_MAX, READ_BATCH_RECORDS_MAX, assign, consumer, watermarks};
use crate::logging::Logging;
use crate::stopped;
use crate::{BusConfig, Error, Isolation, Position, Record};

/// Bytes that [`read_to_end`] holds at most.
pub const READ_TO_END_BYTES_MAX: usize = 1_024 * 1_024 * 1_024;
/// How long reading to an end goes without a record or the end before it gives up, in seconds.
pub const READ_TO_END_STALL_S_MAX: u64 = 10;
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// Every record from a position to the end of its partition as of now. A position outside the log is an error.
pub async fn read_to_end(config: &BusConfig, from: Position, isolation: Isolation) -> Result<Vec<Record>, Error> {
    let (topic, partition, offset) = (from.topic, from.partition, from.offset);
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut log = ToEnd::start(config, &topic, vec![(partition, offset)], isolation);
    while let Some(records) = log.next().await {
        let records = records?;
        bytes += records.iter().map(Record::bytes).sum::<usize>();
        if bytes > READ_TO_END_BYTES_MAX {
            let reason = format!("{topic}/{partition} holds more than {READ_TO_END_BYTES_MAX} bytes from {offset} on");
            return Err(Error::Refused { operation: "read to end", reason });
        }
        all.extend(records);
    }
    Ok(all)
}

/// Partitions of a topic, read to their ends as of the start, without holding more than a few batches.
#[derive(Debug)]
pub struct ToEnd(mpsc::Receiver<Result<Vec<Record>, Error>>);

impl ToEnd {
    /// Starts at these offsets of partitions; call inside the runtime.
    pub fn start(config: &BusConfig, topic: &str, from: Vec<(i32, i64)>, isolation: Isolation) -> Self {
        let (tell, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (config, topic) = (config.clone(), topic.to_owned());
        tokio::task::spawn_blocking(move || {
            let ended = Reading::start(&config, &topic, from, isolation).and_then(|reading| reading.run(&tell));
            if let Err(error) = ended {
                // A dropped receiver has no use for the error.
                tell.blocking_send(Err(error)).ok();
            }
        });
        Self(batches)
    }

    /// The next records, each partition in its order; none once every partition is read. After an error nothing follows.
    /// Safe to cancel. A position outside the log is [`Error::OutOfRange`].
    pub async fn next(&mut self) -> Option<Result<Vec<Record>, Error>> {
        self.0.recv().await
    }
}

struct Reading {
    config: BusConfig,
    isolation: Isolation,
    consumer: BaseConsumer<Logging>,
    topic: String,
    /// What is left of each partition: the next offset and the end.
    left: HashMap<i32, (i64, i64)>,
}

impl Reading {
    fn start(config: &BusConfig, topic: &str, from: Vec<(i32, i64)>, isolation: Isolation) -> Result<Self, Error> {
        let consumer = consumer(config, isolation, true)?;
        let mut left = HashMap::new();
        for (partition, offset) in from {
            let (low, high) = watermarks(&consumer, topic, partition)?;
            if offset > high && isolation == Isolation::ReadCommitted && is_written(config, topic, partition, offset)? {
                continue;
            }
            if !(low..=high).contains(&offset) {
                return Err(Error::OutOfRange { topic: topic.to_owned(), partition, offset, low, high });
            }
            if offset < high {
                left.insert(partition, (offset, high));
            }
        }
        let from: Vec<_> = left.iter().map(|(at, (offset, _))| Position::new(topic, *at, *offset)).collect();
        assign(&consumer, &from)?;
        Ok(Self { config: config.clone(), isolation, consumer, topic: topic.to_owned(), left })
    }

    fn run(mut self, tell: &mpsc::Sender<Result<Vec<Record>, Error>>) -> Result<(), Error> {
        let (mut batch, mut bytes, mut progress) = (Vec::new(), 0, Instant::now());
        while !self.left.is_empty() && progress.elapsed() < Duration::from_secs(READ_TO_END_STALL_S_MAX) {
            match self.consumer.poll(if batch.is_empty() { POLL } else { Duration::ZERO }) {
                None if !batch.is_empty() => {
                    bytes = 0;
                    if !hand_over(tell, &mut batch) {
                        return Ok(());
                    }
                    progress = Instant::now();
                }
                None => {}
                Some(Ok(message)) => {
                    progress = Instant::now();
                    let record = Record::from_message(&message);
                    if self.is_wanted(&record) {
                        bytes += record.bytes();
                        batch.push(record);
                    }
                }
                // The last offsets may be markers of transactions, which are no records.
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(self.left.remove(&partition)),
                Some(Err(error)) => self.judge(&error)?,
            }
            if batch.len() >= READ_BATCH_RECORDS_MAX || bytes >= READ_BATCH_BYTES_MAX {
                bytes = 0;
                if !hand_over(tell, &mut batch) {
                    return Ok(());
                }
                progress = Instant::now();
            }
        }
        hand_over(tell, &mut batch);
        match self.left.keys().next() {
            None => Ok(()),
            Some(partition) => {
                let reason = format!("{}/{partition}: nothing came for {READ_TO_END_STALL_S_MAX} s", self.topic);
                Err(Error::Retriable { operation: "read to end", reason })
            }
        }
    }

    /// Records that came after the start are not part of the answer.
    fn is_wanted(&mut self, record: &Record) -> bool {
        let Some((next, end)) = self.left.get_mut(&record.partition) else { return false };
        let end = *end;
        *next = record.offset + 1;
        if *next >= end {
            self.left.remove(&record.partition);
        }
        record.offset < end
    }

    /// The client library does not say which partition is concerned, so each is asked.
    fn judge(&self, error: &KafkaError) -> Result<(), Error> {
        let error = Error::from_kafka("read to end", &self.topic, error);
        if error.is_retriable() {
            return Ok(());
        }
        if let Error::Denied { .. } | Error::Refused { .. } = error {
            for (partition, (next, _)) in &self.left {
                let at = Position::new(&self.topic, *partition, *next);
                stopped::check(&self.config, self.isolation, &at)?;
            }
        }
        Err(error)
    }
}

/// Whether the offset is written and not stable yet: the end of an open transaction, or of one whose markers are on
/// their way.
fn is_written(config: &BusConfig, topic: &str, partition: i32, offset: i64) -> Result<bool, Error> {
    let (_, written) = watermarks(&consumer(config, Isolation::ReadUncommitted, false)?, topic, partition)?;
    Ok(offset <= written)
}

/// Whether there is still a reader.
fn hand_over(tell: &mpsc::Sender<Result<Vec<Record>, Error>>, batch: &mut Vec<Record>) -> bool {
    batch.is_empty() || tell.blocking_send(Ok(std::mem::take(batch))).is_ok()
}

//! Reading a partition to its end as of now.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::{assign, consumer, watermarks};
use crate::{BusConfig, Error, Isolation, Record};

/// Bytes that [`read_to_end`] holds at most.
pub const READ_TO_END_BYTES_MAX: usize = 1_024 * 1_024 * 1_024;
/// How long [`read_to_end`] goes without a record or the end before it gives up, in seconds.
pub const READ_TO_END_STALL_S_MAX: u64 = 10;
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(100);

/// Every record of a partition from an offset to its end as of now. A position outside the log is an error.
pub async fn read_to_end(
    config: &BusConfig,
    topic: &str,
    partition: i32,
    from: i64,
    isolation: Isolation,
) -> Result<Vec<Record>, Error> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || read_blocking(&config, &topic, partition, from, isolation)).await;
    read.map_err(|_| Error::Closed { operation: "read to end" })?
}

fn read_blocking(
    config: &BusConfig,
    topic: &str,
    partition: i32,
    from: i64,
    isolation: Isolation,
) -> Result<Vec<Record>, Error> {
    let reading = consumer(config, isolation, true)?;
    let (low, high) = watermarks(&reading, topic, partition)?;
    if from > high && isolation == Isolation::ReadCommitted {
        // Written, and not stable yet: the end of an open transaction, or of one whose markers are on their way.
        let (_, written) = watermarks(&consumer(config, Isolation::ReadUncommitted, false)?, topic, partition)?;
        if from <= written {
            return Ok(Vec::new());
        }
    }
    if !(low..=high).contains(&from) {
        return Err(Error::OutOfRange { topic: topic.to_owned(), partition, offset: from, low, high });
    }
    if from == high {
        return Ok(Vec::new());
    }
    assign(&reading, &[(topic.to_owned(), partition, from)])?;
    let (mut records, mut bytes, mut progress) = (Vec::new(), 0, Instant::now());
    while progress.elapsed() < Duration::from_secs(READ_TO_END_STALL_S_MAX) {
        match reading.poll(POLL) {
            None => {}
            Some(Ok(message)) => {
                let record = Record::from_message(&message);
                (bytes, progress) = (bytes + record.bytes(), Instant::now());
                if bytes > READ_TO_END_BYTES_MAX {
                    let reason =
                        format!("{topic}/{partition} holds more than {READ_TO_END_BYTES_MAX} bytes from {from} on");
                    return Err(Error::Refused { operation: "read to end", reason });
                }
                // Records that came after the question are not part of the answer.
                if record.offset >= high {
                    return Ok(records);
                }
                let last = record.offset + 1 >= high;
                records.push(record);
                if last {
                    return Ok(records);
                }
            }
            // The last offsets may be markers of transactions, which are no records.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(error)) => {
                let error = Error::from_kafka("read to end", topic, &error);
                if let Error::Denied { reason, .. } = error {
                    let offset = records.last().map_or(from, |record: &Record| record.offset + 1);
                    return Err(Error::Stopped { topic: topic.to_owned(), partition, offset, reason });
                }
                if !error.is_retriable() {
                    return Err(error);
                }
            }
        }
    }
    let reason = format!("{topic}/{partition}: nothing came for {READ_TO_END_STALL_S_MAX} s");
    Err(Error::Retriable { operation: "read to end", reason })
}

//! One record of one partition, read by a client of its own.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use crate::reader::{assign, consumer};
use crate::{BusConfig, Error, Isolation, Partition, Position};

/// How long one probe may take.
const PROBE_MAX: Duration = Duration::from_secs(3);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(50);

/// What comes at an offset.
pub(super) enum Readable {
    Yes,
    /// The end of the log, or nothing but markers of transactions.
    End,
    /// It never will, for this reason.
    No(String),
    /// The offset is not in the log, or there is no such topic: the library reports that to the reader itself.
    Elsewhere,
}

pub(super) struct Probe<'a> {
    pub(super) config: &'a BusConfig,
    pub(super) isolation: Isolation,
}

impl Probe<'_> {
    /// Nothing if no answer came in time.
    pub(super) fn read(&self, (topic, partition): &Partition, next: i64, until: Instant) -> Option<Readable> {
        let reading = consumer(self.config, self.isolation, true).ok()?;
        assign(&reading, &[Position::new(topic, *partition, next)]).ok()?;
        let until = until.min(Instant::now() + PROBE_MAX);
        while Instant::now() < until {
            match reading.poll(POLL) {
                None => {}
                Some(Ok(_)) => return Some(Readable::Yes),
                Some(Err(KafkaError::PartitionEOF(_))) => return Some(Readable::End),
                Some(Err(error)) => match Error::from_kafka("probe", "", &error) {
                    Error::Denied { reason, .. } | Error::Refused { reason, .. } => return Some(Readable::No(reason)),
                    _ if is_elsewhere(&error) => return Some(Readable::Elsewhere),
                    _ => {}
                },
            }
        }
        None
    }
}

fn is_elsewhere(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
        )
    )
}

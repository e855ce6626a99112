//! Which topic or partition an error is about: the client library does not say it, the broker does.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::rebalance::Membership;
use super::{Partition, Start, list_of};
use crate::Error;
use crate::config::REQUEST_WAIT_MS_MAX;
use crate::reader::watermarks;

/// What an error of the client library means for the member.
pub(super) enum News {
    /// Records were removed before they were read; reading continues at `to`.
    Gap {
        at: Partition,
        from: i64,
        to: i64,
    },
    /// The partition has no committed offset and starts at its beginning.
    Start(Partition),
    Failed(Error),
}

/// At least one.
pub(super) fn explain(consumer: &BaseConsumer<Membership>, topics: &[String], error: &KafkaError) -> Vec<News> {
    let asked = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => missing(consumer, topics),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
            let places = consumer.context().epochs.places();
            places.into_iter().filter_map(|(at, next)| outside(consumer, at, next)).collect()
        }
        _ => Vec::new(),
    };
    let unknown = || News::Failed(Error::from_kafka("consume", &topics.join(", "), error));
    if asked.is_empty() { vec![unknown()] } else { asked }
}

fn missing(consumer: &BaseConsumer<Membership>, topics: &[String]) -> Vec<News> {
    let Ok(metadata) = consumer.fetch_metadata(None, wait()) else { return Vec::new() };
    let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none());
    let missing = topics.iter().filter(|topic| !there(topic));
    missing.map(|topic| News::Failed(Error::MissingTopic { topic: topic.clone() })).collect()
}

/// Whether the next offset of the partition is outside the log, and on which side.
fn outside(consumer: &BaseConsumer<Membership>, at: Partition, next: Option<i64>) -> Option<News> {
    let start = consumer.context().start();
    let Some(next) = next.or_else(|| committed(consumer, &at)) else {
        return match start {
            Start::Earliest => Some(News::Start(at)),
            Start::Error => {
                let (low, high) = watermarks(consumer, &at.0, at.1).ok()?;
                let (topic, partition) = at;
                Some(News::Failed(Error::OutOfRange { topic, partition, offset: -1, low, high }))
            }
            Start::Held => None,
        };
    };
    let (low, high) = watermarks(consumer, &at.0, at.1).ok()?;
    if next < low && start != Start::Error {
        return Some(News::Gap { at, from: next, to: low });
    }
    let (topic, partition) = at;
    let error = Error::OutOfRange { topic, partition, offset: next, low, high };
    (!(low..=high).contains(&next)).then_some(News::Failed(error))
}

fn committed(consumer: &BaseConsumer<Membership>, at: &Partition) -> Option<i64> {
    let found = consumer.committed_offsets(list_of(std::slice::from_ref(at)), wait()).ok()?;
    found.elements().first().and_then(|at| if let Offset::Offset(offset) = at.offset() { Some(offset) } else { None })
}

fn wait() -> Duration {
    Duration::from_millis(REQUEST_WAIT_MS_MAX)
}

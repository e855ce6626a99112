//! Which topic or partition an error is about: the client library does not say it, the broker does.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;

use super::list_of;
use super::rebalance::Membership;
use crate::Error;
use crate::config::REQUEST_WAIT_MS_MAX;
use crate::reader::watermarks;

/// At least one error.
pub(super) fn explain(consumer: &BaseConsumer<Membership>, topics: &[String], error: &KafkaError) -> Vec<Error> {
    let asked = match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => missing(consumer, topics),
        Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => out_of_range(consumer),
        _ => Vec::new(),
    };
    if asked.is_empty() { vec![Error::from_kafka("consume", &topics.join(", "), error)] } else { asked }
}

fn missing(consumer: &BaseConsumer<Membership>, topics: &[String]) -> Vec<Error> {
    let Ok(metadata) = consumer.fetch_metadata(None, wait()) else { return Vec::new() };
    let there = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name && topic.error().is_none());
    let missing = topics.iter().filter(|topic| !there(topic));
    missing.map(|topic| Error::MissingTopic { topic: topic.clone() }).collect()
}

fn out_of_range(consumer: &BaseConsumer<Membership>) -> Vec<Error> {
    let assigned = consumer.context().epochs.assigned();
    let Ok(committed) = consumer.committed_offsets(list_of(&assigned), wait()) else { return Vec::new() };
    let outside = committed.elements().into_iter().filter_map(|at| {
        let offset = if let Offset::Offset(offset) = at.offset() { offset } else { -1 };
        let (low, high) = watermarks(consumer, at.topic(), at.partition()).ok()?;
        let topic = at.topic().to_owned();
        let error = Error::OutOfRange { topic, partition: at.partition(), offset, low, high };
        (!(low..=high).contains(&offset)).then_some(error)
    });
    outside.collect()
}

fn wait() -> Duration {
    Duration::from_millis(REQUEST_WAIT_MS_MAX)
}

//! Records: order, partitions, contents, and reading from exact places.

use std::time::Instant;

use unrip_bus::{Error, Isolation, LogReader, Position, Producer, ProducerOptions, RecordTime, read_to_end};
use unrip_core::partition::partition_for;

use super::common::{record, soon, topic, values};

const UNCOMMITTED: Isolation = Isolation::ReadUncommitted;

#[tokio::test]
async fn records_keep_their_order_and_contents() {
    let (config, name) = topic("order", 1).await;
    let producer = Producer::new(&config).unwrap();
    let mut deliveries = Vec::new();
    for number in 0..1_000 {
        deliveries.push(producer.enqueue(record(&name, None, "k", &number.to_string())).await.unwrap());
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(soon("delivery", delivery).await.unwrap().offset, number as i64);
    }
    let read = read_to_end(&config, Position::new(&name, 0, 0), UNCOMMITTED).await.unwrap();
    assert_eq!(values(&read), (0..1_000).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(read[0].key.as_deref(), Some(b"k".as_slice()));
    assert_eq!(read[0].header("event_type"), Some(b"test".as_slice()));
    assert!(matches!(read[0].timestamp, RecordTime::Create(_)));
    assert_eq!(read_to_end(&config, Position::new(&name, 0, 990), UNCOMMITTED).await.unwrap().len(), 10);
    assert!(read_to_end(&config, Position::new(&name, 0, 1_000), UNCOMMITTED).await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_go_where_core_says_and_explicit_partitions_win() {
    let (config, name) = topic("partition", 7).await;
    let producer = Producer::new(&config).unwrap();
    for key in ["a", "asset/x", "BTC/USD", "", "0123456789abcdef0123456789abcdef", "ключ"] {
        let position = producer.send(record(&name, None, key, "by key")).await.unwrap();
        assert_eq!(position.partition, partition_for(key.as_bytes(), 7), "{key}");
        let other = (position.partition + 1) % 7;
        assert_eq!(producer.send(record(&name, Some(other), key, "explicit")).await.unwrap().partition, other);
    }
}

#[tokio::test]
async fn a_record_is_read_back_as_soon_as_it_is_acknowledged() {
    let (config, name) = topic("readback", 1).await;
    let options = ProducerOptions { linger_ms: 0, ..ProducerOptions::default() };
    let producer = Producer::with_options(&config, options).unwrap();
    let mut reader = LogReader::open(&config, vec![Position::new(&name, 0, 0)], UNCOMMITTED).unwrap();
    let mut micros = Vec::new();
    for number in 0..200 {
        let began = Instant::now();
        let sent = producer.send(record(&name, Some(0), "k", &number.to_string())).await.unwrap();
        let read = soon("read back", reader.next()).await.unwrap();
        assert_eq!((read.len(), read[0].offset), (1, sent.offset));
        micros.push(began.elapsed().as_micros());
    }
    micros.sort_unstable();
    // A figure to look at, not a promise: the machine may be busy.
    eprintln!("write, acknowledge, read back: p50 {} us, p95 {} us", micros[100], micros[190]);
}

#[tokio::test]
async fn a_position_outside_the_log_is_an_error_and_never_a_jump() {
    let (config, name) = topic("outside", 2).await;
    Producer::new(&config).unwrap().send(record(&name, Some(1), "k", "v")).await.unwrap();
    let error = read_to_end(&config, Position::new(&name, 1, 7), UNCOMMITTED).await.unwrap_err();
    assert!(matches!(error, Error::OutOfRange { offset: 7, low: 0, high: 1, .. }), "{error}");
    let mut reader = LogReader::open(&config, vec![Position::new(&name, 1, 7)], UNCOMMITTED).unwrap();
    let error = soon("reader", async {
        loop {
            match reader.next().await {
                Err(error) if error.is_retriable() => {}
                other => return other.expect_err("jumped"),
            }
        }
    })
    .await;
    assert!(matches!(error, Error::OutOfRange { partition: 1, offset: 7, low: 0, high: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_reader_takes_more_partitions_and_lets_go_of_them() {
    let (config, name) = topic("more", 2).await;
    let producer = Producer::new(&config).unwrap();
    let mut reader = LogReader::open(&config, vec![Position::new(&name, 0, 0)], UNCOMMITTED).unwrap();
    producer.send(record(&name, Some(1), "k", "one")).await.unwrap();
    producer.send(record(&name, Some(0), "k", "zero")).await.unwrap();
    assert_eq!(values(&soon("first", reader.next()).await.unwrap()), ["zero"]);
    reader.assign_more(vec![Position::new(&name, 1, 0)]).await.unwrap();
    assert_eq!(values(&soon("second", reader.next()).await.unwrap()), ["one"]);
    assert_eq!(reader.watermarks(&name, 1).await.unwrap(), (0, 1));
    reader.unassign(&[(name.clone(), 0)]).await.unwrap();
    producer.send(record(&name, Some(0), "k", "unseen")).await.unwrap();
    producer.send(record(&name, Some(1), "k", "two")).await.unwrap();
    assert_eq!(values(&soon("third", reader.next()).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn a_record_beyond_the_topics_limit_is_refused_and_others_go_on() {
    let (config, name) = topic("large", 1).await;
    let producer = Producer::new(&config).unwrap();
    let large = "x".repeat(3 * 1_024 * 1_024);
    let outcome = soon("large", producer.send(record(&name, None, "k", &large))).await;
    match outcome {
        Err(error) => assert!(matches!(error, Error::Refused { .. }), "{error}"),
        Ok(_) => super::common::verdict("max.message.bytes is enforced", false),
    }
    soon("small", producer.send(record(&name, None, "k", "small"))).await.unwrap();
}

//! What retention or a deletion removes before it is read is an event, at an assignment and while reading.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use unrip_bus::{
    BusConfig, Error, GroupConsumer, GroupEvent, GroupOptions, Isolation, LogReader, Position, Producer, Start,
};
use unrip_testkit::broker::unique_topic;

use super::common::{assigned, member, record, records, soon, topic, verdict};

const RECORDS: i64 = 10;

async fn filled(partitions: i32) -> (BusConfig, String) {
    let (config, name) = topic("gap", partitions).await;
    let producer = Producer::new(&config).unwrap();
    for number in 0..RECORDS {
        for partition in 0..partitions {
            producer.send(record(&name, Some(partition), "k", &number.to_string())).await.unwrap();
        }
    }
    (config, name)
}

/// Deletes the records of partition 0 before the offset; `false` where the broker cannot.
async fn delete_before(config: &BusConfig, topic: &str, offset: i64) -> bool {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    let deleted = admin.delete_records(&list, &AdminOptions::new()).await;
    let holds = deleted.is_ok_and(|list| list.elements().iter().all(|at| at.error().is_ok()));
    verdict("records can be deleted", holds);
    holds
}

/// The first gap; records of other partitions may come before it.
async fn gap(member: &mut GroupConsumer) -> (String, i32, i64, i64) {
    soon("gap", async {
        loop {
            match member.next().await {
                GroupEvent::Gap { topic, partition, from, to } => return (topic, partition, from, to),
                GroupEvent::Failed(error) => assert!(error.is_retriable(), "{error}"),
                GroupEvent::Records(read) => assert!(read.iter().all(|record| record.partition != 0), "before the gap"),
                GroupEvent::Assigned(_) | GroupEvent::Revoked { .. } => {}
            }
        }
    })
    .await
}

#[tokio::test]
async fn what_was_removed_while_the_group_was_away_is_a_gap() {
    let (config, name) = filled(2).await;
    let group = unique_topic("g");
    let mut first = member(&config, &group, &name);
    records(&mut first, 20).await;
    first.commit(vec![Position::new(&name, 0, 3), Position::new(&name, 1, 3)]).await.unwrap();
    soon("leave", first.leave()).await;
    if !delete_before(&config, &name, 7).await {
        return;
    }
    let mut second = member(&config, &group, &name);
    assert_eq!(gap(&mut second).await, (name.clone(), 0, 3, 7));
    let read = soon("rest", async {
        let mut offsets = Vec::new();
        while offsets.len() < 3 {
            if let GroupEvent::Records(read) = second.next().await {
                offsets.extend(read.iter().filter(|record| record.partition == 0).map(|record| record.offset));
            }
        }
        offsets
    })
    .await;
    assert_eq!(read, [7, 8, 9]);
    soon("leave", second.leave()).await;
}

#[tokio::test]
async fn a_log_that_was_emptied_is_a_gap_too() {
    let (config, name) = filled(1).await;
    let group = unique_topic("g");
    let mut first = member(&config, &group, &name);
    records(&mut first, 10).await;
    first.commit(vec![Position::new(&name, 0, 3)]).await.unwrap();
    soon("leave", first.leave()).await;
    if !delete_before(&config, &name, RECORDS).await {
        return;
    }
    let mut second = member(&config, &group, &name);
    assert_eq!(gap(&mut second).await, (name.clone(), 0, 3, RECORDS));
    Producer::new(&config).unwrap().send(record(&name, Some(0), "k", "new")).await.unwrap();
    assert_eq!(records(&mut second, 1).await[0].offset, RECORDS);
    soon("leave", second.leave()).await;
}

#[tokio::test]
async fn a_group_without_a_committed_offset_starts_at_the_oldest_record_and_misses_nothing() {
    let (config, name) = filled(1).await;
    if !delete_before(&config, &name, 4).await {
        return;
    }
    let mut new = member(&config, &unique_topic("g"), &name);
    let read = soon("records", async {
        loop {
            match new.next().await {
                GroupEvent::Records(read) => return read,
                gap @ GroupEvent::Gap { .. } => panic!("{gap:?}"),
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(read[0].offset, 4);
    soon("leave", new.leave()).await;
}

#[tokio::test]
async fn what_is_removed_before_a_held_partition_reads_it_is_a_gap() {
    let (config, name) = filled(1).await;
    let options = GroupOptions { start: Start::Held, ..GroupOptions::new(unique_topic("g"), vec![name.clone()]) };
    let mut held = GroupConsumer::join(&config, options).unwrap();
    assigned(&mut held, 1).await;
    if !delete_before(&config, &name, 7).await {
        return;
    }
    soon("start", held.begin_at(&Position::new(&name, 0, 2))).await.unwrap();
    assert_eq!(gap(&mut held).await, (name.clone(), 0, 2, 7));
    assert_eq!(records(&mut held, 3).await[0].offset, 7);
    soon("leave", held.leave()).await;
}

#[tokio::test]
async fn a_reader_says_which_records_are_gone() {
    let (config, name) = filled(1).await;
    if !delete_before(&config, &name, 7).await {
        return;
    }
    let mut reader = LogReader::open(&config, vec![Position::new(&name, 0, 2)], Isolation::ReadCommitted).unwrap();
    let error = soon("error", reader.next()).await.unwrap_err();
    assert!(matches!(error, Error::OutOfRange { partition: 0, offset: 2, low: 7, high: 10, .. }), "{error}");
}

//! Topics, records and waiting, with a time limit on everything.

use std::future::Future;
use std::time::Duration;

use unrip_bus::{Admin, BusConfig, GroupConsumer, GroupEvent, GroupOptions, Outgoing, Partition, Record};
use unrip_core::topic::{Retention, TopicSpec};
use unrip_testkit::broker;

/// Longer than anything here takes; it only keeps a failing test from hanging.
pub(crate) const WAIT: Duration = Duration::from_secs(60);

pub(crate) fn bus() -> BusConfig {
    broker::for_tests().bus()
}

pub(crate) fn spec(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec { name: name.to_owned(), partitions, retention: Retention::Time(3_600_000), log_append_time: false }
}

/// A new topic on the shared broker.
pub(crate) async fn topic(prefix: &str, partitions: i32) -> (BusConfig, String) {
    let (config, name) = (bus(), broker::unique_topic(prefix));
    make(&config, &name, partitions).await;
    (config, name)
}

pub(crate) async fn make(config: &BusConfig, name: &str, partitions: i32) {
    Admin::new(config).unwrap().ensure_topics(&[spec(name, partitions)]).await.unwrap();
}

pub(crate) fn record(topic: &str, partition: Option<i32>, key: &str, value: &str) -> Outgoing {
    let headers = vec![("event_type".to_owned(), b"test".to_vec())];
    Outgoing { topic: topic.to_owned(), partition, key: key.into(), value: value.into(), headers }
}

pub(crate) fn values(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.clone()).unwrap()).collect()
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {WAIT:?}"))
}

pub(crate) fn member(config: &BusConfig, group: &str, topic: &str) -> GroupConsumer {
    let options = GroupOptions { session_timeout_ms: 6_000, ..GroupOptions::new(group, vec![topic.to_owned()]) };
    GroupConsumer::join(config, options).unwrap()
}

/// Until the member has so many partitions; passing failures are let by.
pub(crate) async fn assigned(member: &mut GroupConsumer, count: usize) -> Vec<Partition> {
    let mut all = Vec::new();
    soon("assignment", async {
        while all.len() < count {
            match member.next().await {
                GroupEvent::Assigned(more) => all.extend(more),
                GroupEvent::Revoked { partitions, .. } => all.retain(|at| !partitions.contains(at)),
                GroupEvent::Failed(error) => assert!(error.is_retriable(), "{error}"),
                GroupEvent::Records(records) => panic!("{} records came with the assignment", records.len()),
                gap @ GroupEvent::Gap { .. } => panic!("{gap:?}"),
            }
        }
    })
    .await;
    all
}

/// Until so many records came.
pub(crate) async fn records(member: &mut GroupConsumer, count: usize) -> Vec<Record> {
    let mut all = Vec::new();
    soon("records", async {
        while all.len() < count {
            match member.next().await {
                GroupEvent::Records(more) => all.extend(more),
                GroupEvent::Failed(error) => assert!(error.is_retriable(), "{error}"),
                GroupEvent::Assigned(_) | GroupEvent::Revoked { .. } | GroupEvent::Gap { .. } => {}
            }
        }
    })
    .await;
    all
}

/// Says for one broker what holds or not.
pub(crate) fn verdict(what: &str, holds: bool) {
    let broker = broker::for_tests();
    let word = if holds { "holds" } else { "DOES NOT HOLD" };
    eprintln!("CONFORMANCE [{}] {what}: {word}", broker.kind().map_or("named broker", broker::Kind::as_str));
}

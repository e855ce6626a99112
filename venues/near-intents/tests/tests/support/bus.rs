//! Topics and records of a test with one service, on a broker that other tests may use.

use std::future::Future;
use std::time::Duration;

use unrip_bus::{Admin, BusConfig, Isolation, LogReader, Position, Record};
use unrip_core::topic::{Retention, TopicSpec};

/// Far above what anything here takes once the component is built; keeps a failing test from hanging.
const WAIT: Duration = Duration::from_secs(90);

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {WAIT:?}"))
}

/// The topic's partitions; it is made with so many where it is not there.
pub async fn make(bus: &BusConfig, name: &str, partitions: i32) -> i32 {
    let admin = Admin::new(bus).unwrap();
    if let Some(state) = soon("describe", admin.describe(name)).await.unwrap() {
        return state.partitions;
    }
    let retention = Retention::Time(3_600_000);
    let spec = TopicSpec { name: name.to_owned(), partitions, retention, log_append_time: false };
    soon("topics", admin.ensure_topics(&[spec])).await.unwrap();
    partitions
}

/// The first `count` records of a topic that are wanted.
pub async fn read(bus: &BusConfig, topic: &str, wanted: impl Fn(&Record) -> bool, count: usize) -> Vec<Record> {
    let partitions = soon("describe", Admin::new(bus).unwrap().describe(topic)).await.unwrap().unwrap().partitions;
    let from = (0..partitions).map(|partition| Position::new(topic, partition, 0)).collect();
    let mut reader = LogReader::open(bus, from, Isolation::ReadCommitted).unwrap();
    let mut records = Vec::new();
    soon("records", async {
        while records.len() < count {
            let more = reader.next().await.unwrap();
            records.extend(more.into_iter().filter(&wanted));
        }
    })
    .await;
    records
}

//! A broker of its own that is killed: what was acknowledged is there, and every client continues by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use unrip_bus::{Admin, GroupEvent, Isolation, LogReader, Position, Producer, read_to_end};
use unrip_testkit::broker::{Broker, BrokerChoice};

use super::common::{make, member, record, soon, values};

const KILLS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_broker_is_killed_and_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let choice = BrokerChoice { own: true, ..BrokerChoice::default() };
    let mut broker = Broker::start(choice, dir.path()).unwrap();
    eprintln!("to be killed: {}", broker.describe());
    let config = broker.bus();
    make(&config, "kept", 1).await;
    let producer = Producer::new(&config).unwrap();
    let mut reader = LogReader::open(&config, vec![Position::new("kept", 0, 0)], Isolation::ReadUncommitted).unwrap();
    let mut consumer = member(&config, "g", "kept");

    let mut sent = 0;
    let mut deliveries = Vec::new();
    for round in 0..=KILLS {
        for _ in 0..300 {
            deliveries.push(producer.enqueue(record("kept", None, "k", &sent.to_string())).await.unwrap());
            sent += 1;
        }
        if round < KILLS {
            // Some of the records are on their way now.
            broker.kill().unwrap();
            let away = Admin::new(&config).unwrap().reachable(Duration::from_millis(200)).await.unwrap_err();
            assert!(away.is_retriable(), "{away}");
            broker.restart().unwrap();
        }
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        soon("delivery", delivery).await.unwrap_or_else(|e| panic!("record {number}: {e}"));
    }
    let expected: Vec<String> = (0..sent).map(|number: i32| number.to_string()).collect();
    let log = read_to_end(&config, Position::new("kept", 0, 0), Isolation::ReadUncommitted).await.unwrap();
    assert_eq!(values(&log), expected, "in order, none missing, none twice");

    let mut read = Vec::new();
    soon("reader", async {
        while read.len() < expected.len() {
            match reader.next().await {
                Ok(records) => read.extend(values(&records)),
                Err(error) => assert!(error.is_retriable(), "{error}"),
            }
        }
    })
    .await;
    assert_eq!(read, expected);
    let mut seen = BTreeSet::new();
    soon("member", async {
        while seen.len() < expected.len() {
            match consumer.next().await {
                GroupEvent::Records(records) => seen.extend(values(&records)),
                GroupEvent::Failed(error) => assert!(!error.is_fatal(), "{error}"),
                GroupEvent::Assigned(_) | GroupEvent::Revoked { .. } | GroupEvent::Gap { .. } => {}
            }
        }
    })
    .await;
    soon("commit", consumer.commit(vec![Position::new("kept", 0, i64::from(sent))])).await.unwrap();
    soon("leave", consumer.leave()).await;
}

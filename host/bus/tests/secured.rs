//! TLS and SCRAM on the real Kafka, with a CA of its own. `cargo test -p unrip-bus --features tls --test secured`
#![cfg(feature = "tls")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail a test by panicking"
)]

use std::time::Duration;

use unrip_bus::{
    Admin, BusConfig, GroupConsumer, GroupEvent, GroupOptions, Isolation, Outgoing, Position, Producer, read_to_end,
};
use unrip_core::topic::{Retention, TopicSpec};
use unrip_testkit::broker::{Broker, BrokerChoice, Kind, PASSWORD, Secured, USER};

/// Nothing here takes this long; it keeps a failing test from hanging.
const WAIT: Duration = Duration::from_secs(60);
/// How long a refused client may take to say so.
const REFUSAL_WAIT: Duration = Duration::from_secs(10);

fn tls(secured: &Secured) -> BusConfig {
    let mut bus = BusConfig::at(&secured.tls);
    bus.properties.insert("security.protocol".to_owned(), "ssl".to_owned());
    bus.properties.insert("ssl.ca.location".to_owned(), secured.ca_file.display().to_string());
    bus
}

fn scram(secured: &Secured, password: &str) -> BusConfig {
    let mut bus = tls(secured);
    bus.brokers.clone_from(&secured.sasl_tls);
    for (key, value) in [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", USER),
        ("sasl.password", password),
    ] {
        bus.properties.insert(key.to_owned(), value.to_owned());
    }
    bus
}

/// Through every client: topic, producer, group, log reader.
async fn trades(bus: &BusConfig, topic: &str) {
    bus.check().unwrap();
    let spec = TopicSpec {
        name: topic.to_owned(),
        partitions: 1,
        retention: Retention::Time(3_600_000),
        log_append_time: false,
    };
    Admin::new(bus).unwrap().ensure_topics(&[spec]).await.unwrap();
    let record = Outgoing {
        topic: topic.to_owned(),
        partition: None,
        key: b"k".to_vec(),
        value: b"v".to_vec(),
        headers: Vec::new(),
    };
    Producer::new(bus).unwrap().enqueue(record).await.unwrap().await.unwrap();
    let mut member = GroupConsumer::join(bus, GroupOptions::new(topic, vec![topic.to_owned()])).unwrap();
    let record = loop {
        if let GroupEvent::Records(mut records) = member.next().await {
            break records.remove(0);
        }
    };
    assert_eq!(record.value, b"v");
    member.leave().await;
    let log = read_to_end(bus, Position::new(topic, 0, 0), Isolation::ReadCommitted).await.unwrap();
    assert_eq!(log.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_speak_tls_and_scram_and_a_wrong_word_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let choice = BrokerChoice { own: true, secured: true, kind: Some(Kind::Kafka), ..BrokerChoice::default() };
    let broker = Broker::start(choice, dir.path()).unwrap();
    let secured = broker.secured().unwrap();

    tokio::time::timeout(WAIT, trades(&tls(&secured), "by-tls")).await.unwrap();
    tokio::time::timeout(WAIT, trades(&scram(&secured, PASSWORD), "by-scram")).await.unwrap();

    let stranger = Admin::new(&scram(&secured, "83517264")).unwrap();
    assert!(stranger.reachable(REFUSAL_WAIT).await.is_err(), "a wrong password is let in");
    let mut other_ca = tls(&secured);
    other_ca.properties.remove("ssl.ca.location");
    let untrusting = Admin::new(&other_ca).unwrap();
    assert!(untrusting.reachable(REFUSAL_WAIT).await.is_err(), "an unknown CA is trusted");
    let mut plain = scram(&secured, PASSWORD);
    plain.properties.clear();
    assert!(Admin::new(&plain).unwrap().reachable(REFUSAL_WAIT).await.is_err(), "plain text is let in");
}

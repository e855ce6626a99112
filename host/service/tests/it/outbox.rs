//! Everything handed to the outbox is written, also past a producer that fails for good and a topic that is missing.
//!
//! librdkafka's mock cluster is a broker with sockets of its own that answers the next requests with the errors that it is
//! given; what needs a topic to be made later runs on the real broker.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use unrip_bus::{Admin, BusConfig, Outgoing, Position};
use unrip_core::topic::{Retention, TopicSpec};
use unrip_service::outbox::{Outbox, OutboxLimits, Receipt, Unwritten};
use unrip_service::{BusWatch, Context};
use unrip_testkit::broker;

use crate::{readiness, soon};

const LIMITS: OutboxLimits = OutboxLimits { records_max: 1_000, bytes_max: 1 << 20 };

fn outbox(brokers: &str) -> (Context, Outbox) {
    let (bus, context) = (BusConfig::at(brokers), Context::of("test"));
    let watch = BusWatch::start(&bus, &context.health, &context.shutdown);
    let outbox = Outbox::start(&bus, &watch, LIMITS, &context).unwrap();
    context.health.started();
    (context, outbox)
}

fn record(topic: &str, n: usize) -> Outgoing {
    let (key, value) = (b"k".to_vec(), format!("r{n}").into_bytes());
    Outgoing { topic: topic.to_owned(), partition: Some(0), key, value, headers: vec![] }
}

async fn put(outbox: &Outbox, topic: &str, count: usize) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for n in 0..count {
        receipts.push(soon("put", outbox.put(record(topic, n))).await.unwrap());
    }
    receipts
}

async fn written(receipts: Vec<Receipt>) -> Vec<Position> {
    let mut positions = Vec::new();
    for receipt in receipts {
        positions.push(soon("acknowledgement", receipt).await.unwrap());
    }
    positions
}

fn counts(context: &Context, line: &str) -> bool {
    context.metrics.render().lines().any(|found| found == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn makes_one_new_producer_after_a_fatal_error_and_writes_everything() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let (context, outbox) = outbox(&cluster.bootstrap_servers());
    written(put(&outbox, "t", 3).await).await;

    // The broker has lost the producer's state: librdkafka refuses every later record of this producer.
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
    let during = put(&outbox, "t", 1).await;
    let after = put(&outbox, "t", 5).await;
    written(during).await;
    let offsets: Vec<i64> = written(after).await.into_iter().map(|position| position.offset).collect();
    assert!(offsets.is_sorted(), "in their order: {offsets:?}");
    assert!(counts(&context, "unrip_producers_remade_total 1"), "{}", context.metrics.render());
    // And the new one serves what follows.
    written(put(&outbox, "t", 5).await).await;
    assert!(counts(&context, "unrip_producers_remade_total 1"), "{}", context.metrics.render());
    outbox.finish(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hands_back_what_the_broker_refuses_and_writes_the_rest() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let (_context, outbox) = outbox(&cluster.bootstrap_servers());
    cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    let refused = soon("answer", put(&outbox, "t", 1).await.remove(0)).await.unwrap_err();
    let Unwritten::Refused(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.record, record("t", 0));
    written(put(&outbox, "t", 2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_while_a_permission_is_revoked_and_gives_nothing_up() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let (context, outbox) = outbox(&cluster.bootstrap_servers());
    written(put(&outbox, "t", 1).await).await;
    let denied = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 1_000];
    cluster.request_errors(RDKafkaApiKey::Produce, &denied);
    let waiting = put(&outbox, "t", 5).await;
    let named = |readiness: &unrip_service::health::Readiness| {
        readiness.missing.iter().any(|missing| missing.name == "outputs" && missing.detail.contains("authorization"))
    };
    readiness(&context, "not ready, by name", named).await;

    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    let offsets: Vec<i64> = written(waiting).await.into_iter().map(|position| position.offset).collect();
    assert!(offsets.is_sorted(), "in their order: {offsets:?}");
    readiness(&context, "ready again", |readiness| readiness.ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_a_missing_topic_by_name_and_holds_no_other_back() {
    let bootstrap = tokio::task::spawn_blocking(|| broker::for_tests().bootstrap().to_owned()).await.unwrap();
    let admin = Admin::new(&BusConfig::at(bootstrap.clone())).unwrap();
    let (there, later) = (broker::unique_topic("outbox.there"), broker::unique_topic("outbox.later"));
    let spec = |name: &str| TopicSpec {
        name: name.to_owned(),
        partitions: 1,
        retention: Retention::Time(3_600_000),
        log_append_time: false,
    };
    soon("topic", admin.ensure_topics(&[spec(&there)])).await.unwrap();
    let (context, outbox) = outbox(&bootstrap);
    let waiting = put(&outbox, &later, 4).await;
    let named = |readiness: &unrip_service::health::Readiness| {
        readiness.missing.iter().any(|missing| missing.name == "outputs" && missing.detail.contains(&later))
    };
    readiness(&context, "not ready, by name", named).await;
    written(put(&outbox, &there, 3).await).await;

    soon("topic", admin.ensure_topics(&[spec(&later)])).await.unwrap();
    let offsets: Vec<i64> = written(waiting).await.into_iter().map(|position| position.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3], "each once, in their order");
    readiness(&context, "ready again", |readiness| readiness.ready).await;
}

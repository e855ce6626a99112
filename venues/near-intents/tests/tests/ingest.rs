//! Ingest with a real component and a real broker, against a venue that sends whatever it likes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use unrip_bus::{Admin, BusConfig, Isolation, LogReader, Position, Record, read_to_end};
use unrip_core::event::dead::DeadLetter;
use unrip_core::event::raw::RawFrame;
use unrip_core::partition::partition_for;
use unrip_core::{Envelope, id, topic};
use unrip_ingest::IngestConfig;
use unrip_service::{Context, RoleConfig, RunError};
use unrip_testkit::broker::{self, Broker, BrokerChoice};
use unrip_testkit::components;

const VENUE: &str = "near-intents";
const PARTITIONS: i32 = 3;
/// A test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn config(brokers: &str, ws: &str, dir: &Path) -> IngestConfig {
    let component = components::component("near-intents-ingest").unwrap();
    std::fs::write(dir.join("token"), "a-token\n").unwrap();
    let text = format!(
        "
        [service]
        venue = \"{VENUE}\"
        [bus]
        brokers = \"{brokers}\"
        [module]
        path = {component:?}
        # A frame with a huge id overruns this: the module's fault.
        limits = {{ output_bytes_max = 4096 }}
        [module.grants]
        websocket = [\"ws\"]
        credential = [\"relay_token\"]
        [module.config]
        subscriptions = [\"quote\"]
        [endpoints.ws]
        url = \"{ws}\"
        reconnect_ms_min = 5
        [credentials.relay_token]
        file = \"token\"
        [ingest]
        streams = [\"quote\"]
        fault_wait_ms_min = 5
        "
    );
    let config: IngestConfig = unrip_service::config::parse("ingest.toml", &text, dir, &[]).unwrap();
    config.check().unwrap();
    config
}

struct Relay(TcpListener);

impl Relay {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("ws://{}/ws", self.0.local_addr().unwrap())
    }

    /// A connection that has sent its token and its subscription.
    async fn accept(&self) -> WebSocketStream<TcpStream> {
        #[allow(clippy::result_large_err, reason = "the library's signature")]
        let check = |request: &Request, response: Response| {
            assert_eq!(request.headers()["authorization"], "Bearer a-token");
            Ok(response)
        };
        let mut socket = accept_hdr_async(self.0.accept().await.unwrap().0, check).await.unwrap();
        let subscribe = socket.next().await.unwrap().unwrap();
        let subscribe: Value = serde_json::from_str(subscribe.to_text().unwrap()).unwrap();
        assert_eq!((&subscribe["method"], &subscribe["params"][0]), (&json!("subscribe"), &json!("quote")));
        socket
    }
}

/// A quote event with spaces and an escape: what is recorded must be these bytes, not their meaning.
fn quote(quote_id: &str) -> String {
    format!(
        "{{\"jsonrpc\": \"2.0\",\"method\":\"event\",\"params\":{{\"subscription\":\"s\",\"data\":{{\"quote_id\":\"{quote_id}\",\
         \"defuse_asset_identifier_in\":\"nep141:\\u0061.near\",\"defuse_asset_identifier_out\":\"nep141:b.near\",\
         \"exact_amount_in\":\"1000\",\"min_deadline_ms\":60000}}}}}} "
    )
}

async fn all_records(bus: &BusConfig, topic: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted).unwrap();
    for partition in 0..PARTITIONS {
        let (oldest, _) = reader.watermarks(topic, partition).await.unwrap();
        records
            .extend(read_to_end(bus, Position::new(topic, partition, oldest), Isolation::ReadCommitted).await.unwrap());
    }
    records
}

fn bus(brokers: &str) -> BusConfig {
    serde_json::from_value(json!({ "brokers": brokers })).unwrap()
}

/// Sends all kinds of frames on one connection, breaks it, and sends one more on the next.
async fn all_kinds_of_frames(relay: &Relay, context: &Context, quotes: &[String], long: &str, ids: [&str; 2]) {
    let [huge_id, long_id] = ids;
    let mut socket = relay.accept().await;
    for frame in [
        &quotes[0],
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"s\"}",
        "not json",
        long,
        &quotes[1],
        // The module fails on this one. The new instance takes over the connection and subscribes again on it.
        huge_id,
        &quotes[2],
        // Longer than a key may be, and no fault of the module.
        long_id,
    ] {
        socket.send(Message::text(frame)).await.unwrap();
    }
    // Before the connection is broken: what waits to be sent on a closed one is dropped.
    let again = socket.next().await.unwrap().unwrap();
    assert!(again.to_text().unwrap().contains("subscribe"), "{again:?}");
    socket.get_mut().write_all(b"\x81\x03\xff{}").await.unwrap();
    let mut socket = relay.accept().await;
    socket.send(Message::text(&quotes[3])).await.unwrap();
    while !context.metrics.render().contains("unrip_raw_events_total{stream=\"quote\"} 5") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(context.health.readiness().ready, "{:?}", context.health.readiness());
    context.shutdown.cancel();
}

/// Every quote is one raw event with exactly its bytes, in order; the connections that they came by.
fn check_raw_events(raw: &[(Record, Envelope<RawFrame>)], run: &str, quotes: &[String]) -> Vec<String> {
    let mut connections = Vec::new();
    for (n, frame) in quotes.iter().enumerate() {
        let key = format!("{run}-{n}").into_bytes();
        let found: Vec<_> = raw.iter().filter(|(record, _)| record.key.as_ref() == Some(&key)).collect();
        let [(record, event)] = found.as_slice() else { panic!("{n}: {found:?}") };
        assert_eq!(event.raw_bytes().unwrap().unwrap(), frame.as_bytes());
        assert_eq!(record.partition, partition_for(&key, PARTITIONS));
        assert_eq!(event.payload.frame_seq, [0, 4, 6, 0][n]);
        assert_eq!((event.causation_id, event.correlation_id), (None, Some(event.event_id)));
        assert_eq!(event.module.as_ref().unwrap().name, "near-intents/ingest");
        connections.push(event.payload.connection_id.clone());
    }
    connections
}

/// Sequence, reason, length and whether it was cut, of each dead letter of a connection.
async fn dead_letters(bus: &BusConfig, connection: &str) -> Vec<(u64, String, u64, bool)> {
    let mut dead: Vec<_> = all_records(bus, &topic::dead_frames(&VENUE.parse().unwrap()))
        .await
        .iter()
        .map(|record| Envelope::<DeadLetter>::decode(&record.value).unwrap().payload)
        .filter(|payload| payload.connection_id.as_deref() == Some(connection))
        .map(|payload| (payload.frame_seq.unwrap(), payload.reason_code, payload.original_length, payload.truncated))
        .collect();
    dead.sort();
    dead
}

#[tokio::test]
async fn every_frame_ends_in_exactly_one_place_and_nothing_is_lost() {
    let brokers = broker::for_tests().bootstrap().to_owned();
    let bus = bus(&brokers);
    let topics = topic::venue_topics(&VENUE.parse().unwrap(), &["quote".into()], &[], PARTITIONS);
    Admin::new(&bus).unwrap().ensure_topics(&topics).await.unwrap();
    let relay = Relay::start().await;
    let dir = tempfile::tempdir().unwrap();
    let context = Context::of("ingest");
    let running = unrip_ingest::run(config(&brokers, &relay.url(), dir.path()), context.clone());
    let run = id::sha256_hex(relay.url().as_bytes())[..8].to_owned() + &context.ids.connection_id(context.clock.now());
    let quotes: Vec<String> = (0..4).map(|n| quote(&format!("{run}-{n}"))).collect();
    let long_name = format!("{run}-{}", "q".repeat(1_100));
    let (long, huge_id, long_id) = ("x".repeat(600_000), quote(&"q".repeat(8_000)), quote(&long_name));
    let long_key = format!("sha256:{}", id::sha256_hex(long_name.as_bytes())).into_bytes();
    let venue = all_kinds_of_frames(&relay, &context, &quotes, &long, [&huge_id, &long_id]);
    let both = Box::pin(async { tokio::join!(running, venue) });
    tokio::time::timeout(PATIENCE, both).await.unwrap().0.unwrap();

    let raw: Vec<(Record, Envelope<RawFrame>)> = all_records(&bus, &topic::raw(&VENUE.parse().unwrap(), "quote"))
        .await
        .into_iter()
        .filter(|record| record.key.as_deref().is_some_and(|key| key.starts_with(run.as_bytes()) || key == long_key))
        .map(|record| (record.clone(), Envelope::decode(&record.value).unwrap()))
        .collect();
    let connections = check_raw_events(&raw, &run, &quotes);
    let found: Vec<_> = raw.iter().filter(|(record, _)| record.key.as_ref() == Some(&long_key)).collect();
    let [(_, event)] = found.as_slice() else { panic!("{} records of the frame with a long id", found.len()) };
    assert_eq!(event.raw_bytes().unwrap().unwrap(), long_id.as_bytes(), "its key is bounded, its bytes are whole");
    // The fault between them cost no connection.
    assert_eq!((&connections[0], &connections[0]), (&connections[1], &connections[2]));
    let expected = [
        (2, "unrecognised", 8, false),
        (3, "frame_too_long", 600_000, true),
        (5, "module_fault", huge_id.len() as u64, false),
        (8, "not_utf8", 3, false),
    ];
    let expected = expected.map(|(seq, code, length, truncated)| (seq, code.to_owned(), length, truncated));
    assert_eq!(dead_letters(&bus, &connections[0]).await, expected);
    let page = context.metrics.render();
    for line in [
        "unrip_frames_total{ending=\"event\"} 5",
        "unrip_frames_total{ending=\"unrecognised\"} 1",
        "unrip_frames_total{ending=\"cut\"} 2",
        "unrip_frames_total{ending=\"chatter\"} 1",
        "unrip_frames_total{ending=\"module_fault\"} 1",
        "unrip_dead_letters_total{reason=\"not_utf8\"} 1",
        "unrip_records_produced_total{topic=\"raw.near_intents.quote\"} 5",
        "unrip_records_produced_total{topic=\"dead.raw.near_intents\"} 4",
        "unrip_connections_opened_total 2",
        "unrip_connections_closed_total{cause=\"broken\"} 1",
    ] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
}

#[tokio::test]
async fn waits_for_a_broker_as_long_as_it_is_told() {
    let relay = Relay::start().await;
    let dir = tempfile::tempdir().unwrap();
    // A port without a listener.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut config = config(&nobody.to_string(), &relay.url(), dir.path());
    config.service.start_timeout_ms = Some(50);
    let context = Context::of("ingest");
    let ended = unrip_ingest::run(config.clone(), context.clone()).await;
    assert!(matches!(ended, Err(RunError::Unavailable(_))), "{ended:?}");
    assert!(!context.health.readiness().ready);

    // Without a bound it waits, and stops when asked to.
    config.service.start_timeout_ms = None;
    let context = Context::of("ingest");
    let stop = async {
        while !context.health.readiness().met.contains(&"module") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        context.shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(unrip_ingest::run(config, context.clone()), stop);
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn loses_nothing_while_the_broker_is_away() {
    const BURST: usize = 2_000;
    let data = tempfile::tempdir().unwrap();
    let mut broker = Broker::start(BrokerChoice { own: true, ..BrokerChoice::default() }, data.path()).unwrap();
    let brokers = broker.bootstrap().to_owned();
    let bus = bus(&brokers);
    let topics = topic::venue_topics(&VENUE.parse().unwrap(), &["quote".into()], &[], PARTITIONS);
    Admin::new(&bus).unwrap().ensure_topics(&topics).await.unwrap();
    let relay = Relay::start().await;
    let dir = tempfile::tempdir().unwrap();
    let context = Context::of("ingest");
    let running = unrip_ingest::run(config(&brokers, &relay.url(), dir.path()), context.clone());
    let written = async |records: usize| {
        let line = format!("unrip_records_produced_total{{topic=\"raw.near_intents.quote\"}} {records}\n");
        while !context.metrics.render().contains(&line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let venue = async {
        let mut socket = relay.accept().await;
        socket.send(Message::text(quote("before"))).await.unwrap();
        written(1).await;
        tokio::task::block_in_place(|| broker.kill()).unwrap();
        for n in 0..BURST {
            socket.send(Message::text(quote(&format!("away-{n}")))).await.unwrap();
        }
        while context.health.readiness().ready {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::task::block_in_place(|| broker.restart()).unwrap();
        written(BURST + 1).await;
        context.shutdown.cancel();
    };
    let both = Box::pin(async { tokio::join!(running, venue) });
    tokio::time::timeout(PATIENCE, both).await.unwrap().0.unwrap();
    let mut keys: Vec<_> =
        all_records(&bus, &topic::raw(&VENUE.parse().unwrap(), "quote")).await.into_iter().map(|r| r.key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), BURST + 1);
}

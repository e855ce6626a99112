//! The audit's program on a real broker: what is deleted before it was read, and headers that are not UTF-8.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unsafe_code,
    reason = "helpers of tests fail a test by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::bindings::rd_kafka_header_add;
use rdkafka::client::DefaultClientContext;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use unrip_bus::{Admin, Outgoing, Producer};
use unrip_core::topic::{self, execution_topics};
use unrip_testkit::broker::{Broker, BrokerChoice};
use unrip_testkit::process::{Process, Spec};

/// The longest wait for anything: the machine may be busy with other tests' builds.
const SOON: Duration = Duration::from_secs(90);
const EVERY: Duration = Duration::from_millis(100);
const RECORDS: i64 = 40;

fn get(address_file: &Path, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(std::fs::read_to_string(address_file).ok()?.trim()).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: audit\r\nconnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// The first complete report of which this holds.
async fn report(address_file: &Path, holds: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + SOON;
    loop {
        let found = get(address_file, "/report").and_then(|body| serde_json::from_str::<Value>(&body).ok());
        match found {
            Some(report) if report["complete"] == true && holds(&report) => return report,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
        sleep(EVERY).await;
    }
}

/// A journal record of a kind that no reader knows: counted, and without effect.
fn unknown(number: i64) -> Vec<u8> {
    let at = "2026-11-22T10:00:00.000000Z";
    serde_json::to_vec(&serde_json::json!({
        "event_id": "019370e0-5c00-7000-8000-000000000001", "event_type": format!("journal_of_test_{number}"),
        "venue": "a-venue", "source": "test", "schema_version": 1, "observed_at": at, "ingested_at": at,
        "causation_id": null, "correlation_id": null, "module": null, "payload": {},
    }))
    .unwrap()
}

fn with_bad_header_name() -> OwnedHeaders {
    let headers = OwnedHeaders::new();
    let native = std::ptr::from_ref(headers.as_borrowed()).cast_mut().cast();
    // SAFETY: the library copies both byte strings; `headers` is owned here and not read meanwhile.
    unsafe { rd_kafka_header_add(native, b"n\xff".as_ptr().cast(), 2, b"bad".as_ptr().cast(), 3) };
    headers
}

struct Audit {
    process: Process,
    address_file: PathBuf,
}

fn start(broker: &Broker, dir: &Path) -> Audit {
    let bus = broker.bus();
    let properties: toml::Table =
        bus.properties.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let text = format!(
        "[service]\nvenue = \"*\"\nadmin_address_file = \"audit.admin\"\n[bus]\nbrokers = \"{}\"\n[bus.properties]\n{properties}",
        bus.brokers
    );
    let file = dir.join("audit.toml");
    std::fs::write(&file, text).unwrap();
    let spec = Spec::new("audit", env!("CARGO_BIN_EXE_unrip-audit"), dir.join("audit.log"));
    let process = Process::spawn(spec.args(["--config".to_owned(), file.display().to_string()])).unwrap();
    Audit { process, address_file: dir.join("audit.admin") }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_unread_is_counted_and_a_bad_header_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("broker");
    let own = BrokerChoice { own: true, ..BrokerChoice::default() };
    let broker = tokio::task::spawn_blocking(move || Broker::start(own, &place).unwrap()).await.unwrap();
    let bus = broker.bus();
    Admin::new(&bus).unwrap().ensure_topics(&execution_topics(1)).await.unwrap();
    let mut audit = start(&broker, dir.path());
    report(&audit.address_file, |_| true).await;

    // A foreign producer's record on each topic that the audit reads: of the journal a kind that it counts.
    let client: BaseProducer = ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
    for topic in topic::PARTITIONED.iter().filter(|topic| **topic == topic::JOURNAL || **topic == topic::EXECUTE_TRADE)
    {
        let value = unknown(0);
        let record = BaseRecord::<[u8], [u8]>::to(topic).payload(&value).headers(with_bad_header_name());
        client.send(record).map_err(|(error, _)| error).unwrap();
    }
    client.flush(SOON).unwrap();
    let unknown_kinds = |report: &Value| report["journal_void"]["unknown_kind"].as_i64().unwrap_or(0);
    let read = report(&audit.address_file, |report| unknown_kinds(report) == 1).await;
    assert_eq!((&read["violations_total"], &read["lost_records"]), (&0.into(), &0.into()), "{read}");

    audit.process.pause();
    let producer = Producer::new(&bus).unwrap();
    for number in 1..=RECORDS {
        let (topic, value) = (topic::JOURNAL.to_owned(), unknown(number));
        let record = Outgoing { topic, partition: Some(0), key: b"k".to_vec(), value, headers: Vec::new() };
        producer.send(record).await.unwrap();
    }
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(topic::JOURNAL, 0, Offset::Offset(RECORDS)).unwrap();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
    let deleted = admin.delete_records(&until, &AdminOptions::new()).await;
    if !deleted.is_ok_and(|list| list.elements().iter().all(|at| at.error().is_ok())) {
        println!("SKIPPED: {} cannot delete records", broker.describe());
        return;
    }
    audit.process.resume();
    // What a fetch under way held when it was paused may have been read; the rest is lost, and nothing is missing.
    let all = |report: &Value| report["lost_records"].as_i64().unwrap_or(0) + unknown_kinds(report) == RECORDS + 1;
    let read = report(&audit.address_file, all).await;
    assert!(read["lost_records"].as_i64().unwrap() > 0 && unknown_kinds(&read) > 1, "{read}");
    assert_eq!(read["violations_total"], 0, "{read}");
    let metrics = get(&audit.address_file, "/metrics").unwrap();
    let line = format!("unrip_records_lost_total{{topic=\"{}\"}} {}", topic::JOURNAL, read["lost_records"]);
    assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
}

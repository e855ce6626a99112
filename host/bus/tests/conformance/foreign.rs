//! Records as foreign producers write them: every reader takes them all.

use rdkafka::ClientConfig;
use rdkafka::bindings::rd_kafka_header_add;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use unrip_bus::{BusConfig, Isolation, LogReader, Position, Record, read_to_end};
use unrip_testkit::broker::unique_topic;

use super::common::{WAIT, member, records, soon, topic};

const HEADERS: usize = 2_000;

/// Four records: bad names of headers, headers without a value and without a name, very many headers, a tombstone.
fn write(config: &BusConfig, topic: &str) {
    let client: BaseProducer = ClientConfig::new().set("bootstrap.servers", &config.brokers).create().unwrap();
    let fine = Header { key: "event_type", value: Some(b"test".as_slice()) };
    let headers = with_bad_name().insert(fine.clone());
    client.send(BaseRecord::to(topic).key(b"\xff\xfe".as_slice()).payload("names").headers(headers)).unwrap();
    let null = Header { key: "null", value: None::<&[u8]> };
    let nameless = Header { key: "", value: Some(b"nameless".as_slice()) };
    let headers = OwnedHeaders::new().insert(null).insert(nameless);
    client.send(BaseRecord::<[u8], str>::to(topic).payload("values").headers(headers)).unwrap();
    let many = (0..HEADERS).fold(OwnedHeaders::new(), |headers, _| headers.insert(fine.clone()));
    client.send(BaseRecord::<[u8], str>::to(topic).payload("many").headers(many)).unwrap();
    client.send(BaseRecord::<[u8], str>::to(topic).key(b"k".as_slice())).unwrap();
    client.flush(WAIT).unwrap();
}

#[allow(unsafe_code, reason = "the binding writes only names that are UTF-8")]
fn with_bad_name() -> OwnedHeaders {
    let (headers, name, value) = (OwnedHeaders::new(), b"n\xff\xfe", b"bad");
    let native = std::ptr::from_ref(headers.as_borrowed()).cast_mut().cast();
    let (name_length, value_length) = (name.len() as isize, value.len() as isize);
    // SAFETY: the library copies both byte strings; `headers` is owned here and not read meanwhile.
    unsafe { rd_kafka_header_add(native, name.as_ptr().cast(), name_length, value.as_ptr().cast(), value_length) };
    headers
}

fn check(read: &[Record]) {
    assert_eq!(read.len(), 4);
    assert_eq!(read[0].headers[0], ("n\u{fffd}\u{fffd}".to_owned(), b"bad".to_vec()));
    assert_eq!(read[0].header("event_type"), Some(b"test".as_slice()));
    assert_eq!(read[0].key.as_deref(), Some(b"\xff\xfe".as_slice()));
    let expected = [("null".to_owned(), Vec::new()), (String::new(), b"nameless".to_vec())];
    assert_eq!((&read[1].headers[..], &read[1].key), (&expected[..], &None));
    assert_eq!(read[2].headers.len(), HEADERS);
    assert!(read[3].tombstone && read[3].value.is_empty() && read[3].headers.is_empty());
}

#[tokio::test]
async fn foreign_records_are_read_by_every_reader() {
    let (config, name) = topic("foreign", 1).await;
    write(&config, &name);
    check(&read_to_end(&config, Position::new(&name, 0, 0), Isolation::ReadUncommitted).await.unwrap());
    let mut reader = LogReader::open(&config, vec![Position::new(&name, 0, 0)], Isolation::ReadUncommitted).unwrap();
    let mut read = Vec::new();
    soon("reader", async {
        while read.len() < 4 {
            read.extend(reader.next().await.unwrap());
        }
    })
    .await;
    check(&read);
    let mut consumer = member(&config, &unique_topic("g"), &name);
    check(&records(&mut consumer, 4).await);
    soon("leave", consumer.leave()).await;
}

#[tokio::test]
async fn a_member_dropped_inside_the_runtime_leaves_its_group() {
    let (config, name) = topic("dropped", 1).await;
    write(&config, &name);
    let group = unique_topic("g");
    for _ in 0..3 {
        let mut consumer = member(&config, &group, &name);
        check(&records(&mut consumer, 4).await);
        drop(consumer);
    }
}

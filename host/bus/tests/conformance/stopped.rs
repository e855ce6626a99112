//! A partition that cannot be decoded: named, reported at intervals, and no hindrance to the others.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Duration;

use unrip_bus::{Admin, Error, GroupEvent, Isolation, LogReader, Producer, read_to_end};
use unrip_testkit::broker::{Broker, BrokerChoice, Kind};

use super::common::{make, member, record, soon};

/// Where a batch of the second record format has its length, and where that counts from.
const LENGTH: usize = 8;
const COUNTED_FROM: usize = 12;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
/// A codec that the protocol does not have.
const NO_CODEC: u8 = 7;

/// Says of the first batch in the file that it is compressed by a codec that no client has.
fn spoil(log: &Path) {
    let mut file = OpenOptions::new().read(true).write(true).open(log).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let length = u32::from_be_bytes(bytes[LENGTH..LENGTH + 4].try_into().unwrap()) as usize;
    bytes[ATTRIBUTES + 1] |= NO_CODEC;
    let crc = crc32c(&bytes[ATTRIBUTES..COUNTED_FROM + length]);
    bytes[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&bytes).unwrap();
    file.sync_all().unwrap();
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

fn is_here(error: &Error) -> bool {
    matches!(error, Error::Stopped { topic, partition: 0, offset: 0, .. } if topic == "stopped")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_in_an_unknown_codec_is_named_and_the_others_flow() {
    let dir = tempfile::tempdir().unwrap();
    let choice = BrokerChoice { own: true, ..BrokerChoice::default() };
    let broker = Broker::start(choice, dir.path()).unwrap();
    if broker.kind() != Some(Kind::Kafka) {
        return;
    }
    let config = broker.bus();
    // Without any topic the broker itself is asked.
    Admin::new(&config).unwrap().reachable(Duration::from_secs(10)).await.unwrap();
    make(&config, "stopped", 2).await;
    let producer = Producer::new(&config).unwrap();
    producer.send(record("stopped", Some(0), "k", "unreadable")).await.unwrap();
    spoil(&dir.path().join("data/stopped-0/00000000000000000000.log"));
    producer.send(record("stopped", Some(1), "k", "fine")).await.unwrap();

    let mut consumer = member(&config, "g", "stopped");
    let (mut failures, mut fine, mut named) = (0, false, false);
    soon("group", async {
        while !(fine && named) {
            match consumer.next().await {
                GroupEvent::Records(read) => fine |= read.iter().all(|record| record.partition == 1),
                GroupEvent::Failed(error) => {
                    failures += 1;
                    named |= is_here(&error);
                    assert!(matches!(error, Error::Stopped { .. } | Error::Denied { .. }), "{error}");
                }
                _ => {}
            }
        }
    })
    .await;
    assert!(failures <= 3, "one by its kind, then one with the partition: {failures}");
    soon("leave", consumer.leave()).await;

    let starts = vec![("stopped".to_owned(), 0, 0), ("stopped".to_owned(), 1, 0)];
    let mut reader = LogReader::open(&config, starts, Isolation::ReadUncommitted).unwrap();
    soon("reader", async { while !reader.next().await.is_err_and(|error| is_here(&error)) {} }).await;
    let read = soon("end", read_to_end(&config, "stopped", 0, 0, Isolation::ReadUncommitted)).await;
    let error = read.unwrap_err();
    assert!(is_here(&error), "{error}");
}

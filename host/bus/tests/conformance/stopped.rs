//! A partition that cannot be decoded: named, reported at intervals, and no hindrance to the others.

use std::fs::OpenOptions;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use unrip_bus::{
    Admin, BusConfig, Error, GroupConsumer, GroupEvent, Isolation, LogReader, Position, Producer, Record, read_to_end,
};
use unrip_testkit::broker::{Broker, BrokerChoice, Kind};

use super::common::{make, member, record, soon, topic};

/// Where a batch of the second record format has its length, and where that counts from.
const LENGTH: usize = 8;
const COUNTED_FROM: usize = 12;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
/// A codec that the protocol does not have.
const NO_CODEC: u8 = 7;

/// Changes the batch with this number in the file.
fn change(log: &Path, number: usize, change: impl FnOnce(&mut [u8])) {
    let mut file = OpenOptions::new().read(true).write(true).open(log).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    let length = |at: usize| u32::from_be_bytes(bytes[at + LENGTH..at + LENGTH + 4].try_into().unwrap()) as usize;
    let start = (0..number).fold(0, |at, _| at + COUNTED_FROM + length(at));
    let end = start + COUNTED_FROM + length(start);
    change(&mut bytes[start..end]);
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(&bytes).unwrap();
    file.sync_all().unwrap();
}

/// Says of a batch that it is compressed by a codec that no client has.
fn unknown_codec(batch: &mut [u8]) {
    batch[ATTRIBUTES + 1] |= NO_CODEC;
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// What a bad disk does; twice, it is mended.
fn flip(batch: &mut [u8]) {
    *batch.last_mut().unwrap() ^= 1;
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

fn is_stopped_at(error: &Error, at: i64) -> bool {
    matches!(error, Error::Stopped { partition: 0, offset, .. } if *offset == at)
}

fn is_here(error: &Error) -> bool {
    is_stopped_at(error, 0)
}

/// The next records, and the next failure before them.
async fn next(member: &mut GroupConsumer) -> Result<Vec<Record>, Error> {
    loop {
        match member.next().await {
            GroupEvent::Records(read) => return Ok(read),
            GroupEvent::Failed(error) if !error.is_retriable() => return Err(error),
            gap @ GroupEvent::Gap { .. } => panic!("{gap:?}"),
            _ => {}
        }
    }
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
    change(&dir.path().join("data/stopped-0/00000000000000000000.log"), 0, unknown_codec);
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

    let starts = vec![Position::new("stopped", 0, 0), Position::new("stopped", 1, 0)];
    let mut reader = LogReader::open(&config, starts, Isolation::ReadUncommitted).unwrap();
    soon("reader", async { while !reader.next().await.is_err_and(|error| is_here(&error)) {} }).await;
    let read = soon("end", read_to_end(&config, Position::new("stopped", 0, 0), Isolation::ReadUncommitted)).await;
    let error = read.unwrap_err();
    assert!(is_here(&error), "{error}");
}

/// A Kafka with a topic of two partitions: three batches on the first, of which the second is bad.
async fn with_a_bad_batch(dir: &Path) -> Option<(Broker, BusConfig)> {
    let broker = Broker::start(BrokerChoice { own: true, ..BrokerChoice::default() }, dir).unwrap();
    if broker.kind() != Some(Kind::Kafka) {
        return None;
    }
    let config = broker.bus();
    make(&config, "bad", 2).await;
    let producer = Producer::new(&config).unwrap();
    for value in ["0", "1", "2"] {
        producer.send(record("bad", Some(0), "k", value)).await.unwrap();
    }
    change(&bad_log(dir), 1, flip);
    Some((broker, config))
}

fn bad_log(dir: &Path) -> PathBuf {
    dir.join("data/bad-0/00000000000000000000.log")
}

fn offsets(records: &[Record], partition: i32) -> Vec<i64> {
    records.iter().filter(|record| record.partition == partition).map(|record| record.offset).collect()
}

/// The client library continues behind a batch with a wrong checksum: its records would be lost without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_a_wrong_checksum_stops_its_partition_until_it_is_mended_and_nothing_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_broker, config)) = with_a_bad_batch(dir.path()).await else { return };
    let producer = Producer::new(&config).unwrap();
    let mut consumer = member(&config, "g", "bad");
    let starts = vec![Position::new("bad", 0, 0), Position::new("bad", 1, 0)];
    let mut reader = LogReader::open(&config, starts, Isolation::ReadCommitted).unwrap();

    let (mut by_group, mut by_reader) = (Vec::new(), Vec::new());
    soon("group stops", async {
        loop {
            match next(&mut consumer).await {
                Ok(read) => by_group.extend(read),
                Err(error) if is_stopped_at(&error, 1) => break,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    soon("reader stops", async {
        loop {
            match reader.next().await {
                Ok(read) => by_reader.extend(read),
                Err(error) if is_stopped_at(&error, 1) => break,
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    let error = soon("end", read_to_end(&config, Position::new("bad", 0, 0), Isolation::ReadCommitted)).await;
    assert!(is_stopped_at(&error.unwrap_err(), 1));

    // The other partition flows, before and after the next report.
    for again in [false, true] {
        producer.send(record("bad", Some(1), "k", "other")).await.unwrap();
        soon("other partition", async {
            let (mut other, mut reported) = (false, !again);
            while !(other && reported) {
                match next(&mut consumer).await {
                    Ok(read) => {
                        other |= !offsets(&read, 1).is_empty();
                        by_group.extend(read);
                    }
                    Err(error) => reported |= is_stopped_at(&error, 1),
                }
            }
        })
        .await;
    }
    assert_eq!(offsets(&by_group, 0), [0], "nothing behind the bad batch");

    change(&bad_log(dir.path()), 1, flip);
    soon("group continues", async {
        while offsets(&by_group, 0).len() < 3 {
            by_group.extend(next(&mut consumer).await.unwrap_or_default());
        }
    })
    .await;
    soon("reader continues", async {
        while offsets(&by_reader, 0).len() < 3 {
            by_reader.extend(reader.next().await.unwrap_or_default());
        }
    })
    .await;
    assert_eq!((offsets(&by_group, 0), offsets(&by_reader, 0)), (vec![0, 1, 2], vec![0, 1, 2]));
    assert_eq!((offsets(&by_group, 1), offsets(&by_reader, 1)), (vec![0, 1], vec![0, 1]));
    soon("leave", consumer.leave()).await;
}

/// The client library only drops the connection, and tries again for ever.
#[tokio::test]
async fn a_record_that_is_too_large_to_fetch_stops_its_partition_by_name() {
    let (config, name) = topic("too-large", 1).await;
    let producer = Producer::new(&config).unwrap();
    producer.send(record(&name, Some(0), "k", &"x".repeat(500_000))).await.unwrap();
    let mut small = config.clone();
    for (key, value) in
        [("message.max.bytes", "1000"), ("fetch.max.bytes", "1000"), ("receive.message.max.bytes", "100000")]
    {
        small.properties.insert(key.to_owned(), value.to_owned());
    }
    let mut consumer = member(&small, &name, &name);
    let error = soon("group", next(&mut consumer)).await.unwrap_err();
    assert!(is_here(&error), "{error}");
    soon("leave", consumer.leave()).await;
    let mut reader = LogReader::open(&small, vec![Position::new(&name, 0, 0)], Isolation::ReadCommitted).unwrap();
    soon("reader", async { while !reader.next().await.is_err_and(|error| is_here(&error)) {} }).await;
}

//! The floor: one append, one fetch and one fsync, one after the other.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use unrip_bus::{Admin, BusConfig, Isolation, LogReader, Outgoing, Position, Producer};
use unrip_core::topic::{Retention, TopicSpec};

const TOPIC: &str = "bench.floor";
/// As large as a claim.
const BYTES: usize = 4_096;

pub(crate) struct Floor {
    producer: Producer,
    reader: LogReader,
    file: File,
}

impl Floor {
    pub(crate) async fn new(bus: &BusConfig, dir: &Path) -> Self {
        let retention = Retention::Time(3_600_000);
        let spec = TopicSpec { name: TOPIC.to_owned(), partitions: 1, retention, log_append_time: true };
        Admin::new(bus).unwrap().ensure_topics(&[spec]).await.unwrap();
        Self {
            producer: Producer::new(bus).unwrap(),
            reader: LogReader::open(bus, vec![Position::new(TOPIC, 0, 0)], Isolation::ReadUncommitted).unwrap(),
            file: File::create(dir.join("floor")).unwrap(),
        }
    }

    /// Seconds of one round.
    pub(crate) async fn round(&mut self) -> f64 {
        let started_at = Instant::now();
        let outgoing = Outgoing {
            topic: TOPIC.to_owned(),
            partition: Some(0),
            key: b"floor".to_vec(),
            value: vec![b'x'; BYTES],
            headers: Vec::new(),
        };
        self.producer.send(outgoing).await.unwrap();
        while self.reader.next().await.unwrap().is_empty() {}
        tokio::task::block_in_place(|| {
            self.file.write_all(&[0; BYTES]).unwrap();
            self.file.sync_data().unwrap();
        });
        started_at.elapsed().as_secs_f64()
    }
}

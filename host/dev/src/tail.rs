//! Follows all topics of a run with a reader of its own; it is in no group and commits nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use unrip_bus::{BusConfig, Isolation, LogReader, Position, Record};
use unrip_core::topic::TopicSpec;

use unrip_operate::error::Error;

/// Batches that wait to be shown at most; then reading waits.
const BATCHES_MAX: usize = 64;
/// Pause after an error, so that a broker that is away is not asked in a hot loop.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// The reader's end of the tail.
#[derive(Debug)]
pub struct Tail {
    records: mpsc::Receiver<Result<Vec<Record>, unrip_bus::Error>>,
    /// The next offset to be seen, by partition.
    next: BTreeMap<(String, i32), i64>,
}

impl Tail {
    /// Starts at the present end of every partition.
    ///
    /// # Errors
    /// The bus is away.
    pub async fn start(bus: &BusConfig, topics: &[TopicSpec]) -> Result<Self, Error> {
        let ends = ends(bus, topics).await?;
        let from = ends.iter().map(|((topic, partition), end)| Position::new(topic, *partition, *end)).collect();
        let reader =
            LogReader::open(bus, from, Isolation::ReadCommitted).map_err(Error::bus("cannot follow the topics"))?;
        let (sender, records) = mpsc::channel(BATCHES_MAX);
        tokio::spawn(pump(reader, sender));
        Ok(Self { records, next: ends })
    }

    /// The next records. Cancel-safe. `None`: reading has ended.
    pub async fn next(&mut self) -> Option<Result<Vec<Record>, unrip_bus::Error>> {
        let batch = self.records.recv().await?;
        for record in batch.iter().flatten() {
            self.next.insert((record.topic.clone(), record.partition), record.offset + 1);
        }
        Some(batch)
    }

    /// Whether everything up to `ends` was seen.
    pub fn has_seen(&self, ends: &BTreeMap<(String, i32), i64>) -> bool {
        ends.iter().all(|(place, end)| self.next.get(place).is_some_and(|next| next >= end))
    }
}

/// Ends when the receiver is gone.
async fn pump(mut reader: LogReader, sender: mpsc::Sender<Result<Vec<Record>, unrip_bus::Error>>) {
    loop {
        let batch = reader.next().await;
        let failed = batch.is_err();
        if sender.send(batch).await.is_err() {
            return;
        }
        if failed {
            tokio::time::sleep(ERROR_PAUSE).await;
        }
    }
}

/// The present end of every partition.
///
/// # Errors
/// The bus is away.
pub async fn ends(bus: &BusConfig, topics: &[TopicSpec]) -> Result<BTreeMap<(String, i32), i64>, Error> {
    let cannot = "cannot ask where the topics end";
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted).map_err(Error::bus(cannot))?;
    let mut ends = BTreeMap::new();
    for topic in topics {
        for partition in 0..topic.partitions {
            let (_, end) = reader.watermarks(&topic.name, partition).await.map_err(Error::bus(cannot))?;
            ends.insert((topic.name.clone(), partition), end);
        }
    }
    Ok(ends)
}

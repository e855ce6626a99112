//! Reads partitions to their ends as of now, record by record, without holding them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use unrip_bus::{Admin, BusConfig, Error as BusError, Isolation, LogReader, Record, read_to_end};
use unrip_core::topic;

use crate::error::Error;

/// After this silence a partition is asked whether anything but a transaction's marks is left in it.
const QUIET: Duration = Duration::from_millis(300);
/// How long reading goes without a record before it gives up.
const STALL: Duration = Duration::from_secs(15);

/// Oldest offset and end of each partition of a topic.
pub type Bounds = BTreeMap<i32, (i64, i64)>;

/// The partitions of a topic of the execution side.
///
/// # Errors
/// The bus is away, or the topic was not made.
pub async fn bounds(bus: &BusConfig, topic: &str) -> Result<Bounds, Error> {
    let cannot = || Error::bus(format!("cannot look at {topic}"));
    let found = Admin::new(bus).map_err(cannot())?.describe(topic).await.map_err(cannot())?;
    let Some(found) = found else {
        return Err(Error::Unavailable(format!("topic {topic} does not exist here; make it by `unrip topics ensure`")));
    };
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted).map_err(cannot())?;
    let mut bounds = Bounds::new();
    for partition in 0..found.partitions {
        bounds.insert(partition, reader.watermarks(topic, partition).await.map_err(cannot())?);
    }
    Ok(bounds)
}

/// Every record of the topic within these bounds, each partition in its order.
///
/// # Errors
/// The bus is away, or the log was cut meanwhile.
pub async fn each(bus: &BusConfig, topic: &str, bounds: &Bounds, mut take: impl FnMut(&Record)) -> Result<(), Error> {
    let cannot = || Error::bus(format!("cannot read {topic}"));
    let mut left: BTreeMap<i32, (i64, i64)> = bounds.iter().map(|(at, range)| (*at, *range)).collect();
    left.retain(|_, (next, end)| next < end);
    let from = left.iter().map(|(partition, (next, _))| (topic.to_owned(), *partition, *next)).collect();
    let mut reader = LogReader::open(bus, from, Isolation::ReadCommitted).map_err(cannot())?;
    let mut progress = Instant::now();
    while !left.is_empty() {
        match timeout(QUIET, reader.next()).await {
            Ok(Ok(records)) => {
                progress = Instant::now();
                for record in &records {
                    let Some((next, end)) = left.get_mut(&record.partition) else { continue };
                    if record.offset < *end {
                        take(record);
                    }
                    *next = record.offset + 1;
                }
            }
            Ok(Err(error)) if !error.is_retriable() || progress.elapsed() > STALL => return Err(cannot()(error)),
            Ok(Err(_)) => {}
            Err(_) if progress.elapsed() > STALL => {
                let reason = format!("nothing came for {} s", STALL.as_secs());
                return Err(cannot()(BusError::Retriable { operation: "read", reason }));
            }
            Err(_) => pass_marks(bus, topic, &mut left).await.map_err(cannot())?,
        }
        left.retain(|_, (next, end)| next < end);
    }
    Ok(())
}

/// The marks of transactions take offsets and are no records: where nothing else is left, the end is reached.
async fn pass_marks(bus: &BusConfig, topic: &str, left: &mut BTreeMap<i32, (i64, i64)>) -> Result<(), BusError> {
    for (partition, (next, end)) in left.iter_mut() {
        if read_to_end(bus, topic, *partition, *next, Isolation::ReadCommitted).await?.is_empty() {
            *next = *end;
        }
    }
    Ok(())
}

/// Every record of the journal that is there now.
///
/// # Errors
/// As [`bounds`] and [`each`].
pub async fn journal(bus: &BusConfig, take: impl FnMut(&Record)) -> Result<Bounds, Error> {
    let bounds = bounds(bus, topic::JOURNAL).await?;
    each(bus, topic::JOURNAL, &bounds, take).await?;
    Ok(bounds)
}

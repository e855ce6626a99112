//! Reads partitions to their ends as of now, record by record, without holding them.

use std::collections::BTreeMap;

use unrip_bus::{Admin, BusConfig, Isolation, LogReader, Record, ToEnd};
use unrip_core::topic;

use crate::error::Error;

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
    let from = bounds.iter().filter(|(_, (next, end))| next < end).map(|(partition, (next, _))| (*partition, *next));
    let mut log = ToEnd::start(bus, topic, from.collect(), Isolation::ReadCommitted);
    while let Some(records) = log.next().await {
        for record in &records.map_err(cannot())? {
            // The end was asked again: what came since is not part of the answer.
            if bounds.get(&record.partition).is_some_and(|(_, end)| record.offset < *end) {
                take(record);
            }
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

//! Reading partitions from given offsets, without a group.

use crate::{BusConfig, Error, Isolation, Record};

/// Reads partitions in order from exact offsets; a position outside the log is an error, never a jump.
pub struct LogReader {}

impl LogReader {
    /// A reader at (topic, partition, offset). Needs no broker yet.
    pub fn open(_config: &BusConfig, _from: Vec<(String, i32, i64)>, _isolation: Isolation) -> Result<Self, Error> {
        Err(Error::Closed { operation: "open reader" })
    }

    /// The next records; never empty. Safe to cancel. After `Retriable` go on with `next`.
    pub async fn next(&mut self) -> Result<Vec<Record>, Error> {
        Err(Error::Closed { operation: "read" })
    }

    /// Reads further partitions too.
    pub async fn assign_more(&self, _from: Vec<(String, i32, i64)>) -> Result<(), Error> {
        Err(Error::Closed { operation: "assign" })
    }

    /// Reads these partitions no longer.
    pub async fn unassign(&self, _partitions: &[(String, i32)]) -> Result<(), Error> {
        Err(Error::Closed { operation: "unassign" })
    }

    /// (oldest offset, end). With `ReadCommitted` the end is the last stable one.
    pub async fn watermarks(&self, _topic: &str, _partition: i32) -> Result<(i64, i64), Error> {
        Err(Error::Closed { operation: "watermarks" })
    }
}

/// Every record of a partition from an offset to its end as of now.
pub async fn read_to_end(
    _config: &BusConfig,
    _topic: &str,
    _partition: i32,
    _from: i64,
    _isolation: Isolation,
) -> Result<Vec<Record>, Error> {
    Err(Error::Closed { operation: "read to end" })
}

//! Asking a broker that is away again, and what ends the executor.

use std::time::Duration;

use unrip_bus::{BusConfig, Isolation, LogReader, Position, Record};
use unrip_core::Timestamp;
use unrip_service::RunError;

use crate::store::StoreError;

/// How often and how long apart a broker that is away is asked again before the executor gives up.
const PATIENCE: (u32, Duration) = (60, Duration::from_millis(500));

/// Asks the broker again while it is away: a restart of the broker is no reason to end.
pub(crate) async fn patiently<T, F>(what: &str, mut ask: impl FnMut() -> F) -> Result<T, RunError>
where
    F: Future<Output = Result<T, unrip_bus::Error>>,
{
    let (mut left, pause) = PATIENCE;
    loop {
        match ask().await {
            Err(error) if error.is_retriable() && left > 0 => {
                tracing::warn!(what, %error, "the broker does not answer; asking again");
                left -= 1;
                tokio::time::sleep(pause).await;
            }
            answered => return answered.map_err(unavailable),
        }
    }
}

/// The first record at or after an offset that is below the end.
pub(crate) async fn record_at(
    bus: &BusConfig,
    name: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Record>, RunError> {
    let from = vec![Position::new(name, partition, offset)];
    let mut reader = LogReader::open(bus, from, Isolation::ReadUncommitted).map_err(unavailable)?;
    loop {
        match reader.next().await {
            Ok(records) if records.is_empty() => {}
            Ok(records) => return Ok(records.into_iter().next()),
            // The reader itself waits between two errors.
            Err(error) if error.is_retriable() => {
                tracing::warn!(%error, name, partition, offset, "record not readable yet; retrying");
            }
            Err(error) => return Err(unavailable(error)),
        }
    }
}

/// When the broker appended a record.
pub(crate) fn appended_at(record: &Record) -> Timestamp {
    Timestamp::from_millis(record.timestamp.millis().unwrap_or_default())
}

pub(crate) fn unavailable(error: unrip_bus::Error) -> RunError {
    RunError::Unavailable(error.to_string())
}

pub(crate) fn state_error(error: StoreError) -> RunError {
    RunError::State(error.to_string())
}

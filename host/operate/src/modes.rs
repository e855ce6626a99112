//! The kill switch as people use it: what executors may do, by scope, on `ctl.execution`.

use unrip_bus::{BusConfig, Isolation, LogReader, Position, Producer, ProducerOptions, Record, read_to_end};
use unrip_core::event::control::{ExecutionMode, Modes, ScopeMode};
use unrip_core::names::ALL_VENUES;
use unrip_core::{Envelope, topic};
use unrip_service::Ids;

use crate::error::Error;
use crate::records::outgoing;

/// How long a new mode is offered to the broker before it fails, in milliseconds: a halt must not hang.
const SET_WAIT_MS_MAX: u64 = 10_000;
/// What a person reads when it is not known whether a mode was set.
const NOT_CONFIRMED: &str = "the mode is NOT confirmed; is --brokers right? run it again";
/// The switch has one partition, so that its records have one order.
const PARTITION: i32 = 0;

/// A mode that was set, read back.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was set for the scope before.
    pub before: Option<ScopeMode>,
    /// What is set now, for all scopes.
    pub now: Modes,
    /// Offset of the new record.
    pub offset: i64,
}

/// What is set now.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn all(bus: &BusConfig) -> Result<Modes, Error> {
    let mut modes = Modes::default();
    records(bus).await?.iter().for_each(|record| fold(&mut modes, record));
    Ok(modes)
}

/// Sets what executors may do in a scope, and reads it back. Writes before it reads: a halt loses no time.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn set(bus: &BusConfig, mode: ExecutionMode, ids: &Ids) -> Result<Change, Error> {
    let (scope, at) = (mode.scope.clone(), mode.set_at);
    let venue = scope.split('/').nth(1).unwrap_or(ALL_VENUES).to_owned();
    let envelope = Envelope::root(ids.uuid_v7(at), &venue, "unrip/modes", at, mode);
    let record = outgoing(topic::EXECUTION_CONTROL, Some(PARTITION), &scope, &envelope, ids)?;
    let options = ProducerOptions { linger_ms: 0, delivery_ms_max: Some(SET_WAIT_MS_MAX) };
    let producer = Producer::with_options(bus, options).map_err(Error::bus(NOT_CONFIRMED))?;
    let position = producer.send(record).await.map_err(Error::bus(NOT_CONFIRMED))?;
    let (mut before, mut now, mut found) = (None, Modes::default(), false);
    for record in records(bus).await? {
        if record.offset == position.offset {
            before = now.get(&scope).cloned();
            found = Envelope::<ExecutionMode>::decode(&record.value).is_ok_and(|read| read == envelope);
        }
        fold(&mut now, &record);
    }
    match found {
        true => Ok(Change { before, now, offset: position.offset }),
        false => Err(Error::Unavailable(format!(
            "{NOT_CONFIRMED}: {} acknowledged the record at offset {} and does not have it there",
            topic::EXECUTION_CONTROL,
            position.offset
        ))),
    }
}

async fn records(bus: &BusConfig) -> Result<Vec<Record>, Error> {
    let cannot = || Error::bus("cannot read the kill switch");
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted).map_err(cannot())?;
    let (oldest, _) = reader.watermarks(topic::EXECUTION_CONTROL, PARTITION).await.map_err(cannot())?;
    let read =
        read_to_end(bus, Position::new(topic::EXECUTION_CONTROL, PARTITION, oldest), Isolation::ReadCommitted).await;
    read.map_err(cannot())
}

fn fold(modes: &mut Modes, record: &Record) {
    modes.fold(record.key.as_deref(), (!record.tombstone).then_some(&record.value));
}

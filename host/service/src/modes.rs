//! The kill switch as people use it: what executors may do, by scope, on `ctl.execution`.

use std::collections::BTreeMap;

use unrip_bus::{BusConfig, Isolation, LogReader, Producer, ProducerOptions, Record, read_to_end};
use unrip_core::event::control::{ExecutionMode, FLEET, Mode};
use unrip_core::{Envelope, topic};

use crate::ids::Ids;
use crate::topics::{ALL_VENUES, Error, outgoing};

/// How long a new mode is offered to the broker before it fails, in milliseconds: whoever halts must know soon.
const SET_WAIT_MS_MAX: u64 = 10_000;
/// The switch has one partition, so that its records have one order.
const PARTITION: i32 = 0;

/// What stands of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This was set.
    Set(ExecutionMode),
    /// The record cannot be read; executors take it as halted.
    Unreadable(String),
}

impl Standing {
    /// What is allowed.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Set(set) => set.mode,
            Self::Unreadable(_) => Mode::Halted,
        }
    }
}

/// What stands of each scope that has a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes(BTreeMap<String, Standing>);

impl Modes {
    /// What stands of a scope, if somebody has set it.
    pub fn get(&self, scope: &str) -> Option<&Standing> {
        self.0.get(scope)
    }

    /// All scopes that somebody has set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Standing)> {
        self.0.iter().map(|(scope, standing)| (scope.as_str(), standing))
    }

    /// What the fleet may do: without a record, nothing.
    pub fn fleet(&self) -> Mode {
        self.get(FLEET).map_or(Mode::Halted, Standing::mode)
    }

    /// The newest record of a scope counts; a tombstone takes it away.
    fn fold(&mut self, record: &Record) {
        let Some(scope) = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) else { return };
        let standing = match Envelope::<ExecutionMode>::decode(&record.value) {
            Ok(envelope) => Standing::Set(envelope.payload),
            Err(_) if record.tombstone => {
                self.0.remove(scope);
                return;
            }
            Err(error) => Standing::Unreadable(error.to_string()),
        };
        self.0.insert(scope.to_owned(), standing);
    }
}

/// A mode that was set, read back.
#[derive(Clone, Debug)]
pub struct Change {
    /// What stood of the scope before.
    pub before: Option<Standing>,
    /// What stands now, of all scopes.
    pub now: Modes,
    /// Offset of the new record.
    pub offset: i64,
}

/// What stands now.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn all(bus: &BusConfig) -> Result<Modes, Error> {
    let mut modes = Modes::default();
    records(bus).await?.iter().for_each(|record| modes.fold(record));
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
    let position = Producer::with_options(bus, options)?.send(record).await?;
    let (mut before, mut now, mut found) = (None, Modes::default(), false);
    for record in records(bus).await? {
        if record.offset == position.offset {
            before = now.get(&scope).cloned();
            found = Envelope::<ExecutionMode>::decode(&record.value).is_ok_and(|read| read == envelope);
        }
        now.fold(&record);
    }
    match found {
        true => Ok(Change { before, now, offset: position.offset }),
        false => Err(Error::NotThere { topic: topic::EXECUTION_CONTROL, offset: position.offset }),
    }
}

async fn records(bus: &BusConfig) -> Result<Vec<Record>, Error> {
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted)?;
    let (oldest, _) = reader.watermarks(topic::EXECUTION_CONTROL, PARTITION).await?;
    Ok(read_to_end(bus, topic::EXECUTION_CONTROL, PARTITION, oldest, Isolation::ReadCommitted).await?)
}

#[cfg(test)]
mod tests {
    use unrip_bus::RecordTime;
    use unrip_core::{Timestamp, Uuid};

    use super::*;

    fn record(scope: &str, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: topic::EXECUTION_CONTROL.to_owned(),
            partition: 0,
            offset: 0,
            key: Some(scope.as_bytes().to_vec()),
            tombstone: value.is_none(),
            value: value.unwrap_or_default(),
            headers: Vec::new(),
            timestamp: RecordTime::None,
        }
    }

    fn set_to(scope: &str, mode: Mode) -> Record {
        let at = Timestamp::from_millis(0);
        let (scope_of, reason, set_by) = (scope.to_owned(), "test".to_owned(), "me".to_owned());
        let payload = ExecutionMode { scope: scope_of, mode, reason, set_by, set_at: at };
        record(scope, Some(Envelope::root(Uuid::nil(), "*", "test", at, payload).encode().unwrap()))
    }

    #[test]
    fn the_newest_record_of_a_scope_counts_and_an_unreadable_one_halts() {
        let mut modes = Modes::default();
        assert_eq!(modes.fleet(), Mode::Halted);
        modes.fold(&set_to(FLEET, Mode::Halted));
        modes.fold(&set_to(FLEET, Mode::Active));
        assert_eq!(modes.fleet(), Mode::Active);
        modes.fold(&record("venue/a", Some(b"{".to_vec())));
        assert_eq!(modes.get("venue/a").map(Standing::mode), Some(Mode::Halted));
        modes.fold(&record("venue/a", None));
        assert_eq!(modes.get("venue/a"), None);
        modes.fold(&record(FLEET, Some(b"{}".to_vec())));
        assert_eq!(modes.fleet(), Mode::Halted);
    }
}

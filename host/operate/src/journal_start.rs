//! The beginning of the journal: each partition's first record, its genesis, with one id for all of them.
//!
//! Steps may run at the same time, and one may die half-way, so the log decides: the first record of the first partition
//! names the journal's id, and the other partitions are started with the id that was read there. Readers take a genesis
//! at offset 0 only; one that a slower step has appended behind it is without effect.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use unrip_bus::{BusConfig, Isolation, LogReader, Position, Producer};
use unrip_core::event::journal::JournalGenesis;
use unrip_core::names::ALL_VENUES;
use unrip_core::{Envelope, Timestamp, Uuid};
use unrip_service::Ids;

use crate::error::Error;
use crate::records::outgoing;

/// Key of a partition's genesis.
const GENESIS_KEY: &str = "genesis";
/// Source of the records that are made here.
const SOURCE: &str = "unrip/topics";
/// How long the first record of a partition that holds some may take to be read.
const READ_WAIT_MAX: Duration = Duration::from_secs(15);

/// Writes `journal_genesis` as the first record of each partition of the journal `topic` that is still empty. Running it
/// again, or several times at once, changes nothing.
///
/// Returns the journal's id, or `None` where every partition was started and no genesis is retained any more.
///
/// # Errors
/// The bus is away, or the partitions do not begin with genesis records of one id.
pub async fn start(
    bus: &BusConfig,
    topic: &str,
    partitions: i32,
    ids: &Ids,
    now: Timestamp,
) -> Result<Option<Uuid>, Error> {
    let cannot = || Error::bus(format!("cannot start the journal {topic}"));
    let mut found = Vec::new();
    for partition in 0..partitions {
        found.push((partition, first_record(bus, topic, partition).await?));
    }
    // A step that died half-way has named the id; without one, this step proposes its own.
    let started = found.iter().find_map(|(_, beginning)| beginning.journal_id());
    let proposed = started.unwrap_or_else(|| ids.uuid_v7(now));
    let producer = Producer::new(bus).map_err(cannot())?;
    let mut journal_id = None;
    for (partition, mut beginning) in found {
        if beginning == Beginning::Empty {
            let payload = JournalGenesis { journal_id: journal_id.unwrap_or(proposed), partition_count: partitions };
            let envelope = Envelope::root(ids.uuid_v7(now), ALL_VENUES, SOURCE, now, payload);
            let record = outgoing(topic, Some(partition), GENESIS_KEY, &envelope, ids)?;
            producer.send(record).await.map_err(cannot())?;
            // Another step may have been first: what the log says counts.
            beginning = first_record(bus, topic, partition).await?;
        }
        agree(&mut journal_id, topic, partition, &beginning)?;
    }
    Ok(journal_id)
}

/// How a partition begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Beginning {
    /// Nothing was ever written.
    Empty,
    /// With the genesis of this journal.
    Genesis(Uuid),
    /// Its genesis has passed its retention.
    Expired,
    /// With another record.
    Other,
}

impl Beginning {
    fn journal_id(&self) -> Option<Uuid> {
        match self {
            Self::Genesis(id) => Some(*id),
            Self::Empty | Self::Expired | Self::Other => None,
        }
    }
}

async fn first_record(bus: &BusConfig, topic: &str, partition: i32) -> Result<Beginning, Error> {
    let cannot = || Error::bus(format!("cannot read the beginning of {topic}, partition {partition}"));
    let mut reader = LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted).map_err(cannot())?;
    match reader.watermarks(topic, partition).await.map_err(cannot())? {
        (_, 0) => return Ok(Beginning::Empty),
        (1.., _) => return Ok(Beginning::Expired),
        _ => {}
    }
    reader.assign_more(vec![Position::new(topic, partition, 0)]).await.map_err(cannot())?;
    let until = Instant::now() + READ_WAIT_MAX;
    loop {
        let Ok(read) = timeout_at(until, reader.next()).await else {
            let waited = READ_WAIT_MAX.as_secs();
            return Err(Error::Unavailable(format!(
                "{topic}, partition {partition}: its first record did not come within {waited} s; run it again"
            )));
        };
        match read {
            Ok(records) => {
                let Some(first) = records.first() else { continue };
                let genesis = Envelope::<JournalGenesis>::decode(&first.value).ok();
                return Ok(genesis.map_or(Beginning::Other, |envelope| Beginning::Genesis(envelope.payload.journal_id)));
            }
            Err(error) if error.is_retriable() => {}
            Err(error) => return Err(cannot()(error)),
        }
    }
}

fn agree(journal_id: &mut Option<Uuid>, topic: &str, partition: i32, beginning: &Beginning) -> Result<(), Error> {
    let wrong = |reason: String| {
        Error::Unavailable(format!(
            "{topic}, partition {partition}: {reason}. Stop all executors, delete {topic} and run `unrip topics ensure` \
             again; executors that still know what it held then say how to write that back"
        ))
    };
    match (beginning, *journal_id) {
        (Beginning::Genesis(id), Some(known)) if *id != known => {
            Err(wrong(format!("it belongs to journal {id}, the partitions before it to {known}")))
        }
        (Beginning::Genesis(id), _) => {
            *journal_id = Some(*id);
            Ok(())
        }
        (Beginning::Other, _) => Err(wrong("its first record is not a journal_genesis".to_owned())),
        (Beginning::Expired | Beginning::Empty, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_that_disagree_are_refused_with_a_cure() {
        let genesis = |id: u128| Beginning::Genesis(Uuid::from_u128(id));
        let mut known = None;
        agree(&mut known, "j", 0, &genesis(1)).unwrap();
        agree(&mut known, "j", 1, &genesis(1)).unwrap();
        agree(&mut known, "j", 2, &Beginning::Expired).unwrap();
        for other in [genesis(2), Beginning::Other] {
            let error = agree(&mut known, "j", 3, &other).unwrap_err().to_string();
            assert!(error.contains("j, partition 3") && error.contains("delete j"), "{error}");
        }
        assert_eq!(known, Some(Uuid::from_u128(1)));
    }
}

//! The topic step: makes the topics that are not there and begins the journal.
//!
//! Services never make topics. This runs before them, once per cluster, and running it again changes nothing.

use unrip_bus::{Admin, BusConfig, Ensured, Isolation, LogReader, Outgoing, Producer, Record};
use unrip_core::event::journal::JournalGenesis;
use unrip_core::topic::{self, TopicSpec};
use unrip_core::{Envelope, Payload, Timestamp, Uuid};
use unrip_service::Ids;

/// Key of a partition's genesis.
const GENESIS_KEY: &str = "genesis";
/// Venue of what concerns all of them.
pub(crate) const ALL_VENUES: &str = "*";
/// Source of the records that are made here.
const SOURCE: &str = "unrip/topics";

/// Why the step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus refused or is away.
    #[error(transparent)]
    Bus(#[from] unrip_bus::Error),
    /// The journal is not one that was begun by this step.
    #[error("{topic}, partition {partition}: {reason}")]
    Journal {
        /// The journal's topic.
        topic: &'static str,
        /// The partition.
        partition: i32,
        /// What is wrong, and the cure.
        reason: String,
    },
    /// A record that the broker acknowledged is not in the log.
    #[error("{topic}: the record was acknowledged at offset {offset} and cannot be read there")]
    NotThere {
        /// The topic.
        topic: &'static str,
        /// Where it should stand.
        offset: i64,
    },
    /// A record could not be encoded.
    #[error("a record could not be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Makes the topics that are not there; one that differs is an error.
///
/// # Errors
/// The bus is away, or a topic differs.
pub async fn ensure(bus: &BusConfig, topics: &[TopicSpec]) -> Result<Vec<(String, Ensured)>, Error> {
    Ok(Admin::new(bus)?.ensure_topics(topics).await?)
}

/// Writes `journal_genesis` as the first record of each journal partition that is still empty. One id for all.
///
/// Returns the journal's id, or `None` where every partition has begun and no genesis is kept any more.
///
/// # Errors
/// The bus is away, or two of these steps ran at once and the partitions disagree.
pub async fn begin_journal(bus: &BusConfig, partitions: i32, ids: &Ids, now: Timestamp) -> Result<Option<Uuid>, Error> {
    let mut known = None;
    let mut empty = Vec::new();
    for partition in 0..partitions {
        match first_record(bus, partition).await? {
            Begun::Empty => empty.push(partition),
            Begun::Genesis(genesis) => agree(&mut known, partition, genesis)?,
            Begun::Cut => {}
        }
    }
    if empty.is_empty() {
        return Ok(known);
    }
    let journal_id = known.unwrap_or_else(|| ids.uuid_v7(now));
    let producer = Producer::new(bus)?;
    for partition in &empty {
        let payload = JournalGenesis { journal_id, partition_count: partitions };
        let envelope = Envelope::root(ids.uuid_v7(now), ALL_VENUES, SOURCE, now, payload);
        producer.send(outgoing(topic::JOURNAL, Some(*partition), GENESIS_KEY, &envelope, ids)?).await?;
    }
    // Another step may have written between our look and our record: the first record decides.
    let mut known = Some(journal_id);
    for partition in empty {
        if let Begun::Genesis(genesis) = first_record(bus, partition).await? {
            agree(&mut known, partition, genesis)?;
        }
    }
    Ok(known)
}

/// How a journal partition begins.
enum Begun {
    /// It holds nothing and never did.
    Empty,
    /// With its genesis.
    Genesis(JournalGenesis),
    /// Its genesis has passed its retention.
    Cut,
}

async fn first_record(bus: &BusConfig, partition: i32) -> Result<Begun, Error> {
    let mut reader = LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted)?;
    let (oldest, end) = reader.watermarks(topic::JOURNAL, partition).await?;
    match (oldest, end) {
        (_, 0) => return Ok(Begun::Empty),
        (1.., _) => return Ok(Begun::Cut),
        _ => {}
    }
    reader.assign_more(vec![(topic::JOURNAL.to_owned(), partition, 0)]).await?;
    let records = reader.next().await?;
    genesis(partition, records.first())
}

fn genesis(partition: i32, record: Option<&Record>) -> Result<Begun, Error> {
    let read = record.and_then(|record| Envelope::<JournalGenesis>::decode(&record.value).ok());
    match read {
        Some(envelope) => Ok(Begun::Genesis(envelope.payload)),
        None => Err(Error::Journal {
            topic: topic::JOURNAL,
            partition,
            reason:
                "its first record is no journal_genesis: something wrote before the topic step; make the topic anew"
                    .to_owned(),
        }),
    }
}

fn agree(known: &mut Option<Uuid>, partition: i32, genesis: JournalGenesis) -> Result<(), Error> {
    match *known {
        Some(id) if id != genesis.journal_id => Err(Error::Journal {
            topic: topic::JOURNAL,
            partition,
            reason: format!(
                "it belongs to journal {}, others to {id}: two topic steps ran at once; make the topic anew",
                genesis.journal_id
            ),
        }),
        _ => {
            *known = Some(genesis.journal_id);
            Ok(())
        }
    }
}

pub(crate) fn outgoing<P: Payload>(
    topic: &str,
    partition: Option<i32>,
    key: &str,
    envelope: &Envelope<P>,
    ids: &Ids,
) -> Result<Outgoing, Error> {
    Ok(Outgoing {
        topic: topic.to_owned(),
        partition,
        key: key.as_bytes().to_vec(),
        value: envelope.encode()?,
        headers: envelope.headers(ids.trace()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_that_disagree_are_refused() {
        let genesis = |id: u128| JournalGenesis { journal_id: Uuid::from_u128(id), partition_count: 2 };
        let mut known = None;
        agree(&mut known, 0, genesis(1)).unwrap();
        agree(&mut known, 1, genesis(1)).unwrap();
        assert!(agree(&mut known, 1, genesis(2)).unwrap_err().to_string().contains("two topic steps"));
    }
}

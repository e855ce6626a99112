//! Partitions that cannot be read any further: a codec that this build lacks, a batch with a wrong checksum, an access
//! rule, a record that never arrives. The client library does not name the partition, and it passes over some of these
//! batches by itself, so each suspect is read by a client of its own, and the partition is held at the bad record.

mod probe;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::Offset;

use crate::config::REQUEST_WAIT_MS_MAX;
use crate::reader::watermarks_within;
use crate::{BusConfig, Error, Isolation, Partition, Position};
use probe::{Probe, Readable};

/// How often a stopped partition is tried and reported again.
const RETRY_EVERY: Duration = Duration::from_secs(5);
/// How often the partitions are checked for progress. One that has more records and does not move over a whole interval
/// is probed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A caller that was away for longer says nothing about the partitions' progress.
const AWAY_MAX: Duration = Duration::from_secs(2);
/// How long all probes after one error may take: the caller's thread also serves rebalances.
const PROBES_MAX: Duration = Duration::from_secs(5);
/// How long one attempt to put a partition back may take.
const SEEK_TRY: Duration = Duration::from_millis(500);

/// A partition with the offset that is read next, where it is known.
pub(crate) type Place = (Partition, Option<i64>);

/// Holds the partitions that cannot be read, and tries them again.
pub(crate) struct Stopped {
    config: BusConfig,
    isolation: Isolation,
    held: HashMap<Partition, Held>,
    /// When a kind of error was last reported that no partition explains.
    unplaced: Vec<(Code, Instant)>,
    looks: Looks,
}

struct Held {
    next: i64,
    retry_at: Instant,
}

/// Which partitions were behind the end of their log at the last check.
#[derive(Default)]
struct Looks {
    called_at: Option<Instant>,
    looked_at: Option<Instant>,
    behind: HashMap<Partition, i64>,
    /// Nothing but markers of transactions lies before this end.
    ends: HashMap<Partition, i64>,
}

/// What became of a partition that was held.
pub(crate) enum Retried {
    Still(Error),
    /// It can be read again, or the log says itself what is wrong with it.
    Free(Partition),
}

impl Stopped {
    pub(crate) fn new(config: &BusConfig, isolation: Isolation) -> Self {
        Self { config: config.clone(), isolation, held: HashMap::new(), unplaced: Vec::new(), looks: Looks::default() }
    }

    /// Whether the partition is held at a record that cannot be read.
    pub(crate) fn holds(&self, at: &Partition) -> bool {
        self.held.contains_key(at)
    }

    /// The partitions are another member's, or are sought elsewhere.
    pub(crate) fn forget(&mut self, partitions: &[Partition]) {
        self.held.retain(|at, _| !partitions.contains(at));
    }

    /// Takes an error that ends or stops a partition; `None` for every other one. The partitions that it stops are held.
    pub(crate) fn take<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        error: &KafkaError,
        places: impl FnOnce() -> Vec<Place>,
    ) -> Option<Vec<Error>> {
        let (Error::Denied { reason, .. } | Error::Refused { reason, .. }) = Error::from_kafka("consume", "", error)
        else {
            return None;
        };
        let code = error.rdkafka_error_code()?;
        self.unplaced.retain(|(_, at)| at.elapsed() < RETRY_EVERY);
        let recent = self.unplaced.iter().any(|(known, _)| *known == code);
        if recent && !passes_over(code) {
            return Some(Vec::new());
        }
        let suspects: Vec<_> = places().into_iter().filter(|(at, _)| !self.holds(at)).collect();
        let until = Instant::now() + PROBES_MAX;
        let mut found = Vec::new();
        for (at, next) in &suspects {
            let Some((next, _)) = behind(consumer, at, *next) else { continue };
            if let Some(Readable::No(reason)) = self.probe(at, next, until) {
                found.push(self.hold(consumer, at, next, reason));
            }
        }
        if !found.is_empty() {
            return Some(found);
        }
        if passes_over(code) {
            // Whichever it was: the library continues behind the bad batch, so all of them are read again from here.
            suspects.iter().for_each(|(at, next)| put_back(consumer, at, *next));
        }
        if recent {
            return Some(Vec::new());
        }
        self.unplaced.push((code, Instant::now()));
        Some(vec![Error::Denied { operation: "consume", reason }])
    }

    /// Tries the held partitions whose time has come.
    pub(crate) fn retry(&mut self) -> Vec<Retried> {
        let now = Instant::now();
        let due: Vec<_> = self.held.iter().filter(|(_, held)| held.retry_at <= now).collect();
        let due: Vec<_> = due.into_iter().map(|(at, held)| (at.clone(), held.next)).collect();
        let mut retried = Vec::new();
        for (at, next) in due {
            match self.probe(&at, next, Instant::now() + PROBES_MAX) {
                Some(Readable::Yes | Readable::End | Readable::Elsewhere) => {
                    self.held.remove(&at);
                    retried.push(Retried::Free(at));
                }
                answer => {
                    let reason = match answer {
                        Some(Readable::No(reason)) => reason,
                        _ => "it does not arrive".to_owned(),
                    };
                    if let Some(held) = self.held.get_mut(&at) {
                        held.retry_at = Instant::now() + RETRY_EVERY;
                    }
                    retried.push(Retried::Still(stopped(&at, next, reason)));
                }
            }
        }
        retried
    }

    /// Finds partitions that stand still although their log has more, for whatever reason. Called again and again while
    /// the caller takes records.
    pub(crate) fn look<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        places: impl FnOnce() -> Vec<Place>,
    ) -> Vec<Error> {
        let now = Instant::now();
        let away = self.looks.called_at.replace(now).is_none_or(|at| now - at > AWAY_MAX);
        if away {
            self.looks.behind.clear();
            self.looks.looked_at = Some(now);
        }
        if self.looks.looked_at.is_some_and(|at| now - at < LOOK_EVERY) {
            return Vec::new();
        }
        let (mut still, mut found) = (HashMap::new(), Vec::new());
        let flowing: Vec<_> = places().into_iter().filter(|(at, _)| !self.holds(at)).collect();
        for (at, next) in flowing {
            let Some((next, end)) = behind(consumer, &at, next) else { continue };
            if self.looks.ends.get(&at) == Some(&end) {
                continue;
            }
            if self.looks.behind.get(&at) == Some(&next) {
                match self.probe(&at, next, Instant::now() + PROBES_MAX) {
                    Some(Readable::End) => drop(self.looks.ends.insert(at.clone(), end)),
                    Some(Readable::No(reason)) => found.push(self.hold(consumer, &at, next, reason)),
                    Some(Readable::Elsewhere) => {}
                    Some(Readable::Yes) => found.push(stopped(&at, next, "the client fetches nothing".to_owned())),
                    None => {
                        let reason = "it does not arrive; is it larger than receive.message.max.bytes?".to_owned();
                        found.push(stopped(&at, next, reason));
                    }
                }
            }
            still.insert(at, next);
        }
        (self.looks.behind, self.looks.looked_at) = (still, Some(Instant::now()));
        self.looks.called_at = self.looks.looked_at;
        found
    }

    fn probe(&self, at: &Partition, next: i64, until: Instant) -> Option<Readable> {
        Probe { config: &self.config, isolation: self.isolation }.read(at, next, until)
    }

    /// Stops reading the partition, and drops what was fetched behind the bad record.
    fn hold<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        at: &Partition,
        next: i64,
        reason: String,
    ) -> Error {
        let mut list = TopicPartitionList::new();
        list.add_partition(&at.0, at.1);
        if let Err(error) = consumer.pause(&list) {
            tracing::warn!(%error, topic = at.0, partition = at.1, "cannot pause a partition that cannot be read");
        }
        put_back(consumer, at, Some(next));
        self.held.insert(at.clone(), Held { next, retry_at: Instant::now() + RETRY_EVERY });
        stopped(at, next, reason)
    }
}

/// [`Error::Stopped`] where the record at this position cannot be read.
pub(crate) fn check(config: &BusConfig, isolation: Isolation, at: &Position) -> Result<(), Error> {
    let until = Instant::now() + PROBES_MAX;
    match (Probe { config, isolation }).read(&at.place(), at.offset, until) {
        Some(Readable::No(reason)) => Err(stopped(&at.place(), at.offset, reason)),
        _ => Ok(()),
    }
}

/// Errors after which the client library continues behind what it could not read.
fn passes_over(code: Code) -> bool {
    matches!(code, Code::BadMessage | Code::NotImplemented)
}

fn put_back<C: ConsumerContext>(consumer: &BaseConsumer<C>, at: &Partition, next: Option<i64>) {
    let Some(next) = next else { return };
    let mut list = TopicPartitionList::new();
    let placed = list.add_partition_offset(&at.0, at.1, Offset::Offset(next));
    if let Err(error) = placed.and_then(|()| consumer.seek_partitions(list, SEEK_TRY).map(drop)) {
        tracing::warn!(%error, topic = at.0, partition = at.1, next, "cannot put a partition back to its next record");
    }
}

fn stopped((topic, partition): &Partition, offset: i64, reason: String) -> Error {
    Error::Stopped { topic: topic.clone(), partition: *partition, offset, reason }
}

/// The next offset and the end of a partition that has more records, or may have.
fn behind<C: ConsumerContext>(consumer: &BaseConsumer<C>, at: &Partition, next: Option<i64>) -> Option<(i64, i64)> {
    let wait = Duration::from_millis(REQUEST_WAIT_MS_MAX / 5);
    let (low, end) = watermarks_within(consumer, &at.0, at.1, wait).ok()?;
    let next = next.unwrap_or(low);
    (next < end).then_some((next, end))
}

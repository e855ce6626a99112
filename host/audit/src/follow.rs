//! Reads the four topics from their beginning and keeps the ledger; no consumer group, nothing committed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use unrip_bus::{Admin, BusConfig, Error, Isolation, LogReader, Position, Record, read_to_end};
use unrip_service::BusWatch;
use unrip_service::metrics::CounterBy;
use unrip_service::{Condition, Context, RunError};

use crate::gauges::Gauges;
use crate::ledger::{Ledger, Options, Place, Stream};
use crate::report::Report;

/// Between two judgements, and between two looks for topics that do not exist yet.
const ROUND: Duration = Duration::from_secs(1);
/// The longest that one judgement waits for the ends that it asked for.
const ROUND_WAIT: Duration = Duration::from_secs(3);
/// After this silence a partition is asked whether anything but a transaction's marks is left in it.
const QUIET: Duration = Duration::from_millis(200);
/// Before a failed question to the broker is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// A question for the report as of now.
pub(crate) type Ask = oneshot::Sender<Report>;

pub(crate) struct Follower {
    context: Context,
    bus: BusConfig,
    watch: BusWatch,
    caught_up: Condition,
    reader: LogReader,
    ledger: Ledger,
    /// The next offset to read of each partition.
    next: BTreeMap<(Stream, i32), i64>,
    gauges: Gauges,
    lost: CounterBy,
    last: watch::Sender<Report>,
}

impl Follower {
    /// Waits for broker and topics, then reads from the beginning; `None` if the service should stop before that.
    pub(crate) async fn start(
        bus: &BusConfig,
        start_timeout_ms: Option<u64>,
        options: impl Fn(i32) -> Options,
        context: &Context,
        last: watch::Sender<Report>,
    ) -> Result<Option<Self>, RunError> {
        let caught_up = context.health.condition("log", "not read to its end yet");
        let watch = BusWatch::start(bus, &context.health, &context.shutdown);
        context.health.started();
        if !watch.reached_at_start(start_timeout_ms).await? {
            return Ok(None);
        }
        let opened = async {
            let partitions = topics(bus, &watch, &caught_up).await?;
            loop {
                match open(bus, partitions).await {
                    Ok(opened) => return Ok((partitions, opened)),
                    Err(error @ Error::Configuration { .. }) => return Err(RunError::Config(error.to_string())),
                    Err(error) => watch.suspect(&error),
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        };
        let Some(opened) = context.shutdown.run_until_cancelled(opened).await else { return Ok(None) };
        let (partitions, (reader, next)) = opened?;
        let mut ledger = Ledger::new(options(partitions));
        for ((stream, partition), offset) in &next {
            ledger.begin(*stream, *partition, *offset, context.clock.now());
        }
        tracing::info!(partitions, "reading commands, journal and results from their beginning");
        let gauges = Gauges::new(&context.metrics);
        let help = "Records deleted before they were read.";
        let lost = context.metrics.counter_by("unrip_records_lost_total", help, "topic");
        let (context, bus) = (context.clone(), bus.clone());
        Ok(Some(Self { context, bus, watch, caught_up, reader, ledger, next, gauges, lost, last }))
    }

    /// Reads and judges until the service should stop.
    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let shutdown = self.context.shutdown.clone();
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                read = self.reader.next() => self.take(read).await,
                _ = rounds.tick() => {
                    self.judge().await;
                }
                Some(ask) = asks.recv() => {
                    let report = self.judge().await;
                    // Who asked may have gone.
                    let _ = ask.send(report);
                }
            }
        }
    }

    /// One judgement: everything that is on the bus now, as far as it can be read in time.
    async fn judge(&mut self) -> Report {
        let complete = match tokio::time::timeout(ROUND_WAIT, self.catch_up()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                self.watch.suspect(&error);
                false
            }
            Err(_) => false,
        };
        if complete {
            self.caught_up.met();
        }
        let report = Report { complete, ..self.ledger.report(self.context.clock.now()) };
        self.gauges.set(&report);
        self.last.send_replace(report.clone());
        report
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let mark = self.ledger.mark();
        let mut ends = Vec::new();
        for (stream, partition) in self.next.keys() {
            let (_, end) = self.reader.watermarks(stream.topic(), *partition).await?;
            ends.push(((*stream, *partition), end));
        }
        loop {
            ends.retain(|(place, end)| self.next.get(place).is_some_and(|next| next < end));
            if ends.is_empty() {
                break;
            }
            match tokio::time::timeout(QUIET, self.reader.next()).await {
                Ok(read) => self.take(read).await,
                Err(_) => self.pass_marks(&ends).await?,
            }
        }
        self.ledger.settle(mark);
        Ok(())
    }

    /// The marks of transactions take offsets and are no records: where nothing else is left, the end is reached.
    async fn pass_marks(&mut self, ends: &[((Stream, i32), i64)]) -> Result<(), Error> {
        for ((stream, partition), end) in ends {
            let Some(next) = self.next.get_mut(&(*stream, *partition)) else { continue };
            let left =
                read_to_end(&self.bus, Position::new(stream.topic(), *partition, *next), Isolation::ReadCommitted)
                    .await?;
            if left.is_empty() {
                *next = (*next).max(*end);
            }
        }
        Ok(())
    }

    async fn take(&mut self, read: Result<Vec<Record>, Error>) {
        match read {
            Ok(records) => records.iter().for_each(|record| self.fold(record)),
            Err(Error::OutOfRange { topic, partition, offset, low, .. }) => {
                let lost = u64::try_from(low - offset).unwrap_or_default();
                self.lost.add(&topic, lost);
                tracing::error!(
                    topic,
                    partition,
                    offset,
                    low,
                    lost,
                    "records were deleted before they were read; reading on after them"
                );
                if let Some(stream) = Stream::of(&topic) {
                    self.ledger.gap(stream, partition, offset, low, self.context.clock.now());
                    self.next.insert((stream, partition), low);
                }
                let _ = self.reader.unassign(&[(topic.clone(), partition)]).await;
                if let Err(error) = self.reader.assign_more(vec![Position::new(topic, partition, low)]).await {
                    self.watch.suspect(&error);
                }
            }
            Err(error) => {
                self.watch.suspect(&error);
                if error.is_fatal() {
                    self.reopen().await;
                }
            }
        }
    }

    /// A reader that is gone is replaced where it stood.
    async fn reopen(&mut self) {
        tokio::time::sleep(RETRY_PAUSE).await;
        let from = self.next.iter().map(|((stream, partition), next)| Position::new(stream.topic(), *partition, *next));
        match LogReader::open(&self.bus, from.collect(), Isolation::ReadCommitted) {
            Ok(reader) => self.reader = reader,
            Err(error) => self.watch.suspect(&error),
        }
    }

    fn fold(&mut self, record: &Record) {
        let Some(stream) = Stream::of(&record.topic) else { return };
        let place = Place { stream, partition: record.partition, offset: record.offset };
        let next = self.next.entry((stream, record.partition)).or_default();
        // A replaced reader may bring a record again.
        if record.offset < *next {
            return;
        }
        *next = record.offset + 1;
        self.ledger.fold(place, record.key.as_deref(), &record.value);
    }
}

/// Waits for the topics; their partitions.
async fn topics(bus: &BusConfig, watch: &BusWatch, condition: &Condition) -> Result<i32, RunError> {
    let admin = Admin::new(bus).map_err(|error| RunError::Config(error.to_string()))?;
    loop {
        let mut counts = BTreeMap::new();
        let mut failed = None;
        for stream in Stream::ALL {
            match admin.describe(stream.topic()).await {
                Ok(Some(state)) => {
                    counts.insert(stream.topic(), state.partitions);
                }
                Ok(None) => condition.missing(&format!("topic {} does not exist yet", stream.topic())),
                Err(error) => failed = Some(error),
            }
        }
        if let Some(error) = failed {
            watch.suspect(&error);
        }
        if let (Some(partitions), 4) = (counts.values().next().copied(), counts.len()) {
            if counts.values().all(|count| *count == partitions) {
                return Ok(partitions);
            }
            let text = format!("partition counts must be equal and are {counts:?}; make the topics by the topic step");
            return Err(RunError::Unavailable(text));
        }
        tokio::time::sleep(ROUND).await;
    }
}

type Opened = (LogReader, BTreeMap<(Stream, i32), i64>);

async fn open(bus: &BusConfig, partitions: i32) -> Result<Opened, Error> {
    let reader = LogReader::open(bus, Vec::new(), Isolation::ReadCommitted)?;
    let mut next = BTreeMap::new();
    for stream in Stream::ALL {
        for partition in 0..partitions {
            let (low, _) = reader.watermarks(stream.topic(), partition).await?;
            next.insert((stream, partition), low);
        }
    }
    let from = next.iter().map(|((stream, partition), low)| Position::new(stream.topic(), *partition, *low));
    reader.assign_more(from.collect()).await?;
    Ok((reader, next))
}

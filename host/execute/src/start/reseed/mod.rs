//! A person's cure for a lost journal: what this executor's state still knows is written back, under a fence of its
//! own. Run again it adds nothing; interrupted it continues; the state is then rebuilt from the journal.

mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use unrip_bus::{BusConfig, Isolation, LogReader, Outgoing, Position, Producer};
use unrip_core::event::journal::{JournalClaim, JournalFence, JournalOutcome, JournalSeed};
use unrip_core::topic;
use unrip_service::clock::Clock;
use unrip_service::{Context, Ids, RunError};

use self::plan::{Item, Planned, plan};
use crate::config::Config;
use crate::journal::records::Maker;
use crate::journal::writer::encode;
use crate::runtime::retry::{state_error, unavailable};
use crate::start::compare::Journal;
use crate::start::loss::{Log, LossFinding, compare};
use crate::start::topics as checks;
use crate::store::{Store, Writer};
use unrip_protocol::fold::{MemoryFold, apply};
use unrip_protocol::wire;

/// What a re-seed needs.
pub struct Reseed {
    pub bus: BusConfig,
    /// The state that still knows.
    pub store: Store,
    pub writer: Writer,
    /// Partitions of the journal.
    pub partitions: i32,
    pub executor_id: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Ids,
    /// Who wants it, and why.
    pub reason: String,
}

impl std::fmt::Debug for Reseed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reseed").finish_non_exhaustive()
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reseeded {
    pub claims: usize,
    pub outcomes: usize,
    /// Evidence and decisions.
    pub noted: usize,
    /// Ended and published commands, as seeds.
    pub seeds: usize,
    /// Commands of which the journal says something else; they stay as the journal has them.
    pub contradicted: usize,
}

impl fmt::Display for Reseeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claims, outcomes, noted, seeds, contradicted } = self;
        write!(
            f,
            "written back to the journal: {claims} claims, {outcomes} outcomes, {noted} pieces of evidence and decisions, \
             {seeds} ended commands; {contradicted} commands stay as the journal has them"
        )
    }
}

/// `unrip-execute --reseed-journal "WHO: WHY"`.
///
/// # Errors
/// The state is open elsewhere, the bus is away, or another executor works on the journal meanwhile.
#[allow(clippy::print_stdout, reason = "counts are for the person who asked for it")]
pub async fn run(config: Config, ctx: Context, reason: String) -> Result<(), RunError> {
    if reason.split_once(':').is_none_or(|(who, why)| who.trim().is_empty() || why.trim().is_empty()) {
        return Err(RunError::Config("--reseed-journal needs who wants it and why: \"WHO: WHY\"".to_owned()));
    }
    let store = Store::open(&config.execute.store_options()).map_err(state_error)?;
    let writer = Writer::start(store.clone(), drop).map_err(|error| RunError::Software(error.to_string()))?;
    let partitions = checks::check(&config.bus, config.execute.demands()).await?;
    let executor_id = config.execute.executor_id.clone();
    let (clock, ids) = (Arc::clone(&ctx.clock), ctx.ids.clone());
    let reseed = Reseed { bus: config.bus, store, writer, partitions, executor_id, clock, ids, reason };
    let reseeded = reseed.write().await?;
    println!("{reseeded}\nthe state is rebuilt from the journal at the next start");
    Ok(())
}

impl Reseed {
    /// Writes what the journal lacks, reads it back, and drops the folds that it came from.
    ///
    /// # Errors
    /// The bus is away, or another executor works on the journal meanwhile.
    pub async fn write(&self) -> Result<Reseeded, RunError> {
        let journal = Journal::look(&self.bus, &self.store, self.partitions).await?;
        let producer = Producer::new(&self.bus).map_err(unavailable)?;
        let is_fresh = journal.is_fresh(&self.bus).await?;
        let (mut done, mut gone) = (Reseeded::default(), Vec::new());
        for (partition, log) in &journal.logs {
            let fold = self.store.view(*partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
            let Some(fold) = fold else { continue };
            if compare(&fold, log, is_fresh) == LossFinding::Same {
                continue;
            }
            self.store.set_reseeding(Some(&self.reason)).map_err(state_error)?;
            self.partition(&producer, *partition, log, &mut done).await?;
            gone.push(*partition);
        }
        for partition in gone {
            self.writer.forget(partition).map_err(state_error)?;
        }
        self.store.set_reseeding(None).map_err(state_error)?;
        tracing::warn!(reason = self.reason, %done, "the journal was re-seeded");
        Ok(done)
    }

    async fn partition(
        &self,
        producer: &Producer,
        partition: i32,
        log: &Log,
        done: &mut Reseeded,
    ) -> Result<(), RunError> {
        let known = self.read(partition, log.low, log.high).await?;
        let planned = {
            let view = self.store.view(partition).map_err(state_error)?;
            plan(&view, &known, done)?
        };
        let venues: BTreeSet<String> = planned.iter().map(|one| one.venue.clone()).collect();
        let mut fences = BTreeMap::new();
        for venue in venues {
            fences.insert(venue.clone(), self.fence(producer, partition, log, &venue).await?);
        }
        let (mut deliveries, mut end) = (Vec::with_capacity(planned.len()), log.high);
        for one in &planned {
            let fence_offset = fences.get(&one.venue).copied().unwrap_or_default();
            let record = self.record(partition, one, fence_offset)?;
            deliveries.push(producer.enqueue(record).await.map_err(unavailable)?);
        }
        for delivery in deliveries {
            end = end.max(delivery.await.map_err(unavailable)?.offset + 1);
        }
        if planned.is_empty() {
            return Ok(());
        }
        let found = self.read(partition, log.low, end).await?;
        for one in &planned {
            if !one.is_in(&found) {
                return Err(RunError::State(format!(
                    "{}/{partition}: what was written back of {} has no effect: another executor works on this journal. \
                     Stop all executors and run it again; it continues where it stopped",
                    topic::JOURNAL,
                    one.id
                )));
            }
            match one.item {
                Item::Claim(_) => done.claims += 1,
                Item::Outcome(_) => done.outcomes += 1,
                Item::Evidence(_) | Item::Decision(_) => done.noted += 1,
                Item::Seed(_) => done.seeds += 1,
            }
        }
        Ok(())
    }

    /// What a piece of the journal means.
    async fn read(&self, partition: i32, low: i64, end: i64) -> Result<MemoryFold, RunError> {
        let mut fold = MemoryFold::default();
        if low >= end {
            return Ok(fold);
        }
        let from = vec![Position::new(topic::JOURNAL, partition, low)];
        let mut reader = LogReader::open(&self.bus, from, Isolation::ReadUncommitted).map_err(unavailable)?;
        loop {
            let records = match reader.next().await {
                Ok(records) => records,
                Err(error) if error.is_retriable() => continue,
                Err(error) => return Err(unavailable(error)),
            };
            for record in records {
                let next = record.offset + 1;
                // The fold in memory cannot fail.
                let Ok(_) = apply(&mut fold, &wire::read(record.offset, record.value).placed);
                if next >= end {
                    return Ok(fold);
                }
            }
        }
    }

    async fn fence(&self, producer: &Producer, partition: i32, log: &Log, venue: &str) -> Result<i64, RunError> {
        let now = self.clock.now();
        let fence = JournalFence {
            partition,
            partition_count: self.partitions,
            journal_id: log.journal_id.unwrap_or_default(),
            executor_id: format!("{} re-seeds for {}", self.executor_id, self.reason),
            incarnation: self.ids.uuid_v7(now),
        };
        let id = self.ids.uuid_v7(now);
        let record = self.maker(venue).journal(partition, "fence", id, None, fence, now).map_err(encode)?;
        Ok(producer.send(record).await.map_err(unavailable)?.offset)
    }

    fn maker(&self, venue: &str) -> Maker {
        let source = format!("unrip/execute/{}", self.executor_id);
        Maker { venue: venue.to_owned(), source, ids: self.ids.clone() }
    }

    fn record(&self, partition: i32, one: &Planned, fence_offset: i64) -> Result<Outgoing, RunError> {
        let now = self.clock.now();
        let (maker, key, id) = (self.maker(&one.venue), one.id.to_string(), self.ids.uuid_v7(now));
        let cause = one.cause.as_ref();
        match &one.item {
            Item::Claim(claim) => {
                let claim = JournalClaim { fence_offset, ..(**claim).clone() };
                maker.journal(partition, &key, id, cause, claim, now)
            }
            Item::Outcome(outcome) => {
                let outcome = JournalOutcome { fence_offset, ..(**outcome).clone() };
                maker.journal(partition, &key, id, cause, outcome, now)
            }
            Item::Seed(seed) => {
                let seed = JournalSeed { fence_offset, ..(**seed).clone() };
                maker.journal(partition, &key, id, cause, seed, now)
            }
            Item::Evidence(evidence) => maker.journal(partition, &key, id, cause, evidence.clone(), now),
            Item::Decision(decision) => maker.journal(partition, &key, id, cause, decision.clone(), now),
        }
        .map_err(encode)
    }
}

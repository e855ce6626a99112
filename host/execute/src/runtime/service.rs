//! The service: start in order, one loop, stop in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unrip_bus::{Admin, GroupConsumer, GroupEvent, Producer, RevokeGuard};
use unrip_core::{ModuleRef, Timestamp, Uuid, topic};
use unrip_service::metrics::{Counter, CounterBy, Gauge, Registry};
use unrip_service::{Condition, Context, RunError, module};

use super::gates::Gates;
use super::journal::{self, state, unavailable};
use super::records::Maker;
use super::slot::Slot;
use super::{INPUTS_WAITING_MAX, Input};
use crate::config::{Config, Scheme};
use crate::core::partition::{Effect, Event};
use crate::signer::{Nep413Signer, Signer, load_seed};
use crate::store::{FoldedRecord, Store, StoreOptions, Writer};
use crate::venue::{Desk, Heard, Link, LinkParts};

/// How often time is told to the protocol.
const TICK: Duration = Duration::from_millis(20);
/// Ticks between two commits of offsets (half a second) and between two sweeps (ten seconds).
const COMMIT_TICKS: u64 = 25;
const SWEEP_TICKS: u64 = 500;
/// Pause before the broker is asked again at start.
const START_RETRY: Duration = Duration::from_secs(1);

/// Everything that the loop holds.
pub(crate) struct Service {
    pub(super) config: Config,
    pub(super) ctx: Context,
    pub(super) incarnation: Uuid,
    pub(super) partitions: i32,
    /// The newest append time of the journal that was read: our clock never counts as earlier.
    pub(super) newest_append: Timestamp,
    pub(super) store: Store,
    pub(super) writer: Writer,
    pub(super) producer: Producer,
    pub(super) maker: Maker,
    pub(super) module: ModuleRef,
    pub(super) desk: Desk,
    pub(super) link: Link,
    pub(super) gates: Gates,
    pub(super) signers: Arc<[Arc<dyn Signer>]>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) slots: BTreeMap<i32, Slot>,
    pub(super) commits: BTreeMap<i32, i64>,
    pub(super) leaving: Vec<(Vec<i32>, Timestamp, RevokeGuard)>,
    pub(super) group: Option<GroupConsumer>,
    pub(super) rejoin: bool,
    pub(super) joined: Condition,
    pub(super) stop_publishers: CancellationToken,
    pub(super) metrics: Metrics,
}

/// What the executor counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(super) results: CounterBy,
    pub(super) skips: CounterBy,
    pub(super) statuses: CounterBy,
    pub(super) chatter: CounterBy,
    pub(super) fenced: Counter,
    open: Gauge,
    in_doubt: Gauge,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        Self {
            results: registry.counter_by("unrip_results", "Outcomes in the journal", "status"),
            skips: registry.counter_by("unrip_commands_skipped", "Command records passed over", "reason"),
            statuses: registry.counter_by("unrip_trade_statuses", "Facts that end nothing", "state"),
            chatter: registry.counter_by("unrip_venue_chatter", "Venue messages about no command", "kind"),
            fenced: registry.counter("unrip_fenced", "Times that a newer executor took a partition over"),
            open: registry.gauge("unrip_commands_open", "Commands in hand"),
            in_doubt: registry.gauge("unrip_commands_in_doubt", "Commands whose outcome is unknown"),
        }
    }
}

/// Runs the executor until it is told to stop.
///
/// # Errors
/// What it cannot go on without; the exit code says which kind.
pub async fn run(config: Config, ctx: Context) -> Result<(), RunError> {
    let (tell, mut inputs) = mpsc::channel(INPUTS_WAITING_MAX);
    let (hear, mut heard) = mpsc::channel(INPUTS_WAITING_MAX);
    let started = tokio::select! {
        () = ctx.shutdown.cancelled() => return Ok(()),
        started = start(config, ctx.clone(), tell, hear) => started,
    };
    let (mut service, ends) = started?;
    let folded = ctx.health.condition("journal", "reading the journal to its end");
    if !service.catch_up(&mut inputs, ends).await? {
        return Ok(());
    }
    folded.met();
    service.group = Some(service.join()?);
    service.work(&mut inputs, &mut heard).await?;
    service.stop(&mut inputs, &mut heard).await
}

async fn start(
    config: Config,
    ctx: Context,
    inputs: mpsc::Sender<Input>,
    hear: mpsc::Sender<Heard>,
) -> Result<(Service, Vec<(i32, i64)>), RunError> {
    let conditions = (ctx.health.condition("module", "loading"), ctx.health.condition("bus", "connecting"));
    let signers = signers(&config)?;
    let section = config.module.clone();
    let loaded = tokio::task::block_in_place(|| module::load(&section)?.executor())?;
    let module = loaded.module_ref().clone();
    let desk = Desk::start(loaded).map_err(|error| RunError::Software(error.to_string()))?;
    conditions.0.met();

    let options = StoreOptions { dir: config.execute.state_dir.to_path_buf(), map_bytes: config.execute.map_bytes };
    let store = Store::open(&options).map_err(state)?;
    let told = inputs.clone();
    let writer = Writer::start(store.clone(), move |folded| {
        // The loop is gone: so is whoever wants to know.
        let _ = told.blocking_send(Input::Folded(folded));
    })
    .map_err(|error| RunError::Software(error.to_string()))?;

    let partitions = check_topics(&config).await?;
    let begun = journal::begin(&config.bus, &store, &writer, partitions).await?;
    let gates = Gates::default();
    gates.follow(&config.bus).await?;
    let producer = Producer::new(&config.bus).map_err(unavailable)?;
    conditions.1.met();

    let link = Link::open(
        LinkParts {
            desk: desk.clone(),
            endpoints: &config.endpoints,
            granted_http: &config.module.grants.http,
            slots: &config.credentials,
            granted_credentials: &config.module.grants.credential,
            clock: Arc::clone(&ctx.clock),
            ids: ctx.ids.clone(),
            connected: ctx.health.condition("venue", "connecting"),
            shutdown: CancellationToken::new(),
        },
        hear,
    )
    .await?;

    let (bus, from, tail_writer, failed) = (config.bus.clone(), begun.from, writer.clone(), inputs.clone());
    tokio::spawn(async move {
        let error = journal::tail(bus, from, tail_writer).await;
        let _ = failed.send(Input::Failed(error)).await;
    });
    let maker = Maker {
        venue: config.service.venue.clone(),
        source: format!("unrip/execute/{}", config.execute.executor_id),
        ids: ctx.ids.clone(),
    };
    let service = Service {
        incarnation: ctx.ids.uuid_v7(ctx.clock.now()),
        joined: ctx.health.condition("partitions", "waiting for an assignment"),
        metrics: Metrics::new(&ctx.metrics),
        stop_publishers: CancellationToken::new(),
        slots: BTreeMap::new(),
        commits: BTreeMap::new(),
        leaving: Vec::new(),
        group: None,
        rejoin: false,
        config,
        ctx,
        partitions,
        newest_append: Timestamp::default(),
        store,
        writer,
        producer,
        maker,
        module,
        desk,
        link,
        gates,
        signers: signers.into(),
        inputs,
    };
    Ok((service, begun.ends))
}

fn signers(config: &Config) -> Result<Vec<Arc<dyn Signer>>, RunError> {
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for (key_id, section) in &config.signer {
        match section.scheme {
            Scheme::Nep413 => {
                let granted = config.module.grants.signing.iter().any(|scheme| scheme == "nep413");
                if !granted {
                    return Err(RunError::Config(format!("signer.{key_id}: module.grants.signing lacks \"nep413\"")));
                }
                let seed = load_seed(&section.key_file)
                    .map_err(|error| RunError::Config(format!("signer.{key_id}.key_file: {error}")))?;
                signers.push(Arc::new(Nep413Signer::new(key_id, &section.account, &section.recipient, &seed)));
            }
        }
    }
    Ok(signers)
}

/// Waits for the broker and compares the topics that must agree.
async fn check_topics(config: &Config) -> Result<i32, RunError> {
    let admin = Admin::new(&config.bus).map_err(unavailable)?;
    let mut counts = Vec::new();
    for name in [topic::EXECUTE_TRADE, topic::JOURNAL, topic::TRADE_RESULT, topic::TRADE_STATUS] {
        let found = loop {
            match admin.describe(name).await {
                Ok(found) => break found,
                Err(error) if error.is_retriable() => {
                    tracing::warn!(%error, "the broker is away; trying again");
                    tokio::time::sleep(START_RETRY).await;
                }
                Err(error) => return Err(unavailable(error)),
            }
        };
        let Some(found) = found else {
            return Err(RunError::Unavailable(format!("topic {name} does not exist; run `unrip topics ensure`")));
        };
        if name == topic::JOURNAL {
            check_journal(config, &found.settings)?;
        }
        counts.push((name, found.partitions));
    }
    match counts.first() {
        Some((_, partitions)) if counts.iter().all(|(_, other)| other == partitions) => Ok(*partitions),
        _ => Err(RunError::Config(format!(
            "partition counts differ: {counts:?}; results and journal lie in their command's partition. Make the topics anew"
        ))),
    }
}

fn check_journal(config: &Config, settings: &BTreeMap<String, String>) -> Result<(), RunError> {
    let stamps = settings.get("message.timestamp.type").map(String::as_str);
    if stamps == Some("LogAppendTime") {
        return Ok(());
    }
    let found = stamps.unwrap_or("not told by this broker");
    if config.execute.production {
        return Err(RunError::Config(format!(
            "{}: message.timestamp.type is {found}; production needs LogAppendTime: the floor moves by append times only",
            topic::JOURNAL
        )));
    }
    tracing::warn!(found, "the journal has no LogAppendTime: its times are the producer's (development only)");
    Ok(())
}

impl Service {
    /// Folds the journal up to where it ended at start. False if the service is to stop.
    async fn catch_up(&mut self, inputs: &mut mpsc::Receiver<Input>, ends: Vec<(i32, i64)>) -> Result<bool, RunError> {
        let mut missing = BTreeMap::new();
        for (partition, end) in ends {
            let next = self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state)?;
            if next.map_or(0, |checkpoint| checkpoint.next_offset) < end {
                missing.insert(partition, end);
            }
        }
        let shutdown = self.ctx.shutdown.clone();
        while !missing.is_empty() {
            let input = tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                input = inputs.recv() => input,
            };
            match input {
                Some(Input::Folded(Ok(records))) => {
                    for record in records {
                        if missing.get(&record.partition).is_some_and(|end| record.placed.offset + 1 >= *end) {
                            missing.remove(&record.partition);
                        }
                    }
                }
                Some(other) => self.input(other).await?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn work(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        heard: &mut mpsc::Receiver<Heard>,
    ) -> Result<(), RunError> {
        let shutdown = self.ctx.shutdown.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ticks = 0u64;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(input) = inputs.recv() => self.input(input).await?,
                Some(heard) = heard.recv() => self.heard(heard).await?,
                event = next_event(&mut self.group) => self.grouped(event).await?,
                _ = tick.tick() => {
                    ticks += 1;
                    self.tick(ticks).await?;
                }
            }
        }
    }

    async fn tick(&mut self, ticks: u64) -> Result<(), RunError> {
        if let Some(error) = self.producer.fatal() {
            return Err(RunError::Unavailable(format!("the producer cannot go on: {error}")));
        }
        for partition in self.slots.keys().copied().collect::<Vec<_>>() {
            self.step(partition, Event::Tick).await?;
        }
        self.let_go().await?;
        self.hold_back();
        if self.rejoin {
            self.rejoin = false;
            self.leave().await;
            let partitions: Vec<i32> = self.slots.keys().copied().collect();
            for partition in &partitions {
                self.step(*partition, Event::Lost).await?;
            }
            self.release(&partitions);
            self.group = Some(self.join()?);
        }
        if ticks.is_multiple_of(COMMIT_TICKS) {
            self.commit().await;
            self.metrics.open.set(self.slots.values().map(|slot| slot.core.open_count() as i64).sum());
            self.metrics.in_doubt.set(self.slots.values().map(|slot| slot.core.doubt_count() as i64).sum());
        }
        if ticks.is_multiple_of(SWEEP_TICKS) {
            let now = self.now();
            self.slots.values_mut().for_each(|slot| slot.sweep(now));
            let slots = &self.slots;
            self.link.forget_unless(|awaited| {
                let held = slots.get(&awaited.partition).and_then(|slot| slot.held.get(&awaited.id));
                held.is_some_and(|held| held.ended.is_none())
            });
        }
        Ok(())
    }

    pub(super) async fn input(&mut self, input: Input) -> Result<(), RunError> {
        match input {
            Input::Folded(records) => {
                for FoldedRecord { partition, appended_at, placed, applied } in records.map_err(state)? {
                    self.newest_append = self.newest_append.max(appended_at);
                    self.step(partition, Event::Folded { placed, applied, appended_at }).await?;
                }
                Ok(())
            }
            Input::Prepared { partition, id, action, preparation } => {
                self.keep_prepared(partition, &id, action);
                self.step(partition, Event::Prepared(id, preparation)).await
            }
            Input::Sent { partition, id, outcome } => {
                self.step(partition, Event::SendEnded(id, outcome.end)).await?;
                if outcome.answer_lost {
                    self.step(partition, Event::AnswerLost(id)).await?;
                }
                Ok(())
            }
            Input::Resolved { partition, id, resolution } => {
                self.step(partition, Event::Resolved(id, resolution)).await
            }
            Input::Failed(error) => Err(error),
        }
    }

    /// Steps one partition and does what it wants done.
    pub(super) async fn step(&mut self, partition: i32, event: Event) -> Result<(), RunError> {
        let now = self.now();
        let effects = self.decide(partition, event, now)?;
        self.perform_all(partition, effects, now).await
    }

    /// Steps one partition; the gate follows its phase at once.
    pub(super) fn decide(&mut self, partition: i32, event: Event, now: Timestamp) -> Result<Vec<Effect>, RunError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(Vec::new()) };
        let view = self.store.view(partition).map_err(state)?;
        let effects = slot.core.step(&view, event, now).map_err(state)?;
        self.gates.set_active(partition, slot.core.is_active());
        Ok(effects)
    }

    pub(super) async fn perform_all(
        &mut self,
        partition: i32,
        effects: Vec<Effect>,
        now: Timestamp,
    ) -> Result<(), RunError> {
        for effect in effects {
            // Boxed: an effect may begin reading, which is deep.
            Box::pin(self.perform(partition, effect, now)).await?;
        }
        Ok(())
    }

    /// Finishes what is in flight or leaves it in doubt, publishes, commits, leaves.
    async fn stop(
        mut self,
        inputs: &mut mpsc::Receiver<Input>,
        heard: &mut mpsc::Receiver<Heard>,
    ) -> Result<(), RunError> {
        tracing::info!("draining");
        let partitions: Vec<i32> = self.slots.keys().copied().collect();
        for partition in &partitions {
            self.step(*partition, Event::Revoked).await?;
        }
        let drain = Duration::from_millis(self.config.execute.drain_timeout_ms);
        let deadline = tokio::time::Instant::now() + drain;
        let mut tick = tokio::time::interval(TICK);
        while !(self.drained(&partitions) && self.is_published(&partitions)?) {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!("the drain took too long: the rest is left in doubt for the next owner");
                    break;
                }
                Some(input) = inputs.recv() => self.input(input).await?,
                Some(heard) = heard.recv() => self.heard(heard).await?,
                _ = tick.tick() => {
                    for partition in &partitions {
                        self.step(*partition, Event::Tick).await?;
                    }
                }
            }
        }
        self.commit().await;
        self.stop_publishers.cancel();
        self.leave().await;
        self.producer.flush(drain).await.map_err(unavailable)
    }

    fn is_published(&self, partitions: &[i32]) -> Result<bool, RunError> {
        for partition in partitions {
            let ours = self.slots.get(partition).is_some_and(|slot| slot.publisher.is_some());
            if ours && !self.store.view(*partition).and_then(|view| view.unpublished()).map_err(state)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn leave(&mut self) {
        let Some(group) = self.group.take() else { return };
        if tokio::time::timeout(LEAVE_WAIT, group.leave()).await.is_err() {
            tracing::warn!("leaving the group takes too long; the broker will notice");
        }
    }
}

/// How long leaving the group may take.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

async fn next_event(group: &mut Option<GroupConsumer>) -> GroupEvent {
    match group {
        Some(group) => group.next().await,
        None => std::future::pending().await,
    }
}

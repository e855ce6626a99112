//! The loop: one task steps every partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use unrip_bus::{GroupConsumer, GroupEvent, Producer, RevokeGuard};
use unrip_core::{CommandId, ModuleRef, Timestamp, Uuid};
use unrip_service::run::restart_in_place;
use unrip_service::{Condition, Context, RunError};

use crate::config::Config;
use crate::journal::records::Maker;
use crate::journal::tail::state;
use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::gates::Gates;
use crate::runtime::metrics::Metrics;
use crate::runtime::partition::Slot;
use crate::signer::Signer;
use crate::store::{FoldedRecord, Store, Writer};
use crate::venue::{Desk, Heard, Link};
use unrip_protocol::clock::ClockSense;
use unrip_protocol::limits::Limits;
use unrip_protocol::partition::{Effect, Event, SendEnd};

/// How often time is told to the protocol.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// Ticks between two commits of offsets (half a second) and between two sweeps (ten seconds).
const COMMIT_TICKS: u64 = 25;
const SWEEP_TICKS: u64 = 500;

/// Everything that the loop holds.
pub(crate) struct Service {
    pub(crate) config: Config,
    pub(crate) ctx: Context,
    pub(crate) incarnation: Uuid,
    pub(crate) partitions: i32,
    /// The newest append time of the journal that was read: our clock never counts as earlier.
    pub(crate) newest_append: Timestamp,
    pub(crate) clock: ClockSense,
    /// The process's beginning, to count from.
    pub(crate) began: Instant,
    pub(crate) limits: Limits,
    /// Turns to ask the venue.
    pub(crate) rounds: Arc<Semaphore>,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) producer: Producer,
    pub(crate) maker: Maker,
    pub(crate) module: ModuleRef,
    pub(crate) desk: Desk,
    pub(crate) link: Link,
    pub(crate) gates: Gates,
    pub(crate) signers: Arc<[Arc<dyn Signer>]>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) slots: BTreeMap<i32, Slot>,
    pub(crate) commits: BTreeMap<i32, i64>,
    pub(crate) leaving: Vec<(Vec<i32>, Timestamp, RevokeGuard)>,
    pub(crate) group: Option<GroupConsumer>,
    pub(crate) rejoin: bool,
    pub(crate) joined: Condition,
    pub(crate) stop_publishers: CancellationToken,
    pub(crate) metrics: Metrics,
}

impl Service {
    /// Folds the journal up to where it ended at start. False if the service is to stop.
    pub(crate) async fn catch_up(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        ends: Vec<(i32, i64)>,
    ) -> Result<bool, RunError> {
        let mut missing = BTreeMap::new();
        for (partition, end) in ends {
            let next = self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state)?;
            if next.map_or(0, |checkpoint| checkpoint.next_offset) < end {
                missing.insert(partition, end);
            }
        }
        let shutdown = self.ctx.shutdown.clone();
        let mut folded = 0;
        while !missing.is_empty() {
            let input = tokio::select! {
                () = shutdown.cancelled() => return Ok(false),
                input = inputs.recv() => input,
            };
            match input {
                Some(Input::Folded(Ok(records))) => {
                    folded += records.len();
                    for record in records {
                        if missing.get(&record.partition).is_some_and(|end| record.placed.offset + 1 >= *end) {
                            missing.remove(&record.partition);
                        }
                    }
                }
                Some(other) => self.input(other)?,
                None => return Ok(false),
            }
        }
        let seconds = self.began.elapsed().as_secs_f64();
        tracing::info!(records = folded, seconds, "journal folded");
        Ok(true)
    }

    pub(crate) async fn work(
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
                Some(input) = inputs.recv() => self.input(input)?,
                Some(heard) = heard.recv() => self.heard(heard)?,
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
        let counter = i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        if let Some(step_ms) = self.clock.tick(self.ctx.clock.now(), counter) {
            // librdkafka waits by the clock: after a step its timers stand still or all fire. What was sent is in doubt
            // then, as after a crash.
            return Err(restart_in_place(&format!("the clock stepped by {step_ms} ms")));
        }
        for partition in self.slots.keys().copied().collect::<Vec<_>>() {
            self.step(partition, Event::Tick)?;
        }
        self.let_go().await?;
        self.hold_back();
        if self.rejoin {
            self.rejoin = false;
            reach(Point::RejoinBefore);
            self.leave().await;
            let partitions: Vec<i32> = self.slots.keys().copied().collect();
            for partition in &partitions {
                self.step(*partition, Event::Lost)?;
            }
            self.release(&partitions);
            self.group = Some(self.join()?);
        }
        if ticks.is_multiple_of(COMMIT_TICKS) {
            self.commit().await;
            self.follow_due();
            self.metrics.open.set(self.slots.values().map(|slot| slot.core.open_count() as i64).sum());
            self.metrics.in_doubt.set(self.slots.values().map(|slot| slot.core.doubt_count() as i64).sum());
        }
        if ticks.is_multiple_of(SWEEP_TICKS) {
            let now = self.now();
            let limits = &self.limits;
            self.slots.values_mut().for_each(|slot| slot.sweep(limits, now));
            let slots = &self.slots;
            self.link.forget_unless(|awaited| {
                slots.get(&awaited.partition).is_some_and(|slot| slot.core.holds(&awaited.id))
            });
        }
        Ok(())
    }

    /// The time that counts: never earlier than the newest append that was read.
    pub(crate) fn now(&self) -> Timestamp {
        self.ctx.clock.now().max(self.newest_append)
    }

    pub(crate) fn input(&mut self, input: Input) -> Result<(), RunError> {
        match input {
            Input::Folded(records) => {
                for record in records.map_err(state)? {
                    self.folded(record)?;
                }
                Ok(())
            }
            Input::Prepared { partition, id, action, preparation } => {
                reach(Point::PrepareAfter);
                let preparation = self.admit(partition, id, action, preparation);
                self.step(partition, Event::Prepared(id, preparation))
            }
            Input::Sent { partition, id, outcome } => {
                self.note_sent(partition, &id, outcome.end);
                self.step(partition, Event::SendEnded(id, outcome.end))?;
                if outcome.answer_lost {
                    self.step(partition, Event::AnswerLost(id))?;
                }
                Ok(())
            }
            Input::Resolved { partition, id, resolution } => self.step(partition, Event::Resolved(id, resolution)),
            Input::Followed { partition, id, resolution } => self.followed(partition, id, resolution),
            Input::Failed(error) => Err(error),
        }
    }

    fn folded(&mut self, record: FoldedRecord) -> Result<(), RunError> {
        let FoldedRecord { partition, appended_at, placed, applied } = record;
        let written = self.slots.get_mut(&partition).and_then(|slot| slot.written.came_back(&placed));
        if let Some(written) = written {
            self.clock.measured(written.at, appended_at, self.ctx.clock.now());
            self.metrics.came_back(&placed.fact, written.elapsed_s());
        }
        self.newest_append = self.newest_append.max(appended_at);
        self.tell_time();
        self.step(partition, Event::Folded { placed, applied, appended_at })
    }

    fn note_sent(&self, partition: i32, id: &CommandId, end: SendEnd) {
        let held = self.slots.get(&partition).and_then(|slot| slot.held.get(id));
        if let (SendEnd::Handed, Some(held)) = (end, held) {
            self.metrics.handed.observe(held.taken_up.elapsed().as_secs_f64());
        }
    }

    /// Tells the gates the time that counts, and whether the clock is in doubt.
    pub(crate) fn tell_time(&self) {
        if self.gates.set_clock(self.clock.doubt().is_some(), self.newest_append) {
            match self.clock.doubt() {
                Some(doubt) => tracing::error!(doubt, "the clock is in doubt: nothing is sent"),
                None => tracing::info!("the clock agrees with the broker's again"),
            }
        }
    }

    /// Steps one partition and does what it wants done.
    pub(crate) fn step(&mut self, partition: i32, event: Event) -> Result<(), RunError> {
        let now = self.now();
        let effects = self.decide(partition, event, now)?;
        self.perform_all(partition, effects, now)
    }

    /// Steps one partition; the gate follows its phase at once.
    pub(crate) fn decide(&mut self, partition: i32, event: Event, now: Timestamp) -> Result<Vec<Effect>, RunError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(Vec::new()) };
        let view = self.store.view(partition).map_err(state)?;
        let before = slot.core.may_dispatch();
        let effects = slot.core.step(&view, event, now).map_err(state)?;
        let may_dispatch = slot.core.may_dispatch();
        if may_dispatch != before {
            self.gates.set_active(partition, may_dispatch);
        }
        Ok(effects)
    }

    pub(crate) fn perform_all(&mut self, partition: i32, effects: Vec<Effect>, now: Timestamp) -> Result<(), RunError> {
        for effect in effects {
            self.perform(partition, effect, now)?;
        }
        Ok(())
    }
}

async fn next_event(group: &mut Option<GroupConsumer>) -> GroupEvent {
    match group {
        Some(group) => group.next().await,
        None => std::future::pending().await,
    }
}

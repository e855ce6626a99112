//! The loop: one task steps every partition.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use unrip_core::{CommandId, Timestamp};
use unrip_protocol::limits::Limits;
use unrip_protocol::partition::{Effect, Event, SendEnd};
use unrip_service::run::restart_in_place;
use unrip_service::{Context, RunError};

use crate::command::prepare::admit;
use crate::config::Config;
use crate::journal::writer::JournalWriter;
use crate::points::{Point, reach};
use crate::results::publishers::Publishers;
use crate::runtime::gates::Gates;
use crate::runtime::membership::Membership;
use crate::runtime::metrics::Metrics;
use crate::runtime::partition::PartitionState;
use crate::runtime::retry::state_error;
use crate::runtime::time::Time;
use crate::runtime::{Input, Performed};
use crate::store::{FoldedRecord, Store};
use crate::venue::{VenueEvent, VenueSide};

/// Interval between `Event::Tick`s.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// Ticks between two commits of offsets (half a second) and between two sweeps (ten seconds).
const COMMIT_TICKS: u64 = 25;
const SWEEP_TICKS: u64 = 500;
/// Executed commands of one partition that are asked about at a time.
const FOLLOW_AT_ONCE_MAX: usize = 16;

/// Everything that the loop holds, each part with an owner.
pub(crate) struct Executor {
    pub(crate) config: Config,
    pub(crate) ctx: Context,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) time: Time,
    pub(crate) gates: Gates,
    pub(crate) store: Store,
    pub(crate) journal: JournalWriter,
    pub(crate) venue: VenueSide,
    pub(crate) publishers: Publishers,
    pub(crate) membership: Membership,
    pub(crate) partitions: BTreeMap<i32, PartitionState>,
}

impl Executor {
    /// Folds the journal up to where it ended at start. False if the service is to stop.
    pub(crate) async fn catch_up(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        ends: Vec<(i32, i64)>,
    ) -> Result<bool, RunError> {
        let mut missing = BTreeMap::new();
        for (partition, end) in ends {
            let next = self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
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
        let seconds = self.time.elapsed().as_secs_f64();
        tracing::info!(records = folded, seconds, "journal folded");
        Ok(true)
    }

    pub(crate) async fn work(
        &mut self,
        inputs: &mut mpsc::Receiver<Input>,
        heard: &mut mpsc::Receiver<VenueEvent>,
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
                event = self.membership.next() => self.grouped(event).await?,
                _ = tick.tick() => {
                    ticks += 1;
                    self.tick(ticks).await?;
                }
            }
        }
    }

    async fn tick(&mut self, ticks: u64) -> Result<(), RunError> {
        self.journal.check()?;
        if let Some(step_ms) = self.time.stepped() {
            // librdkafka waits by the clock: after a step its timers stand still or all fire. What was sent is in doubt
            // then, as after a crash.
            return Err(restart_in_place(&format!("the clock stepped by {step_ms} ms")));
        }
        for partition in self.partitions.keys().copied().collect::<Vec<_>>() {
            self.step(partition, Event::Tick)?;
        }
        self.let_go().await?;
        self.hold_back();
        self.rejoin().await?;
        if ticks.is_multiple_of(COMMIT_TICKS) {
            self.membership.commit().await;
            self.follow_due();
            self.metrics.measure(self.partitions.values().map(|state| &state.core));
        }
        if ticks.is_multiple_of(SWEEP_TICKS) {
            let (now, limits) = (self.time.now(), &self.limits);
            self.partitions.values_mut().for_each(|state| state.sweep(limits, now));
            let partitions = &self.partitions;
            self.venue
                .forget_unless(|partition, id| partitions.get(&partition).is_some_and(|state| state.core.holds(id)));
        }
        Ok(())
    }

    /// Asks about executed commands whose deadline has passed without news.
    fn follow_due(&mut self) {
        let now = self.time.now();
        for (partition, state) in self.partitions.iter_mut().filter(|(_, state)| state.core.is_active()) {
            for id in state.index.take_due(now, FOLLOW_AT_ONCE_MAX) {
                if self.venue.follow(*partition, id, state.commands.get(&id)) == Performed::Stale {
                    self.metrics.stale_effects.inc();
                }
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input) -> Result<(), RunError> {
        match input {
            Input::Folded(records) => {
                for record in records.map_err(state_error)? {
                    self.folded(record)?;
                }
                Ok(())
            }
            Input::Prepared { partition, id, prepared } => {
                reach(Point::PrepareAfter);
                let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
                let preparation = admit(state, id, prepared, &self.limits, self.venue.facts(), self.time.now());
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
            Input::Followed { partition, id, resolved } => self.followed(partition, id, resolved),
            Input::Failed(error) => Err(error),
        }
    }

    fn folded(&mut self, record: FoldedRecord) -> Result<(), RunError> {
        let FoldedRecord { partition, appended_at, placed, applied } = record;
        let written = self.partitions.get_mut(&partition).and_then(|state| state.came_back(&placed));
        if let Some(written) = written {
            self.metrics.came_back(&placed.fact, written.elapsed_s());
        }
        self.time.appended(written, appended_at);
        self.gates.heed(&self.time);
        self.step(partition, Event::Folded { placed, applied, appended_at })
    }

    fn note_sent(&self, partition: i32, id: &CommandId, end: SendEnd) {
        let command = self.partitions.get(&partition).and_then(|state| state.commands.get(id));
        if let (SendEnd::Handed, Some(command)) = (end, command) {
            self.metrics.handed.observe(command.taken_up.elapsed().as_secs_f64());
        }
    }

    /// Steps one partition and does what it wants done.
    pub(crate) fn step(&mut self, partition: i32, event: Event) -> Result<(), RunError> {
        let now = self.time.now();
        let effects = self.decide(partition, event, now)?;
        self.perform_all(partition, effects, now)
    }

    /// Steps one partition; the gate follows its phase at once.
    pub(crate) fn decide(&mut self, partition: i32, event: Event, now: Timestamp) -> Result<Vec<Effect>, RunError> {
        // Every executor folds all partitions; those that it never owned have no state here.
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(Vec::new()) };
        let view = self.store.view(partition).map_err(state_error)?;
        let before = state.core.may_dispatch();
        let effects = state.core.step(&view, event, now).map_err(state_error)?;
        let may_dispatch = state.core.may_dispatch();
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

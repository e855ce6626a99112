//! The command topic's partitions as they come and go.

use std::time::Duration;

use unrip_bus::{GroupConsumer, GroupEvent, GroupOptions, Isolation, Start};
use unrip_core::envelope::AnyEnvelope;
use unrip_core::{Timestamp, topic};
use unrip_service::RunError;

use crate::journal::tail::{patiently, record_at, state, unavailable};
use crate::points::{Point, reach};
use crate::runtime::effects::group;
use crate::runtime::executor::Service;
use crate::runtime::partition::Slot;
use unrip_protocol::partition::{Assignment, Event, Partition};

/// Commands in one batch.
const BATCH_RECORDS_MAX: usize = 64;

impl Service {
    pub(crate) fn join(&self) -> Result<GroupConsumer, RunError> {
        let mut options = GroupOptions::new(group(&self.maker.venue), vec![topic::EXECUTE_TRADE.to_owned()]);
        // Nothing is read before the fence is: the loop seeks and resumes.
        options.start = Start::Held;
        options.isolation = Isolation::ReadCommitted;
        options.batch_records_max = BATCH_RECORDS_MAX;
        options.session_timeout_ms = self.config.execute.session_timeout_ms;
        options.revoke_wait_ms_max = self.config.execute.drain_timeout_ms;
        GroupConsumer::join(&self.config.bus, options).map_err(unavailable)
    }

    /// Takes an event of the group.
    pub(crate) async fn grouped(&mut self, event: GroupEvent) -> Result<(), RunError> {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.joined.met();
                for (_, partition) in partitions {
                    self.assigned(partition).await?;
                }
                Ok(())
            }
            GroupEvent::Revoked { partitions, lost, guard } => {
                let numbers: Vec<i32> = partitions.iter().map(|(_, partition)| *partition).collect();
                tracing::info!(?numbers, lost, "partitions are taken away");
                reach(if lost { Point::Lost } else { Point::Revoked });
                let event = if lost { Event::Lost } else { Event::Revoked };
                for partition in &numbers {
                    self.step(*partition, event.clone())?;
                }
                if lost {
                    self.release(&numbers);
                } else {
                    let until =
                        self.now().plus_millis(i64::try_from(self.config.execute.drain_timeout_ms).unwrap_or(0));
                    self.leaving.push((numbers, until, guard));
                }
                Ok(())
            }
            GroupEvent::Records(records) => {
                for record in records {
                    self.command(record)?;
                }
                self.hold_back();
                Ok(())
            }
            GroupEvent::Gap { topic, partition, from, to } => {
                tracing::error!(topic, partition, from, to, "commands were removed before they were read");
                Ok(())
            }
            GroupEvent::Failed(error) if error.is_fatal() => Err(unavailable(error)),
            GroupEvent::Failed(error) => {
                tracing::warn!(%error, "the group reports");
                Ok(())
            }
        }
    }

    async fn assigned(&mut self, partition: i32) -> Result<(), RunError> {
        reach(Point::Assigned);
        let assignment = self.assignment(partition).await?;
        tracing::info!(partition, next_offset = assignment.next_offset, "partition assigned: fencing");
        if assignment.earlier_life {
            tracing::warn!(
                partition,
                "commands of a life before this journal: dispatch waits until their answers have expired"
            );
        }
        let (bounds, timing) = (self.config.execute.bounds(), self.config.execute.timing());
        let venue = self.maker.venue.clone();
        let slot = self.slots.entry(partition).or_insert_with(|| Slot::new(Partition::new(&venue, bounds, timing)));
        slot.next_offset = assignment.next_offset;
        slot.dead.clear();
        self.step(partition, Event::Assigned(assignment))
    }

    async fn assignment(&self, partition: i32) -> Result<Assignment, RunError> {
        let name = topic::EXECUTE_TRADE;
        let Some(group) = &self.group else { return Err(RunError::Software("assigned without a group".to_owned())) };
        let (low, high) = patiently("command watermarks", || group.watermarks(name, partition)).await?;
        let wanted = [(name.to_owned(), partition)];
        let committed = patiently("committed offset", || group.committed(&wanted)).await?;
        let committed = committed.into_iter().find_map(|(_, offset)| offset);
        let checkpoint =
            self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state)?.unwrap_or_default();
        let oldest = if high > low { record_at(&self.config.bus, name, partition, low).await? } else { None };
        let skew = self.config.execute.clock_skew_ms_max;
        let made = oldest.map(|record| match AnyEnvelope::read(&record.value) {
            Ok(envelope) => envelope.observed_at,
            Err(_) => Timestamp::from_millis(record.timestamp.millis().unwrap_or_default()),
        });
        Ok(Assignment {
            fence_event_id: self.ctx.ids.uuid_v7(self.now()),
            next_offset: committed.unwrap_or(low).max(low),
            floor: checkpoint.floor,
            first_fence_at: checkpoint.first_fence_at,
            earlier_life: made.is_some_and(|made| made.plus_millis(skew) < checkpoint.floor),
        })
    }

    /// Begins to read commands. The loop does not wait for it: a revocation that waits for the loop holds up the answer.
    pub(crate) fn start_reading(&self, partition: i32, next: i64) {
        let Some(group) = &self.group else { return };
        let begun = group.begin_at(topic::EXECUTE_TRADE, partition, next);
        tokio::spawn(async move {
            if let Err(error) = begun.await {
                // Taken away meanwhile: whoever has it now reads it.
                tracing::info!(partition, next, %error, "does not begin to read");
            }
        });
    }

    /// Holds reading of partitions with too many commands in hand, and lets it go on later.
    pub(crate) fn hold_back(&mut self) {
        let Some(group) = &self.group else { return };
        let max = self.config.execute.commands_open_max;
        for (partition, slot) in &mut self.slots {
            let topic = (topic::EXECUTE_TRADE.to_owned(), *partition);
            if !slot.paused && slot.core.open_count() >= max {
                group.pause(&[topic]);
                slot.paused = true;
            } else if slot.paused && slot.core.is_active() && slot.core.open_count() <= max / 2 {
                group.resume(&[topic]);
                slot.paused = false;
            }
        }
    }

    /// Lets partitions go whose drain is done or has taken too long.
    pub(crate) async fn let_go(&mut self) -> Result<(), RunError> {
        let now = self.now();
        let mut waiting = Vec::new();
        for (partitions, until, guard) in std::mem::take(&mut self.leaving) {
            if now < until && !self.drained(&partitions) {
                waiting.push((partitions, until, guard));
                continue;
            }
            reach(Point::Released);
            self.commit().await;
            for partition in &partitions {
                self.step(*partition, Event::Lost)?;
            }
            self.release(&partitions);
            drop(guard);
        }
        self.leaving = waiting;
        Ok(())
    }

    pub(crate) fn drained(&self, partitions: &[i32]) -> bool {
        partitions.iter().filter_map(|partition| self.slots.get(partition)).all(|slot| slot.core.is_drained())
    }

    pub(crate) fn release(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.commits.remove(partition);
            if let Some(slot) = self.slots.get_mut(partition) {
                slot.publisher = None;
            }
        }
    }

    /// Commits what the journal holds. A failure loses nothing: the records are read again.
    pub(crate) async fn commit(&mut self) {
        let offsets: Vec<_> = std::mem::take(&mut self.commits)
            .into_iter()
            .map(|(partition, offset)| (topic::EXECUTE_TRADE.to_owned(), partition, offset))
            .collect();
        let Some(group) = self.group.as_ref().filter(|_| !offsets.is_empty()) else { return };
        let again = offsets.clone();
        reach(Point::OffsetsCommitBefore);
        match tokio::time::timeout(COMMIT_WAIT, group.commit(offsets)).await {
            Ok(Ok(())) => reach(Point::OffsetsCommitAfter),
            Ok(Err(error)) if error.is_retriable() => {
                tracing::warn!(%error, "offsets not committed yet");
                for (_, partition, offset) in again {
                    self.commits.entry(partition).or_insert(offset);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "offsets not committed"),
            Err(_) => tracing::warn!("committing offsets takes too long"),
        }
    }
}

/// How long a commit may hold the loop.
const COMMIT_WAIT: Duration = Duration::from_secs(2);

//! The command topic's partitions as the group assigns and revokes them.

use unrip_bus::{GroupEvent, RevokeGuard};
use unrip_core::envelope::AnyEnvelope;
use unrip_core::{Timestamp, topic};
use unrip_protocol::partition::{Assignment, Event, Partition};
use unrip_service::RunError;

use crate::points::{Point, reach};
use crate::runtime::executor::Executor;
use crate::runtime::partition::PartitionState;
use crate::runtime::retry::{patiently, record_at, state_error, unavailable};

impl Executor {
    /// Takes an event of the group.
    pub(crate) async fn grouped(&mut self, event: GroupEvent) -> Result<(), RunError> {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.membership.joined();
                for (_, partition) in partitions {
                    self.assigned(partition).await?;
                }
                Ok(())
            }
            GroupEvent::Revoked { partitions, lost, guard } => {
                self.revoked(partitions.iter().map(|(_, partition)| *partition).collect(), lost, guard)
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
                tracing::warn!(%error, "consumer group error");
                Ok(())
            }
        }
    }

    fn revoked(&mut self, partitions: Vec<i32>, lost: bool, guard: RevokeGuard) -> Result<(), RunError> {
        tracing::info!(?partitions, lost, "partitions revoked");
        reach(if lost { Point::Lost } else { Point::Revoked });
        let event = if lost { Event::Lost } else { Event::Revoked };
        for partition in &partitions {
            self.step(*partition, event.clone())?;
        }
        if lost {
            self.release(&partitions);
        } else {
            let drain_ms = i64::try_from(self.config.execute.drain_timeout_ms).unwrap_or(0);
            self.membership.hand_over(partitions, self.time.now().plus_millis(drain_ms), guard);
        }
        Ok(())
    }

    async fn assigned(&mut self, partition: i32) -> Result<(), RunError> {
        reach(Point::Assigned);
        let assignment = self.assignment(partition).await?;
        tracing::info!(partition, next_offset = assignment.next_offset, "partition assigned; fencing");
        if assignment.earlier_life {
            tracing::warn!(
                partition,
                "the topic holds commands of a life before this journal; dispatch waits until their answers have expired"
            );
        }
        let section = &self.config.execute;
        let core = || Partition::new(self.config.service.venue.as_str(), section.bounds(), section.timing());
        let state = self.partitions.entry(partition).or_insert_with(|| PartitionState::new(partition, core()));
        state.next_offset = assignment.next_offset;
        state.letters.clear();
        self.step(partition, Event::Assigned(assignment))
    }

    async fn assignment(&self, partition: i32) -> Result<Assignment, RunError> {
        let (name, group) = (topic::EXECUTE_TRADE, self.membership.group()?);
        let (low, high) = patiently("command watermarks", || group.watermarks(name, partition)).await?;
        let wanted = [(name.to_owned(), partition)];
        let committed = patiently("committed offset", || group.committed(&wanted)).await?;
        let committed = committed.into_iter().find_map(|(_, offset)| offset);
        let checkpoint = self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
        let checkpoint = checkpoint.unwrap_or_default();
        let oldest = if high > low { record_at(&self.config.bus, name, partition, low).await? } else { None };
        let skew_ms = self.config.execute.clock_skew_ms_max;
        let made = oldest.map(|record| match AnyEnvelope::read(&record.value) {
            Ok(envelope) => envelope.observed_at,
            Err(_) => Timestamp::from_millis(record.timestamp.millis().unwrap_or_default()),
        });
        Ok(Assignment {
            fence_event_id: self.ctx.ids.uuid_v7(self.time.now()),
            next_offset: committed.unwrap_or(low).max(low),
            floor: checkpoint.floor,
            first_fence_at: checkpoint.first_fence_at,
            earlier_life: made.is_some_and(|made| made.plus_millis(skew_ms) < checkpoint.floor),
        })
    }

    pub(crate) fn hold_back(&mut self) {
        self.membership.hold_back(&mut self.partitions, self.config.execute.commands_open_max);
    }

    /// Releases partitions whose drain is done or has taken too long.
    pub(crate) async fn let_go(&mut self) -> Result<(), RunError> {
        let partitions = &self.partitions;
        let finished = self.membership.take_finished(self.time.now(), |numbers| are_drained(partitions, numbers));
        for leaving in finished {
            reach(Point::Released);
            self.membership.commit().await;
            for partition in &leaving.partitions {
                self.step(*partition, Event::Lost)?;
            }
            self.release(&leaving.partitions);
            drop(leaving.guard);
        }
        Ok(())
    }

    /// Leaves the group and joins it again, if a newer executor fenced this one.
    pub(crate) async fn rejoin(&mut self) -> Result<(), RunError> {
        if !self.membership.take_rejoin() {
            return Ok(());
        }
        reach(Point::RejoinBefore);
        self.membership.leave().await;
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        for partition in &partitions {
            self.step(*partition, Event::Lost)?;
        }
        self.release(&partitions);
        self.membership.join()
    }

    fn release(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.membership.forget(*partition);
            if let Some(state) = self.partitions.get_mut(partition) {
                state.publisher = None;
            }
        }
    }
}

/// Whether nothing is in flight in these partitions that a drain should wait for.
pub(crate) fn are_drained(partitions: &std::collections::BTreeMap<i32, PartitionState>, numbers: &[i32]) -> bool {
    numbers.iter().filter_map(|number| partitions.get(number)).all(|state| state.core.is_drained())
}

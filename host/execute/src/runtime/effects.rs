//! Doing what the protocol wants done.

use unrip_core::event::journal::JournalSkip;
use unrip_core::event::result::StatusState;
use unrip_core::{Timestamp, topic};
use unrip_service::RunError;
use unrip_service::dead_letter::{self, Reason};

use crate::points::{Point, reach};
use crate::results::publish::Publisher;
use crate::runtime::executor::Service;
use crate::runtime::partition::RunningPublisher;
use unrip_protocol::partition::Effect;

impl Service {
    /// Does one thing. What fails here is tried again by the protocol's own clock, or ends the service.
    pub(crate) fn perform(&mut self, partition: i32, effect: Effect, now: Timestamp) -> Result<(), RunError> {
        match effect {
            Effect::AppendFence(event_id) => self.append_fence(partition, event_id, now),
            Effect::Activated => self.activated(partition),
            Effect::Prepare(id) => {
                self.prepare(partition, id);
                Ok(())
            }
            Effect::AppendClaim { id, fence_offset } => self.append_claim(partition, id, fence_offset, now),
            Effect::Dispatch(id) => {
                self.dispatch(partition, id);
                Ok(())
            }
            Effect::AppendOutcome { head, fence_offset, ending } => {
                self.append_outcome(partition, head, fence_offset, ending, now)
            }
            Effect::AdoptEvidence { head, fence_offset } => self.adopt_evidence(partition, head, fence_offset, now),
            Effect::AdoptDecision { head, fence_offset } => self.adopt_decision(partition, head, fence_offset, now),
            Effect::AppendEvidence { id, fence_offset, ending } => {
                self.append_evidence(partition, id, fence_offset, ending, now)
            }
            Effect::AppendSkip { offset, id, fence_offset, code, letter } => {
                let skip =
                    JournalSkip { command_offset: offset, command_id: id, fence_offset, reason_code: code.to_owned() };
                if let Some(reason) = letter {
                    self.letter(partition, offset, code, &reason, now);
                }
                self.append_skip(partition, skip, now)
            }
            Effect::SayInDoubt(id) => {
                reach(Point::DoubtBefore);
                self.say_status(partition, id, StatusState::InDoubt, None, now)
            }
            Effect::Resolve(id) => {
                self.resolve(partition, id);
                Ok(())
            }
            Effect::Ended(id) => self.ended(partition, id),
            Effect::Commit(offset) => {
                self.commits.insert(partition, offset);
                Ok(())
            }
            Effect::Rejoin => {
                tracing::warn!(partition, "fenced by a newer executor: leaving the group to join it again");
                self.metrics.fenced.inc();
                self.rejoin = true;
                Ok(())
            }
        }
    }

    /// Makes the dead letter of the record in hand.
    fn letter(&mut self, partition: i32, offset: i64, code: &str, reason: &str, now: Timestamp) {
        tracing::warn!(partition, offset, code, reason, "command passed over");
        self.metrics.skips.inc(code);
        let (why, venue) = (Reason { code, text: reason }, &self.maker.venue);
        let Some(slot) = self.slots.get_mut(&partition) else { return };
        if let Some(record) = slot.in_hand.as_ref().filter(|record| record.offset == offset) {
            let letter = dead_letter::from_record(record, &group(venue), why, venue, now, &self.ctx.ids);
            slot.dead.insert(offset, letter);
        }
    }

    fn activated(&mut self, partition: i32) -> Result<(), RunError> {
        tracing::info!(partition, "partition active");
        reach(Point::FenceRead);
        self.recover_claims(partition)?;
        let (running, stop) = RunningPublisher::new(&self.stop_publishers);
        let publisher = Publisher {
            partition,
            bus: self.config.bus.clone(),
            producer: self.producer.clone(),
            store: self.store.clone(),
            writer: self.writer.clone(),
            maker: self.maker.clone(),
            clock: std::sync::Arc::clone(&self.ctx.clock),
            how: self.config.execute.publish,
            production: self.config.execute.production,
            inputs: self.inputs.clone(),
            poke: std::sync::Arc::clone(&running.poke),
            stop,
        };
        tokio::spawn(publisher.run());
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        slot.publisher = Some(running);
        slot.paused = false;
        let next = slot.next_offset;
        self.start_reading(partition, next);
        Ok(())
    }
}

/// The dead letters of this executor's group.
pub(crate) fn group(venue: &str) -> String {
    topic::group("execute", venue)
}

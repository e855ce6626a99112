//! Doing what the protocol wants done.

use unrip_core::event::result::StatusState;
use unrip_core::{CommandId, Timestamp};
use unrip_protocol::fold::FoldView as _;
use unrip_protocol::partition::Effect;
use unrip_service::RunError;

use crate::command::recovery;
use crate::journal::records::News;
use crate::points::{Point, reach};
use crate::runtime::Performed;
use crate::runtime::executor::Executor;
use crate::runtime::retry::state_error;

impl Executor {
    /// Does one thing: the one place where an effect finds its partition. What fails here is tried again by the
    /// protocol's own clock, or ends the service; what finds nothing to act on is counted.
    pub(crate) fn perform(&mut self, partition: i32, effect: Effect, now: Timestamp) -> Result<(), RunError> {
        let Some(state) = self.partitions.get_mut(&partition) else {
            self.metrics.stale_effects.inc();
            return Ok(());
        };
        let (journal, venue) = (&self.journal, &self.venue);
        let performed = match effect {
            Effect::AppendFence(event_id) => journal.fence(state, event_id, self.time.moment(), now)?,
            Effect::Activated => self.activated(partition)?,
            Effect::Prepare(id) => venue.prepare(partition, state.commands.get(&id), now),
            Effect::AppendClaim { id, fence_offset } => {
                journal.claim(state, id, fence_offset, venue.signers(), self.time.moment(), now)?
            }
            Effect::Dispatch(id) => venue.send(partition, state.commands.get(&id), &self.gates),
            Effect::AppendOutcome { head, fence_offset, ending } => {
                journal.outcome(state, head, fence_offset, ending, self.time.moment(), now)?
            }
            Effect::AdoptEvidence { head, fence_offset } => {
                journal.adopt_evidence(state, head, fence_offset, self.time.moment(), now)?
            }
            Effect::AdoptDecision { head, fence_offset } => {
                journal.adopt_decision(state, head, fence_offset, self.time.moment(), now)?
            }
            Effect::AppendEvidence { id, fence_offset, ending } => {
                journal.evidence(state, id, fence_offset, ending, now)?
            }
            Effect::AppendSkip { offset, id, fence_offset, code, letter } => {
                journal.skip(state, (offset, id), fence_offset, code, letter.as_deref(), now)?
            }
            Effect::SayInDoubt(id) => {
                reach(Point::DoubtBefore);
                journal.status(state, id, News::by_host(StatusState::InDoubt), now)?
            }
            Effect::Resolve(id) => venue.resolve(partition, id, state.commands.get(&id)),
            Effect::Ended(id) => self.ended(partition, id)?,
            Effect::Commit(offset) => self.membership.note_commit(partition, offset),
            Effect::Rejoin => {
                tracing::warn!(partition, "fenced by a newer executor; leaving the group to join it again");
                self.metrics.fenced.inc();
                self.membership.rejoin()
            }
        };
        if performed == Performed::Stale {
            self.metrics.stale_effects.inc();
        }
        Ok(())
    }

    /// The own fence was read back: takes up what is claimed, publishes what is not published, reads commands.
    fn activated(&mut self, partition: i32) -> Result<Performed, RunError> {
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(Performed::Stale) };
        tracing::info!(partition, "partition active");
        reach(Point::FenceRead);
        let ask_after_ms = self.config.execute.clock_skew_ms_max;
        let venue = self.config.service.venue.as_str();
        recovery::take_up_all(&self.store, state, venue, &self.limits, ask_after_ms, self.time.now())?;
        state.publisher = Some(self.publishers.start(partition));
        state.paused = false;
        self.membership.start_reading(partition, state.next_offset);
        Ok(Performed::Done)
    }

    /// An outcome is in the log.
    fn ended(&mut self, partition: i32, id: CommandId) -> Result<Performed, RunError> {
        reach(Point::OutcomeFolded);
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(Performed::Stale) };
        let entry = self.store.view(partition).and_then(|view| view.entry(&id)).map_err(state_error)?;
        if let Some(entry) = &entry {
            if let Some(outcome) = entry.outcome {
                self.metrics.results.inc(outcome.status.as_str());
            }
            state.ended(entry, self.config.execute.clock_skew_ms_max);
        }
        if let Some(publisher) = &state.publisher {
            publisher.poke.notify_one();
        }
        Ok(if entry.is_some() { Performed::Done } else { Performed::Stale })
    }
}

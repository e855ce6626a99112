//! When an outcome is in the log: its result is published, its promise ends or waits for news of the settlement.

use unrip_core::event::result::{ResultStatus, StatusState};
use unrip_core::{CommandId, Timestamp};
use unrip_service::RunError;

use crate::journal::tail::state;
use crate::points::{Point, reach};
use crate::runtime::executor::Service;
use unrip_protocol::fold::{Entry, FoldView};

/// Executed commands of one partition that are asked about at a time.
const FOLLOW_AT_ONCE_MAX: usize = 16;

impl Service {
    /// An outcome is in the log.
    pub(crate) fn ended(&mut self, partition: i32, id: CommandId) -> Result<(), RunError> {
        reach(Point::OutcomeFolded);
        let entry = self.store.view(partition).and_then(|view| view.entry(&id)).map_err(state)?;
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        if let Some(Entry { head, claim, outcome: Some(outcome), .. }) = entry {
            self.metrics.results.inc(outcome.status.as_str());
            if let Some(held) = slot.held.get_mut(&id) {
                // The claim holds it.
                held.envelope = serde_json::Value::Null;
            }
            match outcome.status {
                ResultStatus::Executed if claim.is_some() => {
                    let ask_at = head.deadline.plus_millis(self.config.execute.clock_skew_ms_max);
                    slot.index.follow(id, ask_at, head.deadline);
                }
                // Never claimed, so never signed: nothing is promised.
                _ if claim.is_none() => slot.inventory.release(&id),
                // What may have been signed stays promised until the deadline.
                _ => {}
            }
        }
        if let Some(publisher) = &slot.publisher {
            publisher.poke.notify_one();
        }
        Ok(())
    }

    /// News of the settlement: told once.
    pub(crate) fn settlement(
        &mut self,
        partition: i32,
        id: CommandId,
        news: StatusState,
        detail: Option<String>,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        slot.inventory.settled(&id, now);
        if !slot.index.told(id) {
            return Ok(());
        }
        self.say_status(partition, id, news, detail, now)
    }

    /// Asks about executed commands whose deadline has passed without news.
    pub(crate) fn follow_due(&mut self) {
        let now = self.now();
        let mut due = Vec::new();
        for (partition, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.core.is_active()) {
            due.extend(slot.index.take_due(now, FOLLOW_AT_ONCE_MAX).into_iter().map(|id| (*partition, id)));
        }
        for (partition, id) in due {
            self.follow(partition, id);
        }
    }
}

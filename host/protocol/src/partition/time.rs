//! What time brings: expiry, retries of appends, the next step in a doubt, and offsets.

use unrip_core::{CommandId, Timestamp};

use super::ending::{never_claimed, not_handed_in_time};
use super::{Effect, Effects, Partition, Phase, Skip, Stage};

impl Partition {
    pub(super) fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        let retry = self.timing.append_retry_ms;
        if let Phase::Fencing { event_id, at } = self.phase
            && now.millis_since(at) >= retry
        {
            self.phase = Phase::Fencing { event_id, at: now };
            effects.push(Effect::AppendFence(event_id));
        }
        if let Phase::Active { event_id, .. } = self.phase
            && now.millis_since(self.fence_at) >= self.timing.fence_again_ms
        {
            self.fence_at = now;
            effects.push(Effect::AppendFence(event_id));
        }
        let Some(fence_offset) = self.fence_offset() else { return };
        for (offset, skip) in &mut self.skips {
            if now.millis_since(skip.at) >= retry {
                skip.at = now;
                let Skip { id, code, .. } = *skip;
                effects.push(Effect::AppendSkip { offset: *offset, id, fence_offset, code, letter: None });
            }
        }
        let ids: Vec<CommandId> = self.open.keys().copied().collect();
        for id in ids {
            self.tick_command(id, fence_offset, now, effects);
        }
    }

    pub(super) fn tick_command(&mut self, id: CommandId, fence_offset: i64, now: Timestamp, effects: &mut Effects) {
        let active = self.is_active();
        let Some(open) = self.open.get_mut(&id) else { return };
        let late = now >= open.head.dispatch_by;
        match &mut open.stage {
            Stage::Preparing | Stage::Waiting(_) | Stage::Claiming { .. } if late => {
                self.end(id, never_claimed(now), now, effects);
            }
            Stage::Unsent if late => self.end(id, not_handed_in_time(now), now, effects),
            // Claimed: a draining owner finishes it.
            Stage::Unsent => {
                open.stage = Stage::Dispatching;
                effects.push(Effect::Dispatch(id));
            }
            Stage::Waiting(at) if active && now >= *at && self.embargo_until.is_none_or(|until| now >= until) => {
                open.stage = Stage::Preparing;
                effects.push(Effect::Prepare(id));
            }
            Stage::Awaiting(since) if now.millis_since(*since) >= self.timing.answer_timeout_ms => {
                self.answer_lost(&id, effects);
            }
            Stage::Doubt(Some(at)) if active && now >= *at => {
                open.stage = Stage::Doubt(None);
                effects.push(Effect::Resolve(id));
            }
            Stage::Ending { at, ending } if now.millis_since(*at) >= self.timing.append_retry_ms => {
                *at = now;
                let ending = ending.clone();
                effects.push(Effect::AppendOutcome { head: open.head.clone(), fence_offset, ending });
            }
            Stage::Adopting { at, from } if now.millis_since(*at) >= self.timing.append_retry_ms => {
                *at = now;
                effects.push(from.effect(open.head.clone(), fence_offset));
            }
            _ => {}
        }
    }

    /// Commits up to the first command that the journal does not hold.
    pub(super) fn commit(&mut self, effects: &mut Effects) {
        if self.fence_offset().is_none() {
            return;
        }
        let watermark = self.unjournaled.first().copied().unwrap_or(self.next_offset);
        if watermark > self.committed {
            self.committed = watermark;
            effects.push(Effect::Commit(watermark));
        }
    }
}

//! Records of the command topic: known, refused, or on their way to a claim.

use unrip_core::{CommandId, Timestamp};

use super::ending::{duplicate_key, never_claimed, refused};
use super::{Effect, Effects, Incoming, Open, Partition, Phase, Preparation, Refusal, Skip, Stage};
use crate::fold::{FoldView, Head};
use crate::intake::out_of_bounds;

impl Partition {
    pub(super) fn incoming<S: FoldView>(
        &mut self,
        store: &S,
        incoming: Incoming,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        if !self.is_active() {
            return Ok(()); // read before a revoke: the next owner reads it again
        }
        match incoming {
            Incoming::Foreign { offset } => self.next_offset = self.next_offset.max(offset + 1),
            Incoming::Unacceptable { offset, id, code, reason } => {
                self.pass_over(offset, id, code, reason, now, effects)
            }
            Incoming::Ours(head, refusal) => self.command(store, head, refusal, now, effects)?,
        }
        Ok(())
    }

    pub(super) fn command<S: FoldView>(
        &mut self,
        store: &S,
        head: Head,
        refusal: Option<Refusal>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        self.next_offset = self.next_offset.max(head.offset + 1);
        if let Some(first) = self.first_of(store, &head)? {
            if first.id != head.id || first.content_hash != head.content_hash {
                let code = if first.origin == head.origin { "conflict" } else { "superseded" };
                let reason = format!(
                    "command {} (content {}) is already known as {} (content {})",
                    head.id, head.content_hash, first.id, first.content_hash
                );
                self.pass_over(head.offset, Some(head.id), code, reason, now, effects);
            }
            return Ok(());
        }
        // The store forgets below its floor, which may have moved since the assignment.
        let floor = self.floor.max(store.floor()?);
        if head.id.time().plus_millis(self.bounds.clock_skew_ms_max) < floor {
            let reason = format!("the command is older than the journal's floor {floor}");
            self.pass_over(head.offset, Some(head.id), "stale", reason, now, effects);
            return Ok(());
        }
        let id = head.id;
        self.unjournaled.insert(head.offset);
        let key_owner = store.key_owner(&head.idempotency_key)?;
        let limit = out_of_bounds(&head, now, &self.bounds);
        let late = now >= head.dispatch_by;
        self.open.insert(id, Open { head, stage: Stage::Preparing });
        if let Some(owner) = key_owner {
            self.end(id, duplicate_key(&owner, now), now, effects);
        } else if late {
            self.end(id, never_claimed(now), now, effects);
        } else if let Some(Refusal { code, reason }) = refusal.or(limit) {
            self.end(id, refused(code, reason), now, effects);
        } else if self.embargo_until.is_some_and(|until| now < until) {
            self.set_stage(&id, Stage::Waiting(now.plus_millis(self.timing.prepare_retry_ms)));
        } else {
            effects.push(Effect::Prepare(id));
        }
        Ok(())
    }

    /// The command that this record repeats, by command id or by record id.
    pub(super) fn first_of<S: FoldView>(&self, store: &S, head: &Head) -> Result<Option<Head>, S::Error> {
        if let Some(open) = self.open.get(&head.id) {
            return Ok(Some(open.head.clone()));
        }
        if let Some(entry) = store.entry(&head.id)? {
            return Ok(Some(entry.head));
        }
        if let Some(open) = self.open.values().find(|open| open.head.event_id == head.event_id) {
            return Ok(Some(open.head.clone()));
        }
        let Some(id) = store.event_owner(&head.event_id)? else { return Ok(None) };
        Ok(store.entry(&id)?.map(|entry| entry.head))
    }

    pub(super) fn pass_over(
        &mut self,
        offset: i64,
        id: Option<CommandId>,
        code: &'static str,
        reason: String,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        self.next_offset = self.next_offset.max(offset + 1);
        let Some(fence_offset) = self.fence_offset() else { return };
        self.unjournaled.insert(offset);
        self.skips.insert(offset, Skip { id, code, at: now });
        effects.push(Effect::AppendSkip { offset, id, fence_offset, code, letter: Some(reason) });
    }

    pub(super) fn prepared(&mut self, id: &CommandId, preparation: Preparation, now: Timestamp, effects: &mut Effects) {
        let Phase::Active { fence_offset, .. } = self.phase else { return };
        if !self.open.get(id).is_some_and(|open| open.stage == Stage::Preparing) {
            return;
        }
        match preparation {
            Preparation::Ready => {
                self.set_stage(id, Stage::Claiming { fence_offset });
                effects.push(Effect::AppendClaim { id: *id, fence_offset });
            }
            Preparation::NotYet => {
                self.set_stage(id, Stage::Waiting(now.plus_millis(self.timing.prepare_retry_ms)));
            }
            Preparation::Never { code, reason } => self.end(*id, refused(code, reason), now, effects),
        }
    }

    pub(super) fn set_stage(&mut self, id: &CommandId, stage: Stage) {
        if let Some(open) = self.open.get_mut(id) {
            open.stage = stage;
        }
    }
}

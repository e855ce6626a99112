//! What the journal says: fences, claims and outcomes as they come back.

use unrip_core::Timestamp;

use super::ending::{duplicate_key, not_handed_in_time};
use super::{Adopted, Effect, Effects, Open, Partition, Phase, Stage};
use crate::fold::{Applied, Entry, Fact, FoldView, Head, Invalid, Placed};

impl Partition {
    pub(super) fn folded<S: FoldView>(
        &mut self,
        store: &S,
        placed: Placed,
        applied: Applied,
        appended_at: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        if placed.venue != self.venue {
            return Ok(());
        }
        match (&placed.fact, applied) {
            (Fact::Fence, Applied::Fenced) => self.fence_read(store, &placed, appended_at, now, effects)?,
            (Fact::Claim { head, fence_offset }, Applied::ClaimValid) => {
                self.unjournaled.remove(&head.offset);
                self.claim_valid(store, head, *fence_offset, now, effects)?;
            }
            (Fact::Claim { head, fence_offset }, Applied::ClaimInvalid(why)) => {
                self.claim_invalid(store, head, *fence_offset, why, now, effects)?;
            }
            (Fact::Outcome { head, .. }, Applied::OutcomeValid) => self.ended(head, effects),
            (Fact::Outcome { head, fence_offset, .. }, Applied::OutcomeInvalid(why)) => {
                self.outcome_invalid(head, *fence_offset, &why, now, effects);
            }
            (Fact::Evidence { id }, Applied::EvidenceNoted) | (Fact::Decision { id }, Applied::DecisionNoted) => {
                if let Some(entry) = store.entry(id)? {
                    self.adopt(entry, now, effects);
                }
            }
            (Fact::Skip { command_offset, .. }, Applied::SkipValid) => {
                self.skips.remove(command_offset);
                self.unjournaled.remove(command_offset);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn fence_read<S: FoldView>(
        &mut self,
        store: &S,
        placed: &Placed,
        appended_at: Timestamp,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        self.first_fence_at.get_or_insert(appended_at);
        match self.phase {
            Phase::Fencing { event_id, .. } if event_id == placed.event_id => {
                self.own(event_id, placed.offset);
                self.fence_at = now;
                self.activate(store, now, effects)?;
            }
            Phase::Active { event_id, .. } if event_id == placed.event_id => {
                // A later copy of our own fence: from here on it is the newest.
                self.own(event_id, placed.offset);
            }
            Phase::Draining { event_id, .. } if event_id == placed.event_id => {
                self.phase = Phase::Draining { event_id, fence_offset: placed.offset };
            }
            Phase::Active { .. } => {
                self.fenced(effects);
                effects.push(Effect::Rejoin);
            }
            Phase::Draining { .. } => self.fenced(effects),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn activate<S: FoldView>(
        &mut self,
        store: &S,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        if self.earlier_life {
            let wait = self.bounds.deadline_ms_max + self.timing.embargo_margin_ms;
            self.embargo_until = self.first_fence_at.map(|at| at.plus_millis(wait));
        }
        effects.push(Effect::Activated);
        for entry in store.open_claims(&self.venue)? {
            if entry.evidence.is_some() || entry.decision.is_some() {
                self.adopt(entry, now, effects);
            } else if !self.open.contains_key(&entry.head.id) {
                self.doubt(entry.head, effects);
            }
        }
        // What ended while another executor owned the partition is not in hand any more.
        let mut ended = Vec::new();
        for id in self.open.keys() {
            if store.entry(id)?.is_some_and(|entry| entry.outcome.is_some()) {
                ended.push(*id);
            }
        }
        for id in ended {
            self.open.remove(&id);
        }
        Ok(())
    }

    pub(super) fn claim_valid<S: FoldView>(
        &mut self,
        store: &S,
        head: &Head,
        fence_offset: i64,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        let (Phase::Active { event_id, fence_offset: own } | Phase::Draining { event_id, fence_offset: own }) =
            self.phase
        else {
            return Ok(());
        };
        match self.open.get_mut(&head.id) {
            Some(open) if matches!(open.stage, Stage::Claiming { .. }) && fence_offset == own => {
                // The store may be ahead of this event: a newer fence in it forbids what the event would allow.
                let newest = store.fence(&self.venue)?;
                if newest.is_none_or(|fence| fence.event_id != event_id) {
                    return Ok(());
                }
                if now < open.head.dispatch_by {
                    open.stage = Stage::Dispatching;
                    effects.push(Effect::Dispatch(head.id));
                } else {
                    self.end(head.id, not_handed_in_time(now), now, effects);
                }
            }
            // Our outcome is on its way: this incarnation knows that it handed nothing over.
            Some(_) => {}
            None => self.doubt(head.clone(), effects),
        }
        Ok(())
    }

    pub(super) fn claim_invalid<S: FoldView>(
        &mut self,
        store: &S,
        head: &Head,
        fence_offset: i64,
        why: Invalid,
        now: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), S::Error> {
        let active = self.is_active();
        let (Some(own), Some(open)) = (self.fence_offset(), self.open.get_mut(&head.id)) else {
            return Ok(());
        };
        let Stage::Claiming { fence_offset: claimed_under } = open.stage else {
            return Ok(());
        };
        if fence_offset != claimed_under {
            return Ok(()); // a zombie's claim, not ours
        }
        match why {
            // A later copy of our own fence came between. Who drains leaves the command to the next owner.
            Invalid::Fence if own != claimed_under && !active => {
                self.open.remove(&head.id);
            }
            Invalid::Fence if own != claimed_under => {
                open.stage = Stage::Claiming { fence_offset: own };
                effects.push(Effect::AppendClaim { id: head.id, fence_offset: own });
            }
            Invalid::Fence => {}
            Invalid::Key(owner) => self.end(head.id, duplicate_key(&owner, now), now, effects),
            Invalid::Command => {
                self.unjournaled.remove(&head.offset);
                self.open.remove(&head.id);
                if let Some(entry) = store.entry(&head.id)?.filter(Entry::is_open) {
                    self.doubt(entry.head, effects);
                }
            }
        }
        Ok(())
    }

    pub(super) fn ended(&mut self, head: &Head, effects: &mut Effects) {
        self.unjournaled.remove(&head.offset);
        self.open.remove(&head.id);
        if self.fence_offset().is_some() {
            effects.push(Effect::Ended(head.id));
        }
    }

    pub(super) fn outcome_invalid(
        &mut self,
        head: &Head,
        written_under: i64,
        why: &Invalid,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        let Some(own) = self.fence_offset() else { return };
        let Some(stage) = self.open.get(&head.id).map(|open| open.stage.clone()) else {
            return;
        };
        match (stage, why) {
            (Stage::Ending { .. } | Stage::Adopting { .. }, Invalid::Command) => {
                self.unjournaled.remove(&head.offset);
                self.open.remove(&head.id);
            }
            (Stage::Ending { ending, .. }, Invalid::Fence) if written_under != own => {
                self.end(head.id, ending, now, effects);
            }
            _ => {}
        }
    }

    pub(super) fn adopt(&mut self, entry: Entry, now: Timestamp, effects: &mut Effects) {
        let Some(fence_offset) = self.fence_offset() else {
            return;
        };
        // What the venue said goes before what a person decided.
        let from = if entry.evidence.is_some() { Adopted::Evidence } else { Adopted::Decision };
        effects.push(from.effect(entry.head.clone(), fence_offset));
        self.open.insert(entry.head.id, Open { head: entry.head, stage: Stage::Adopting { at: now, from } });
    }
}

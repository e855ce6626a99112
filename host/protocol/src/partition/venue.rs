//! The one send, what is heard of it, and doubts.

use unrip_core::{CommandId, Timestamp};

use super::ending::{host, refused};
use super::{Effect, Effects, Ending, Open, Partition, Phase, Resolution, SendEnd, Stage};
use crate::fold::Head;

impl Partition {
    pub(super) fn send_ended(&mut self, id: &CommandId, end: SendEnd, now: Timestamp, effects: &mut Effects) {
        if !self.open.get(id).is_some_and(|open| open.stage == Stage::Dispatching) {
            return;
        }
        match end {
            SendEnd::Handed => self.set_stage(id, Stage::Awaiting(now)),
            SendEnd::NotHanded => self.set_stage(id, Stage::Unsent),
            SendEnd::Refused(code) if self.fence_offset().is_some() => {
                let known = host(now, "the gate closed before any byte was handed over");
                let ending =
                    Ending { evidence: Some(known), ..refused(code.to_owned(), format!("gate closed: {code}")) };
                self.end(*id, ending, now, effects);
            }
            SendEnd::Refused(_) => {
                self.open.remove(id);
            }
        }
    }

    pub(super) fn heard(&mut self, id: &CommandId, ending: Ending, now: Timestamp, effects: &mut Effects) {
        let Some(open) = self.open.get(id) else { return };
        if !matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_) | Stage::Doubt(_)) {
            return;
        }
        match self.phase {
            Phase::Active { .. } | Phase::Draining { .. } => self.end(*id, ending, now, effects),
            // Also between two fences of ours: the partition's next owner adopts it.
            Phase::Fenced { .. } | Phase::Fencing { .. } | Phase::Standby => {
                if let Some(fence_offset) = self.last_fence {
                    effects.push(Effect::AppendEvidence { id: *id, fence_offset, ending });
                }
                self.open.remove(id);
            }
        }
    }

    pub(super) fn answer_lost(&mut self, id: &CommandId, effects: &mut Effects) {
        let Some(open) = self.open.get(id) else { return };
        if matches!(open.stage, Stage::Dispatching | Stage::Awaiting(_)) {
            let head = open.head.clone();
            self.doubt(head, effects);
        }
    }

    pub(super) fn doubt(&mut self, head: Head, effects: &mut Effects) {
        let id = head.id;
        if !self.is_active() {
            // The log holds its claim: the next owner asks, and if that is us again, it begins as a doubt.
            self.open.remove(&id);
            return;
        }
        self.open.insert(id, Open { head, stage: Stage::Doubt(None) });
        effects.push(Effect::SayInDoubt(id));
        effects.push(Effect::Resolve(id));
    }

    pub(super) fn resolved(&mut self, id: &CommandId, resolution: Resolution, now: Timestamp, effects: &mut Effects) {
        if !self.open.get(id).is_some_and(|open| matches!(open.stage, Stage::Doubt(_))) {
            return;
        }
        match resolution {
            Resolution::Final(ending) => self.end(*id, ending, now, effects),
            Resolution::WaitUntil(at) => self.set_stage(id, Stage::Doubt(Some(at))),
        }
    }

    pub(super) fn end(&mut self, id: CommandId, ending: Ending, now: Timestamp, effects: &mut Effects) {
        let Some(fence_offset) = self.fence_offset() else {
            return;
        };
        let Some(open) = self.open.get_mut(&id) else { return };
        open.stage = Stage::Ending { at: now, ending: ending.clone() };
        effects.push(Effect::AppendOutcome { head: open.head.clone(), fence_offset, ending });
    }
}

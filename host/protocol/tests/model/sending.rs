//! From the last gate to the socket, and what is heard of it.

use unrip_core::CommandId;
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::Head;
use unrip_protocol::partition::*;

use super::executor::Process;
use super::mutants::Mutant;
use super::properties::{FORGOTTEN, LATE, UNCLAIMED};
use super::venue;

impl Process<'_> {
    /// The last word before bytes leave, asked when the socket is ready. The process may be paused right after it.
    pub fn gate(&mut self, id: CommandId) {
        self.executor.host.ordered.remove(&id);
        let late = self.record_of(&id).is_none_or(|head| self.state.now(&self.executor) >= head.dispatch_by);
        let is_ours = self.executor.core.may_dispatch() || self.is(Mutant::ActsOnAck);
        if !is_ours {
            self.step(Event::SendEnded(id, SendEnd::Refused("gate_closed")));
        } else if late && !self.is(Mutant::LateGate) {
            self.step(Event::SendEnded(id, SendEnd::NotHanded));
        } else {
            self.sign(&id);
            if late {
                self.state.wrong = Some(LATE);
            }
            self.executor.host.writing.insert(id);
        }
    }

    pub fn sign(&mut self, id: &CommandId) {
        let folded = i64::try_from(self.executor.folded).unwrap();
        if self.state.log.reading.claim(id).is_none_or(|claim| claim.offset >= folded) {
            self.state.wrong = self.state.wrong.or(Some(UNCLAIMED));
        }
    }

    pub fn record_of(&self, id: &CommandId) -> Option<Head> {
        let claimed = self.state.log.reading.claim(id).map(|claim| &claim.head);
        self.executor.host.held.get(id).or(claimed).cloned()
    }

    /// Signed bytes go to the socket.
    pub fn release(&mut self, id: CommandId, arrives: bool) {
        self.executor.host.writing.remove(&id);
        self.executor.host.handed.insert(id);
        let offset = self.record_of(&id).map_or(-1, |head| head.offset);
        self.state.venue.sends.push((id, offset));
        self.state.venue.sends.sort();
        if arrives {
            self.state.venue.wire.push(id);
            self.state.venue.wire.sort();
        }
    }

    pub fn breaks(&mut self, id: CommandId, arrives: bool) {
        self.state.left.breaks -= 1;
        self.release(id, arrives);
        if self.is(Mutant::HandedAsNotHanded) {
            return self.step(Event::SendEnded(id, SendEnd::NotHanded));
        }
        if self.is(Mutant::FlushAfterReconnect) {
            self.executor.host.writing.insert(id);
        }
        self.step(Event::SendEnded(id, SendEnd::Handed));
        self.step(Event::AnswerLost(id));
    }

    pub fn answered(&mut self, id: CommandId) {
        self.executor.host.awaiting.remove(&id);
        let accepted = self.state.venue.accepted.contains(&id);
        let status = if accepted { ResultStatus::Executed } else { ResultStatus::Rejected };
        let was_fenced = !self.executor.core.may_dispatch() && self.executor.core.holds(&id);
        let before = self.state.flying.len();
        self.step(Event::Heard(id, venue::ending(status, "answered")));
        if was_fenced && self.state.flying.len() == before {
            self.state.wrong = Some(FORGOTTEN);
        }
    }

    pub fn answer_lost(&mut self, id: CommandId) {
        if self.is(Mutant::OwnTimeoutRejects) {
            return self.step(Event::Heard(id, venue::ending(ResultStatus::Rejected, "timeout")));
        }
        if self.is(Mutant::ResendsOnTimeout) {
            self.executor.host.ordered.insert(id);
        }
        self.step(Event::AnswerLost(id));
    }
}

//! From what the module reads in the venue's words to events of the protocol.

use unrip_core::CommandId;
use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::text::cut;
use unrip_engine::executor::{Statement, Verdict};
use unrip_service::RunError;

use crate::points::{Point, reach};
use crate::runtime::executor::Service;
use crate::venue::Heard;
use unrip_protocol::partition::{Ending, Event, Known};

impl Service {
    /// Takes what came from the venue.
    pub(crate) fn heard(&mut self, heard: Heard) -> Result<(), RunError> {
        match heard {
            Heard::Closed { connection_id } => {
                for lost in self.link.take_lost(&connection_id) {
                    self.step(lost.partition, Event::AnswerLost(lost.id))?;
                }
                Ok(())
            }
            Heard::Said { connection_id, statements } => {
                for statement in statements {
                    self.statement(connection_id.as_deref(), statement)?;
                }
                Ok(())
            }
        }
    }

    fn statement(&mut self, connection_id: Option<&str>, statement: Statement) -> Result<(), RunError> {
        match statement {
            Statement::Request((request_id, verdict)) => {
                let Some(awaited) = self.link.take_awaited(request_id, connection_id) else { return Ok(()) };
                self.verdict(awaited.partition, awaited.id, verdict, EvidenceKind::VenueAnswer)
            }
            Statement::Action((digest, verdict)) => {
                let found =
                    self.slots.iter().find_map(|(partition, slot)| Some((*partition, slot.index.by_digest(&digest)?)));
                let Some((partition, id)) = found else { return Ok(()) };
                self.verdict(partition, id, verdict, EvidenceKind::VenueQuery)
            }
            Statement::VenueRef((venue_ref, verdict)) => {
                let found = self
                    .slots
                    .iter()
                    .find_map(|(partition, slot)| Some((*partition, slot.index.by_venue_ref(&venue_ref)?)));
                let Some((partition, id)) = found else { return Ok(()) };
                self.verdict(partition, id, verdict, EvidenceKind::VenueQuery)
            }
            Statement::Fact((name, value)) => {
                self.link.facts().set(name, value, self.now());
                Ok(())
            }
            Statement::Chatter(kind) => {
                self.metrics.chatter.inc(&kind);
                Ok(())
            }
            Statement::Unrecognised(reason) => {
                self.metrics.chatter.inc("unrecognised");
                tracing::warn!(reason, "the venue said something that the module does not know");
                Ok(())
            }
        }
    }

    fn verdict(&mut self, partition: i32, id: CommandId, verdict: Verdict, kind: EvidenceKind) -> Result<(), RunError> {
        reach(Point::AnswerHeard);
        let now = self.now();
        match verdict {
            Verdict::Accepted(detail) => {
                self.ended_by_venue(partition, id, ResultStatus::Executed, "accepted", detail, kind)
            }
            Verdict::Rejected(reason) => {
                self.ended_by_venue(partition, id, ResultStatus::Rejected, &reason.code, reason.text, kind)
            }
            Verdict::Settled(detail) => {
                // Settled means accepted, whether or not the answer was heard.
                let executed = ResultStatus::Executed;
                self.ended_by_venue(partition, id, executed, "settled", detail.clone(), kind)?;
                self.settlement(partition, id, StatusState::Settled, Some(detail), now)
            }
            Verdict::SettlementFailed(detail) => {
                self.settlement(partition, id, StatusState::SettlementFailed, Some(detail), now)
            }
            // It answered, and nothing definite follows: as good as no answer.
            Verdict::Unclear(detail) => {
                tracing::warn!(command_id = %id, detail, "the venue's answer decides nothing");
                self.step(partition, Event::AnswerLost(id))
            }
        }
    }

    fn ended_by_venue(
        &mut self,
        partition: i32,
        id: CommandId,
        status: ResultStatus,
        code: &str,
        detail: String,
        kind: EvidenceKind,
    ) -> Result<(), RunError> {
        let known = Known { kind, received_at: self.now(), venue_time: None, detail: shortened(detail) };
        let ending = Ending { status, code: code.to_owned(), note: None, evidence: Some(known) };
        self.step(partition, Event::Heard(id, ending))
    }
}

/// Bytes of the venue's words that a record keeps.
const DETAIL_BYTES_MAX: usize = 512;

pub(crate) fn shortened(detail: String) -> Option<String> {
    (!detail.is_empty()).then(|| cut(&detail, DETAIL_BYTES_MAX).to_owned())
}

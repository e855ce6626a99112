//! From what the module reads in the venue's words to events of the protocol.

use std::sync::Arc;

use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::{CommandId, ModuleRef, Timestamp};
use unrip_engine::executor::{Statement, Verdict};
use unrip_protocol::partition::{Ending, Event, Known, Resolution};
use unrip_service::RunError;

use crate::command::doubts::Resolved;
use crate::command::index::Index;
use crate::journal::records::{News, shortened};
use crate::points::{Point, reach};
use crate::runtime::Performed;
use crate::runtime::executor::Executor;
use crate::runtime::partition::PartitionState;
use crate::venue::VenueEvent;

/// Where statements came from, and the code that read them.
struct Source {
    connection_id: Option<String>,
    asked_at: Option<Timestamp>,
    module: Arc<ModuleRef>,
}

impl Executor {
    /// Takes what came from the venue.
    pub(crate) fn heard(&mut self, heard: VenueEvent) -> Result<(), RunError> {
        match heard {
            VenueEvent::Closed { connection_id } => {
                for lost in self.venue.take_lost(&connection_id) {
                    self.step(lost.partition, Event::AnswerLost(lost.id))?;
                }
                Ok(())
            }
            VenueEvent::Said { connection_id, asked_at, module, statements } => {
                let source = Source { connection_id, asked_at, module };
                for statement in statements {
                    self.statement(&source, statement)?;
                }
                Ok(())
            }
        }
    }

    fn statement(&mut self, source: &Source, statement: Statement) -> Result<(), RunError> {
        match statement {
            Statement::Fact((name, value)) => {
                self.venue.facts().set(name, value, source.asked_at.unwrap_or_else(|| self.time.now()));
                Ok(())
            }
            // The answer to a standing question brings facts; what else it says is about no command.
            other if source.asked_at.is_some() => {
                tracing::debug!(?other, "a standing question's answer said something else");
                Ok(())
            }
            Statement::Chatter(kind) => {
                self.metrics.chatter.inc(&kind);
                Ok(())
            }
            Statement::Unrecognised(reason) => {
                self.metrics.chatter.inc("unrecognised");
                tracing::warn!(reason, "the module does not recognise what the venue said; it decides nothing");
                Ok(())
            }
            Statement::Request((request_id, verdict)) => {
                let Some(awaited) = self.venue.take_awaited(request_id, source.connection_id.as_deref()) else {
                    return Ok(());
                };
                self.verdict((awaited.partition, awaited.id), verdict, EvidenceKind::VenueAnswer, &source.module)
            }
            Statement::Action((digest, verdict)) => {
                let found = self.find(|index| index.by_digest(&digest));
                found.map_or(Ok(()), |place| self.verdict(place, verdict, EvidenceKind::VenueQuery, &source.module))
            }
            Statement::VenueRef((venue_ref, verdict)) => {
                let found = self.find(|index| index.by_venue_ref(&venue_ref));
                found.map_or(Ok(()), |place| self.verdict(place, verdict, EvidenceKind::VenueQuery, &source.module))
            }
        }
    }

    /// The command that the venue speaks of; `None`: another executor's, or one that is long over.
    fn find(&self, by: impl Fn(&Index) -> Option<CommandId>) -> Option<(i32, CommandId)> {
        self.partitions.iter().find_map(|(partition, state)| Some((*partition, by(&state.index)?)))
    }

    fn verdict(
        &mut self,
        (partition, id): (i32, CommandId),
        verdict: Verdict,
        kind: EvidenceKind,
        module: &Arc<ModuleRef>,
    ) -> Result<(), RunError> {
        reach(Point::AnswerHeard);
        let Meaning { ending, settlement } = meaning(verdict, kind, self.time.now());
        match ending {
            Some(ending) => self.step(partition, Event::Heard(id, ending))?,
            // It answered, and nothing definite follows: as good as no answer.
            None if settlement.is_none() => self.step(partition, Event::AnswerLost(id))?,
            None => {}
        }
        let news = settlement.map(|(state, detail)| News { state, detail, module: Some(Arc::clone(module)) });
        news.map_or(Ok(()), |news| self.settlement(partition, id, news))
    }

    /// What became of an executed command, asked after its deadline.
    pub(crate) fn followed(&mut self, partition: i32, id: CommandId, resolved: Resolved) -> Result<(), RunError> {
        match resolved.resolution {
            Resolution::WaitUntil(at) => {
                if let Some(state) = self.partitions.get_mut(&partition) {
                    state.index.ask_again(id, at);
                }
                Ok(())
            }
            Resolution::Final(ending) => {
                let Some(state) = PartitionState::settlement_of(ending.status) else { return Ok(()) };
                let detail = ending.evidence.and_then(|known| known.detail);
                self.settlement(partition, id, News { state, detail, module: Some(resolved.module) })
            }
        }
    }

    /// News of the settlement, published once.
    fn settlement(&mut self, partition: i32, id: CommandId, news: News) -> Result<(), RunError> {
        let now = self.time.now();
        let Some(state) = self.partitions.get_mut(&partition) else { return Ok(()) };
        if state.settled(id, now) && self.journal.status(state, id, news, now)? == Performed::Stale {
            self.metrics.stale_effects.inc();
        }
        Ok(())
    }
}

/// What a verdict of the venue means: an ending, news of the settlement, both, or nothing definite.
#[derive(Debug, PartialEq)]
struct Meaning {
    ending: Option<Ending>,
    settlement: Option<(StatusState, Option<String>)>,
}

fn meaning(verdict: Verdict, kind: EvidenceKind, now: Timestamp) -> Meaning {
    let end = |status, code: &str, detail: String| {
        let known = Known { kind, received_at: now, venue_time: None, detail: shortened(detail) };
        Some(Ending { status, code: code.to_owned(), note: None, evidence: Some(known) })
    };
    let (ending, settlement) = match verdict {
        Verdict::Accepted(detail) => (end(ResultStatus::Executed, "accepted", detail), None),
        Verdict::Rejected(reason) => (end(ResultStatus::Rejected, &reason.code, reason.text), None),
        // Settled means accepted, whether or not the answer was heard.
        Verdict::Settled(detail) => {
            (end(ResultStatus::Executed, "settled", detail.clone()), Some((StatusState::Settled, Some(detail))))
        }
        Verdict::SettlementFailed(detail) => (None, Some((StatusState::SettlementFailed, Some(detail)))),
        Verdict::Unclear(detail) => {
            tracing::warn!(detail, "the venue's answer decides nothing; the command is in doubt");
            (None, None)
        }
    };
    Meaning { ending, settlement }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_ends_a_command_too_and_a_failed_settlement_or_an_unclear_answer_does_not() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let read = |verdict| meaning(verdict, EvidenceKind::VenueAnswer, now);
        let settled = read(Verdict::Settled("paid".to_owned()));
        let ending = settled.ending.unwrap();
        assert_eq!((ending.status, ending.code.as_str()), (ResultStatus::Executed, "settled"));
        assert_eq!(settled.settlement, Some((StatusState::Settled, Some("paid".to_owned()))));
        let failed = read(Verdict::SettlementFailed(String::new()));
        assert!(failed.ending.is_none() && failed.settlement.is_some());
        assert_eq!(read(Verdict::Unclear("?".to_owned())), Meaning { ending: None, settlement: None });
    }
}

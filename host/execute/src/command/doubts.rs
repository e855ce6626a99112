//! Asking the venue: how a doubt ends, and what became of an answer that was accepted.

use std::sync::Arc;

use tokio::sync::Semaphore;
use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, ModuleRef, Timestamp};
use unrip_engine::executor::{
    Action, ExecuteTrade, Executor, FinalStatus, FinalVerdict, LastAnswer, Resolution as Step,
};
use unrip_service::clock::Clock;
use unrip_service::module::{Answer, Seat};

use crate::points::{Point, reach};
use crate::venue::VenueConnection;
use unrip_protocol::partition::{Ending, Known, Resolution};

/// Questions in one round of a doubt; a module that wants more waits for the next round.
const QUESTIONS_PER_ROUND_MAX: usize = 8;
/// Pause before a doubt is taken up again after the module failed, in milliseconds.
const RESOLVE_RETRY_MS: i64 = 2_000;
/// Rounds that ask the venue at the same time: a restart with many doubts must not flood it.
pub(crate) const ROUNDS_AT_ONCE_MAX: usize = 16;

/// One command's questions to the venue.
pub(crate) struct Round {
    pub(crate) id: CommandId,
    pub(crate) command: ExecuteTrade,
    pub(crate) action: Action,
    pub(crate) connection: VenueConnection,
    pub(crate) seat: Seat<Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) turn: Arc<Semaphore>,
}

/// How a round ended, and the code that said so.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) resolution: Resolution,
    pub(crate) module: Arc<ModuleRef>,
}

impl Round {
    /// `None` if the module is gone.
    pub(crate) async fn run(self) -> Option<Resolved> {
        let _turn = self.turn.acquire().await.ok()?;
        let mut last: Option<LastAnswer> = None;
        let mut made_by = None;
        for _ in 0..QUESTIONS_PER_ROUND_MAX {
            let (command, action, now) = (self.command.clone(), self.action.clone(), self.clock.now());
            let step = self.seat.ask(move |executor| executor.resolve(&command, &action, last.as_ref(), now));
            let Answer { module, value } = step.await.ok()?;
            let module = made_by.insert(module);
            match value {
                Ok(Step::Ask(query)) => {
                    last = Some(self.connection.ask(query).await);
                    reach(Point::ResolveAnswered);
                }
                Ok(Step::Final(verdict)) => {
                    reach(Point::ResolveDecided);
                    let resolution = Resolution::Final(ending(verdict, self.clock.now()));
                    return Some(Resolved { resolution, module: Arc::clone(module) });
                }
                Ok(Step::WaitUntil(at)) => {
                    let at = Timestamp::from_micros(i64::try_from(at).unwrap_or(i64::MAX));
                    return Some(Resolved { resolution: Resolution::WaitUntil(at), module: Arc::clone(module) });
                }
                Err(fault) => {
                    tracing::error!(command_id = %self.id, %fault, "the module could not say what to ask");
                    break;
                }
            }
        }
        let resolution = Resolution::WaitUntil(self.clock.now().plus_millis(RESOLVE_RETRY_MS));
        Some(Resolved { resolution, module: made_by? })
    }
}

fn ending(verdict: FinalVerdict, now: Timestamp) -> Ending {
    let status = match verdict.status {
        FinalStatus::Executed => ResultStatus::Executed,
        FinalStatus::Rejected => ResultStatus::Rejected,
        FinalStatus::NotExecuted => ResultStatus::NotExecuted,
        FinalStatus::Unresolved => ResultStatus::Unresolved,
    };
    let kind = if verdict.by_chain { EvidenceKind::ChainQuery } else { EvidenceKind::VenueQuery };
    let venue_time = verdict.venue_time.and_then(|at| i64::try_from(at).ok()).map(Timestamp::from_micros);
    let known = Known { kind, received_at: now, venue_time, detail: Some(verdict.detail) };
    Ending { status, code: verdict.code, note: None, evidence: Some(known) }
}

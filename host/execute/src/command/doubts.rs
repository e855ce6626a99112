//! Asking the venue: how a doubt ends, and what became of an answer that was accepted.

use std::sync::Arc;

use tokio::sync::Semaphore;
use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::{Action, ExecuteTrade, FinalStatus, FinalVerdict, LastAnswer, Resolution as Step};
use unrip_service::RunError;
use unrip_service::clock::Clock;

use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::executor::Service;
use crate::venue::{Desk, Link};
use unrip_protocol::partition::{Ending, Known, Resolution};

/// Questions in one round of a doubt; a module that wants more waits for the next round.
const QUESTIONS_PER_ROUND_MAX: usize = 8;
/// Pause before a doubt is taken up again after the module failed, in milliseconds.
const RESOLVE_RETRY_MS: i64 = 2_000;
/// Rounds that ask the venue at the same time: a restart with many doubts must not flood it.
pub(crate) const ROUNDS_AT_ONCE_MAX: usize = 16;

/// One command's questions to the venue.
struct Round {
    id: CommandId,
    command: ExecuteTrade,
    action: Action,
    link: Link,
    desk: Desk,
    clock: Arc<dyn Clock>,
    turn: Arc<Semaphore>,
}

impl Service {
    /// One round of a doubt: the module says what to ask, the host asks, until it decides or wants to wait.
    pub(crate) fn resolve(&self, partition: i32, id: CommandId) {
        let Some(round) = self.round(partition, id) else { return };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            reach(Point::ResolveBegin);
            if let Some(resolution) = round.run().await {
                let _ = inputs.send(Input::Resolved { partition, id, resolution }).await;
            }
        });
    }

    /// The same questions about a command that was executed: whether it settled, now that its deadline has passed.
    pub(crate) fn follow(&self, partition: i32, id: CommandId) {
        let Some(round) = self.round(partition, id) else { return };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            if let Some(resolution) = round.run().await {
                let _ = inputs.send(Input::Followed { partition, id, resolution }).await;
            }
        });
    }

    /// What became of an executed command.
    pub(crate) fn followed(&mut self, partition: i32, id: CommandId, resolution: Resolution) -> Result<(), RunError> {
        let now = self.now();
        match resolution {
            Resolution::WaitUntil(at) => {
                if let Some(slot) = self.slots.get_mut(&partition) {
                    slot.index.ask_again(id, at);
                }
                Ok(())
            }
            Resolution::Final(ending) => match ending.status {
                ResultStatus::Executed => self.settlement(partition, id, StatusState::Settled, detail(ending), now),
                ResultStatus::NotExecuted => self.settlement(partition, id, StatusState::Lapsed, detail(ending), now),
                // The venue has no means to say; there is nothing to tell.
                _ => Ok(()),
            },
        }
    }

    fn round(&self, partition: i32, id: CommandId) -> Option<Round> {
        let held = self.slots.get(&partition)?.held.get(&id)?;
        Some(Round {
            id,
            command: ExecuteTrade::from(&held.cause.command.payload),
            action: held.claimed.as_ref()?.action.clone(),
            link: self.link.clone(),
            desk: self.desk.clone(),
            clock: Arc::clone(&self.ctx.clock),
            turn: Arc::clone(&self.rounds),
        })
    }
}

impl Round {
    /// `None` if the module is gone.
    async fn run(self) -> Option<Resolution> {
        let _turn = self.turn.acquire().await.ok()?;
        let mut last: Option<LastAnswer> = None;
        for _ in 0..QUESTIONS_PER_ROUND_MAX {
            let (command, action, now) = (self.command.clone(), self.action.clone(), self.clock.now());
            let step = self.desk.ask(move |executor| executor.resolve(&command, &action, last.as_ref(), now)).await?;
            match step {
                Ok(Step::Ask(query)) => {
                    last = Some(self.link.ask(query).await);
                    reach(Point::ResolveAnswered);
                }
                Ok(Step::Final(verdict)) => {
                    reach(Point::ResolveDecided);
                    return Some(Resolution::Final(ending(verdict, self.clock.now())));
                }
                Ok(Step::WaitUntil(at)) => {
                    return Some(Resolution::WaitUntil(Timestamp::from_micros(i64::try_from(at).unwrap_or(i64::MAX))));
                }
                Err(fault) => {
                    tracing::error!(command_id = %self.id, %fault, "the module could not say what to ask");
                    break;
                }
            }
        }
        Some(Resolution::WaitUntil(self.clock.now().plus_millis(RESOLVE_RETRY_MS)))
    }
}

fn detail(ending: Ending) -> Option<String> {
    ending.evidence.and_then(|known| known.detail)
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

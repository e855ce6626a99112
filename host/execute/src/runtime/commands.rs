//! A command's way through the module: reading, preparing, sending, and asking when in doubt.

use std::sync::Arc;

use unrip_bus::Record;
use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp, id::sha256_hex};
use unrip_engine::executor::{ExecuteTrade, FinalStatus, FinalVerdict, LastAnswer, Refusal, Resolution as Step};
use unrip_service::RunError;
use unrip_service::clock::Clock;
use unrip_service::dead_letter::{self, Reason};

use super::effects::group;
use super::records::Cause;
use super::service::Service;
use super::slot::{Claimed, Held};
use super::{Input, gates::Gates};
use crate::core::intake::{CommandRecord, Intake, judge};
use crate::core::partition::{Effect, Ending, Event, Incoming, Known, Preparation, Resolution, SendEnd};
use crate::points::{Point, reach};
use crate::signer::Signer;
use crate::venue::{Link, Order, Outcome, Stop};

/// Questions in one round of a doubt; a module that wants more waits for the next round.
const QUESTIONS_PER_ROUND_MAX: usize = 8;
/// Pause before a doubt is taken up again after the module failed, in milliseconds.
const RESOLVE_RETRY_MS: i64 = 2_000;

impl Service {
    /// Takes a record of the command topic.
    pub(super) async fn command(&mut self, record: Record) -> Result<(), RunError> {
        let now = self.now();
        let (partition, offset) = (record.partition, record.offset);
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        if !slot.core.is_active() {
            return Ok(());
        }
        reach(Point::CommandReceived);
        slot.next_offset = slot.next_offset.max(offset + 1);
        let raw = CommandRecord {
            partition,
            partitions: self.partitions,
            offset,
            key: record.key.as_deref(),
            value: &record.value,
        };
        let incoming = match judge(raw, &self.maker.venue) {
            Intake::Foreign => Incoming::Foreign { offset },
            Intake::Unacceptable(why) => {
                Incoming::Unacceptable { offset, id: why.id, code: why.code, reason: why.reason }
            }
            Intake::Ours { head, command, envelope } => {
                let refusal = self.gates.refusal(&self.maker.venue, &command.payload.account);
                let refusal = refusal.map(|code| (code.to_owned(), "the kill switch is closed".to_owned()));
                let cause = Cause { command: *command, trace: record.trace() };
                let held = Held { head: head.clone(), cause, envelope, claimed: None, ended: None };
                // A record that repeats a command keeps what is known of the first.
                slot.held.entry(head.id).or_insert(held);
                Incoming::Ours(head, refusal)
            }
        };
        let effects = self.decide(partition, Event::Command(incoming), now)?;
        reach(Point::CommandJudged);
        for effect in &effects {
            if let Effect::DeadLetter { offset, code, reason } = effect {
                tracing::warn!(partition, offset, code, reason, "command passed over");
                self.metrics.skips.inc(code);
                let why = Reason { code, text: reason };
                let venue = &self.maker.venue;
                let letter = dead_letter::from_record(&record, &group(venue), why, venue, now, &self.ctx.ids);
                if let Some(slot) = self.slots.get_mut(&partition) {
                    slot.dead.insert(*offset, letter);
                }
            }
        }
        self.perform_all(partition, effects, now).await
    }

    pub(super) fn prepare(&self, partition: i32, id: CommandId) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(()) };
        reach(Point::PrepareBefore);
        let command = ExecuteTrade::from(&held.cause.command.payload);
        let account = held.cause.command.payload.account.clone();
        let (now, facts) = (self.now(), self.link.facts().at(self.now()));
        let (desk, inputs, signers) = (self.desk.clone(), self.inputs.clone(), Arc::clone(&self.signers));
        tokio::spawn(async move {
            let prepared = desk.ask(move |executor| executor.prepare(&command, &facts, now)).await;
            let never = |code: &str, reason: String| (None, Preparation::Never { code: code.to_owned(), reason });
            let (action, preparation) = match prepared {
                Some(Ok(Ok(action))) if find_signer(&signers, &action.scheme, &account).is_none() => {
                    let scheme = &action.scheme;
                    never("limit_signer", format!("no [signer] signs `{scheme}` for account `{account}`"))
                }
                Some(Ok(Ok(action))) => (Some(action), Preparation::Ready),
                Some(Ok(Err(Refusal::NotYet(reason)))) => {
                    tracing::debug!(command_id = %id, code = reason.code, reason = reason.text, "not prepared yet");
                    (None, Preparation::NotYet)
                }
                Some(Ok(Err(Refusal::Never(reason)))) => {
                    never("module_refused", format!("{}: {}", reason.code, reason.text))
                }
                Some(Err(fault)) => never("module_refused", fault.to_string()),
                None => return,
            };
            let _ = inputs.send(Input::Prepared { partition, id, action, preparation }).await;
        });
        Ok(())
    }

    /// Keeps the prepared action and goes on.
    pub(super) fn keep_prepared(
        &mut self,
        partition: i32,
        id: &CommandId,
        action: Option<unrip_engine::executor::Action>,
    ) {
        let held = self.slots.get_mut(&partition).and_then(|slot| slot.held.get_mut(id));
        if let (Some(held), Some(action)) = (held, action) {
            reach(Point::PrepareAfter);
            let digest = sha256_hex(&action.unsigned);
            held.claimed = Some(Claimed { action, digest });
        }
    }

    pub(super) fn dispatch(&self, partition: i32, id: CommandId) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(()) };
        reach(Point::ClaimFolded);
        let payload = &held.cause.command.payload;
        let order = held.claimed.as_ref().and_then(|claimed| {
            let signer = find_signer(&self.signers, &claimed.action.scheme, &payload.account)?;
            let gate = last_gate(
                self.gates.clone(),
                Arc::clone(&self.ctx.clock),
                partition,
                (self.maker.venue.clone(), payload.account.clone()),
                payload.dispatch_by,
            );
            let (command, action) = (ExecuteTrade::from(payload), claimed.action.clone());
            Some(Order { partition, id, command, action, signer, gate })
        });
        let (link, inputs) = (self.link.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let outcome = match order {
                Some(order) => link.send(order).await,
                None => Outcome { end: SendEnd::NotHanded, answer_lost: false },
            };
            let _ = inputs.send(Input::Sent { partition, id, outcome }).await;
        });
        Ok(())
    }

    /// One round of a doubt: the module says what to ask, the host asks, until it decides or wants to wait.
    pub(super) fn resolve(&self, partition: i32, id: CommandId) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(()) };
        let Some(claimed) = held.claimed.clone() else { return Ok(()) };
        let command = ExecuteTrade::from(&held.cause.command.payload);
        let (link, inputs, desk) = (self.link.clone(), self.inputs.clone(), self.desk.clone());
        let clock = Arc::clone(&self.ctx.clock);
        tokio::spawn(async move {
            let mut last: Option<LastAnswer> = None;
            reach(Point::ResolveBegin);
            for _ in 0..QUESTIONS_PER_ROUND_MAX {
                let (command, action, now) = (command.clone(), claimed.action.clone(), clock.now());
                let step = desk.ask(move |executor| executor.resolve(&command, &action, last.as_ref(), now)).await;
                let resolution = match step {
                    Some(Ok(Step::Ask(query))) => {
                        last = Some(ask(&link, query).await);
                        reach(Point::ResolveAnswered);
                        continue;
                    }
                    Some(Ok(Step::Final(verdict))) => {
                        reach(Point::ResolveDecided);
                        Resolution::Final(ending(verdict, clock.now()))
                    }
                    Some(Ok(Step::WaitUntil(at))) => {
                        Resolution::WaitUntil(Timestamp::from_micros(i64::try_from(at).unwrap_or(i64::MAX)))
                    }
                    Some(Err(fault)) => {
                        tracing::error!(command_id = %id, %fault, "the module could not resolve a doubt");
                        Resolution::WaitUntil(clock.now().plus_millis(RESOLVE_RETRY_MS))
                    }
                    None => return,
                };
                let _ = inputs.send(Input::Resolved { partition, id, resolution }).await;
                return;
            }
            let resolution = Resolution::WaitUntil(clock.now().plus_millis(RESOLVE_RETRY_MS));
            let _ = inputs.send(Input::Resolved { partition, id, resolution }).await;
        });
        Ok(())
    }

    pub(super) fn signer_for(&self, scheme: &str, account: &str) -> Option<Arc<dyn Signer>> {
        find_signer(&self.signers, scheme, account)
    }
}

async fn ask(link: &Link, query: unrip_engine::executor::Query) -> LastAnswer {
    link.ask(query).await
}

fn find_signer(signers: &[Arc<dyn Signer>], scheme: &str, account: &str) -> Option<Arc<dyn Signer>> {
    signers.iter().find(|signer| signer.scheme() == scheme && signer.account() == account).cloned()
}

/// The last word before bytes leave: ours, in time, and nobody closed the switch.
fn last_gate(
    gates: Gates,
    clock: Arc<dyn Clock>,
    partition: i32,
    (venue, account): (String, String),
    dispatch_by: Timestamp,
) -> crate::venue::LastGate {
    Box::new(move || {
        if !gates.is_active(partition) {
            return Some(Stop::Closed("gate_closed"));
        }
        if let Some(code) = gates.refusal(&venue, &account) {
            return Some(Stop::Closed(code));
        }
        (clock.now() >= dispatch_by).then_some(Stop::Late)
    })
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

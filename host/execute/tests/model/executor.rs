//! One process: the host around the production core, as small as it can be and still go wrong as the real one can.

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Uuid};
use unrip_execute::core::fold::{Fact, FoldView, Head, Placed};
use unrip_execute::core::partition::*;

use super::log::Draft;
use super::mutants::{Mutant, fold_own};
use super::properties::{AFTER_DRAIN, FORGOTTEN, LATE, UNCLAIMED};
use super::shared::Shared;
use super::state::{Executor, Flying, Host, State};
use super::venue;
use super::world::{Action, Record, World, floor, fresh};
use crate::common::VENUE;

pub struct Process<'a> {
    pub world: &'a World,
    pub state: &'a mut State,
    who: usize,
    pub executor: Executor,
}

impl<'a> Process<'a> {
    pub fn new(world: &'a World, state: &'a mut State, who: usize) -> Self {
        let executor = Executor::clone(&state.executors[who]);
        Self { world, state, who, executor }
    }

    pub fn act(&mut self, action: &Action) {
        match action {
            Action::Assign(_) => self.assigned(),
            Action::Steal(_) => {
                self.state.left.steals -= 1;
                self.assigned();
            }
            Action::Revoke(_) => {
                self.state.left.revokes -= 1;
                self.executor.host.leaving = true;
                if !self.is(Mutant::DrainBeginsWork) {
                    self.step(Event::Revoked);
                }
            }
            Action::Release(_) => {
                self.commit();
                self.lost();
            }
            Action::Lose(_) => {
                self.state.left.losses -= 1;
                self.lost();
            }
            Action::Crash(_) => {
                self.state.left.crashes -= 1;
                self.died();
            }
            Action::LoseNode(_) => {
                self.state.left.node_losses -= 1;
                self.died();
                self.executor.folded = 0;
                self.executor.noted.clear();
                self.executor.own = self.executor.own.take().map(|_| Box::default());
            }
            Action::Fold(_) => self.fold(self.executor.folded + 1),
            Action::FoldAll(_) => self.fold(self.state.log.records.len()),
            Action::Read(_) => self.read(),
            Action::Tick(_) => self.step(Event::Tick),
            Action::Retry(_) | Action::RetryEarly(_) => {
                self.state.left.retries -= u8::from(matches!(action, Action::RetryEarly(_)));
                self.executor.host.retried += 1;
                self.step(Event::Tick);
            }
            Action::Publish(_) => self.publish(),
            Action::Commit(_) => self.commit(),
            other => self.act_on_command(other),
        }
    }

    fn act_on_command(&mut self, action: &Action) {
        match action {
            Action::Prepared(_, id) => {
                self.executor.host.preparing.remove(id);
                self.step(Event::Prepared(*id, Preparation::Ready));
            }
            Action::NotYet(_, id) => {
                self.state.left.not_yet -= 1;
                self.executor.host.preparing.remove(id);
                self.step(Event::Prepared(*id, Preparation::NotYet));
            }
            Action::Gate(_, id) => self.gate(*id),
            Action::Halt(_, id) => {
                self.state.left.halts -= 1;
                self.executor.host.ordered.remove(id);
                self.step(Event::SendEnded(*id, SendEnd::Refused("halted")));
            }
            Action::Unready(_, id) => {
                self.state.left.unready -= 1;
                self.executor.host.ordered.remove(id);
                self.step(Event::SendEnded(*id, SendEnd::NotHanded));
            }
            Action::Write(_, id) => {
                self.release(*id, true);
                self.executor.host.awaiting.insert(*id);
                if !self.world.slow {
                    self.world.arrive(self.state, id);
                }
                self.step(Event::SendEnded(*id, SendEnd::Handed));
            }
            Action::Break(_, id, arrives) => self.breaks(*id, *arrives),
            Action::Answer(_, id) => self.answered(*id),
            Action::LoseAnswer(_, id) => {
                self.executor.host.awaiting.remove(id);
                self.answer_lost(*id);
            }
            Action::Timeout(_, id) => {
                self.state.left.timeouts -= 1;
                self.answer_lost(*id);
            }
            Action::Ask(_, id) => {
                self.executor.host.asking.remove(id);
                let resolution = venue::ask(self.world, self.state, id);
                self.step(Event::Resolved(*id, resolution));
            }
            _ => {}
        }
    }

    fn assigned(&mut self) {
        self.state.fences += 1;
        self.state.owner = Some(self.who);
        let fence_event_id = Uuid::from_u128(u128::from(self.state.fences));
        if self.executor.own.is_some() {
            self.executor.fences.insert(fence_event_id.as_u128());
        }
        if self.is(Mutant::NoRestore) {
            self.executor.own = Some(Box::default());
            self.executor.folded = self.state.log.records.len();
        }
        let next_offset = self.state.committed;
        self.executor.host.next_read = usize::try_from(next_offset).unwrap();
        self.executor.host.leaving = false;
        let (floor, first_fence_at, earlier_life) = (floor(), None, false);
        self.step(Event::Assigned(Assignment { fence_event_id, next_offset, floor, first_fence_at, earlier_life }));
    }

    /// The group, or a newer fence, took the partition.
    fn lost(&mut self) {
        self.step(Event::Lost);
        let host = &mut self.executor.host;
        (host.leaving, host.publisher, host.commit, host.next_read) = (false, None, None, 0);
        if self.state.owner == Some(self.who) {
            self.state.owner = None;
        }
    }

    fn died(&mut self) {
        self.executor.core = fresh();
        self.executor.host = Host::default();
        if self.state.owner == Some(self.who) {
            self.state.owner = None;
        }
    }

    /// The fold is on disk before anybody hears of it, a batch at a time.
    fn fold(&mut self, until: usize) {
        let log = self.state.log.clone();
        let from = self.executor.folded;
        self.executor.folded = until;
        let appended_at = floor();
        for index in from..until {
            let applied = match (self.world.mutant, self.executor.own.is_some()) {
                (Some(mutant), true) => fold_own(mutant, &mut self.executor, &log, index),
                _ => Some(log.applied[index].clone()),
            };
            if let Some(applied) = applied {
                let placed = log.records[index].placed.clone();
                self.step(Event::Folded { placed, applied, appended_at });
            }
        }
    }

    fn read(&mut self) {
        let index = self.executor.host.next_read;
        self.executor.host.next_read += 1;
        let offset = i64::try_from(index).unwrap();
        if self.is(Mutant::CommitsOnReceive) {
            self.state.committed = self.state.committed.max(offset + 1);
        }
        let incoming = match &self.world.topic[index] {
            Record::Ours(head) => {
                let held = &mut self.executor.host.held;
                if self.world.mutant == Some(Mutant::ConflictReplacesFirst) {
                    held.insert(head.id, head.clone());
                } else {
                    held.entry(head.id).or_insert_with(|| head.clone());
                }
                Incoming::Ours(head.clone(), None)
            }
            Record::Foreign => Incoming::Foreign { offset },
            Record::Poison => Incoming::Unacceptable { offset, id: None, code: "poison", reason: String::new() },
        };
        self.step(Event::Command(incoming));
    }

    /// The last word before bytes leave, asked when the socket is ready. The process may be paused right after it.
    fn gate(&mut self, id: CommandId) {
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

    fn sign(&mut self, id: &CommandId) {
        let folded = i64::try_from(self.executor.folded).unwrap();
        if !self.state.log.reading.claim(id).is_some_and(|claim| claim.offset < folded) {
            self.state.wrong = self.state.wrong.or(Some(UNCLAIMED));
        }
    }

    fn record_of(&self, id: &CommandId) -> Option<Head> {
        let claimed = self.state.log.reading.claim(id).map(|claim| &claim.head);
        self.executor.host.held.get(id).or(claimed).cloned()
    }

    /// Signed bytes go to the socket.
    fn release(&mut self, id: CommandId, arrives: bool) {
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

    fn breaks(&mut self, id: CommandId, arrives: bool) {
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

    fn answered(&mut self, id: CommandId) {
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

    fn answer_lost(&mut self, id: CommandId) {
        if self.is(Mutant::OwnTimeoutRejects) {
            return self.step(Event::Heard(id, venue::ending(ResultStatus::Rejected, "timeout")));
        }
        if self.is(Mutant::ResendsOnTimeout) {
            self.executor.host.ordered.insert(id);
        }
        self.step(Event::AnswerLost(id));
    }

    fn commit(&mut self) {
        if let Some(offset) = self.executor.host.commit.take() {
            self.state.committed = self.state.committed.max(offset);
        }
    }

    pub fn step(&mut self, event: Event) {
        let now = self.state.now(&self.executor);
        let log = self.state.log.clone();
        let executor = &mut self.executor;
        let view = executor.own.as_deref().unwrap_or(&log.folds[executor.folded]);
        let effects = executor.core.step(view, event, now).unwrap();
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::AppendFence(event_id) => {
                self.fly(event_id, Fact::Fence, None, "");
                if self.is(Mutant::NoReadBarrier) {
                    self.pretend_to_own();
                }
            }
            Effect::Activated => {
                self.executor.host.publisher = Some(Default::default());
                self.publish_unless_slow();
            }
            Effect::Prepare(id) if self.world.slow => {
                self.executor.host.preparing.insert(id);
            }
            Effect::Prepare(id) => self.step(Event::Prepared(id, Preparation::Ready)),
            Effect::AppendClaim { id, fence_offset } => self.append_claim(id, fence_offset),
            Effect::Dispatch(id) if !self.is(Mutant::ActsOnAck) => {
                self.executor.host.ordered.insert(id);
                if !self.world.slow && self.state.left.halts + self.state.left.unready == 0 {
                    self.gate(id);
                }
            }
            Effect::AppendOutcome { head, fence_offset, ending } => {
                if self.is(Mutant::PublishesUnreadOutcome) {
                    self.state.results.push((head.id, ending.status));
                }
                self.append_outcome(head, fence_offset, ending.status, &ending.code);
            }
            Effect::AdoptEvidence { head, fence_offset } => {
                let noted = self.entry(&head.id).and_then(|entry| entry.evidence);
                self.adopt(head, fence_offset, noted, "evidence");
            }
            Effect::AdoptDecision { head, fence_offset } => {
                let noted = self.entry(&head.id).and_then(|entry| entry.decision);
                self.adopt(head, fence_offset, noted, "decision");
            }
            Effect::AppendEvidence { id, ending, .. } => {
                if !self.is(Mutant::AnswerAfterFenceForgotten) {
                    self.fly(Uuid::nil(), Fact::Evidence { id }, Some(ending.status), "");
                }
            }
            Effect::AppendSkip { offset, fence_offset, code, .. } => {
                self.fly(Uuid::nil(), Fact::Skip { command_offset: offset, fence_offset }, None, code);
            }
            Effect::Resolve(id) => {
                if !self.instead_of_asking(id) {
                    self.executor.host.asking.insert(id);
                }
            }
            Effect::Publish(_) => {
                if let Some(publisher) = &mut self.executor.host.publisher {
                    publisher.poked = true;
                }
                self.publish_unless_slow();
            }
            Effect::Commit(offset) => {
                self.executor.host.commit = Some(offset);
                if !self.world.slow {
                    self.commit();
                }
            }
            Effect::Rejoin if !self.is(Mutant::FencedStays) => self.lost(),
            _ => {}
        }
    }

    fn append_claim(&mut self, id: CommandId, fence_offset: i64) {
        let head = self.executor.host.held[&id].clone();
        if self.executor.host.leaving {
            self.state.wrong = Some(AFTER_DRAIN);
        }
        self.fly(Uuid::nil(), Fact::Claim { head, fence_offset }, None, "");
        if self.is(Mutant::SignsBeforeReadBack) {
            self.sign(&id);
        }
        if self.is(Mutant::ActsOnAck) {
            self.executor.host.ordered.insert(id);
        }
    }

    fn append_outcome(&mut self, head: Head, fence_offset: i64, status: ResultStatus, code: &str) {
        self.fly(Uuid::nil(), Fact::Outcome { head, fence_offset, status }, None, code);
    }

    fn adopt(&mut self, head: Head, fence_offset: i64, noted: Option<i64>, code: &str) {
        let said = noted.and_then(|offset| self.state.log.records[usize::try_from(offset).unwrap()].said);
        if let Some(status) = said {
            self.append_outcome(head, fence_offset, status, code);
        }
    }

    fn entry(&self, id: &CommandId) -> Option<unrip_execute::core::fold::Entry> {
        let shared = &*self.state.log.folds[self.executor.folded];
        self.executor.own.as_deref().unwrap_or(shared).entry(id).unwrap()
    }

    fn fly(&mut self, event_id: Uuid, fact: Fact, said: Option<ResultStatus>, code: &str) {
        let placed = Placed { offset: -1, event_id, venue: VENUE.to_owned(), fact };
        let draft = Shared::new(Draft { placed, said, code: code.to_owned() });
        self.state.flying.push(Flying { draft, from: self.who });
    }

    /// Only of a mutant: the fence lands and is told, and what stands before it was not read.
    fn pretend_to_own(&mut self) {
        let Some(fence) = self.state.flying.pop() else { return };
        self.state.log = Shared::new(self.state.log.append(&fence.draft, self.world.mutant));
        let placed = self.state.log.records.last().unwrap().placed.clone();
        let applied = unrip_execute::core::fold::Applied::Fenced;
        self.step(Event::Folded { placed, applied, appended_at: floor() });
    }
}

impl Process<'_> {
    fn publish_unless_slow(&mut self) {
        let is_due = |host: &Host| host.publisher.as_ref().is_some_and(|publisher| !publisher.ready || publisher.poked);
        while !self.world.slow && is_due(&self.executor.host) {
            self.publish();
        }
    }

    /// What is there is read first, what is missing follows; an older owner's transaction is refused.
    fn publish(&mut self) {
        let Some(mut publisher) = self.executor.host.publisher.take() else { return };
        let state = &mut *self.state;
        let fenced = state.producer != Some(self.who) && self.world.mutant != Some(Mutant::OldPublisherNotFenced);
        if publisher.ready && publisher.poked && fenced {
            publisher.ready = false;
        } else if !publisher.ready {
            state.producer = Some(self.who);
            (publisher.ready, publisher.poked) = (true, true);
            if self.world.mutant != Some(Mutant::PublishesWithoutReading) {
                publisher.known = state.results.iter().map(|(id, _)| *id).collect();
            }
        } else if publisher.poked {
            publisher.poked = false;
            let fold = self.executor.own.as_deref().unwrap_or(&state.log.folds[self.executor.folded]);
            for entry in fold.entries() {
                let Some(outcome) = entry.outcome else { continue };
                let id = entry.head.id;
                let is_new = publisher.known.insert(id);
                if self.executor.noted.insert(id) && is_new {
                    state.results.push((id, outcome.status));
                }
            }
        }
        self.executor.host.publisher = Some(publisher);
    }
}

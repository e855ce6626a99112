//! What the core wants done, done: appends fly, bytes are ordered, results are published.

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Uuid};
use unrip_protocol::fold::{Applied, Entry, Fact, FoldView, Head, Placed};
use unrip_protocol::partition::*;

use super::executor::Process;
use super::log::Draft;
use super::mutants::Mutant;
use super::properties::AFTER_DRAIN;
use super::shared::Shared;
use super::state::{Flying, Host};
use super::world::floor;
use crate::common::VENUE;

impl Process<'_> {
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
            Effect::AppendEvidence { id, ending, .. } if !self.is(Mutant::AnswerAfterFenceForgotten) => {
                self.fly(Uuid::nil(), Fact::Evidence { id }, Some(ending.status), "");
            }
            Effect::AppendSkip { offset, fence_offset, code, .. } => {
                self.fly(Uuid::nil(), Fact::Skip { command_offset: offset, fence_offset }, None, code);
            }
            Effect::Resolve(id) if !self.instead_of_asking(id) => {
                self.executor.host.asking.insert(id);
            }
            Effect::Ended(_) => {
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

    fn entry(&self, id: &CommandId) -> Option<Entry> {
        let shared = &*self.state.log.folds[self.executor.folded];
        self.executor.own.as_deref().unwrap_or(shared).entry(id).unwrap()
    }

    fn fly(&mut self, event_id: Uuid, fact: Fact, said: Option<ResultStatus>, code: &str) {
        let placed = Placed { offset: -1, event_id, venue: VENUE.to_owned(), fact };
        let draft = Shared::new(Draft { placed, said, code: code.to_owned() });
        self.state.flying.push(Flying { draft, from: self.who });
    }

    /// Only of a mutant: the fence lands and is reported, and what stands before it was not read.
    fn pretend_to_own(&mut self) {
        let Some(fence) = self.state.flying.pop() else { return };
        self.state.log = Shared::new(self.state.log.append(&fence.draft, self.world.mutant));
        let placed = self.state.log.records.last().unwrap().placed.clone();
        let applied = Applied::Fenced;
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
    pub fn publish(&mut self) {
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

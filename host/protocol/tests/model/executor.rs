//! One process: the host around the production core, as small as it can be and still go wrong as the real one can.

use unrip_core::Uuid;
use unrip_protocol::partition::*;

use super::actions::Action;
use super::mutants::{Mutant, fold_own};
use super::state::{Executor, Host, State};
use super::venue;
use super::world::{Record, World, floor, fresh};

pub struct Process<'a> {
    pub world: &'a World,
    pub state: &'a mut State,
    pub who: usize,
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

    pub fn act_on_command(&mut self, action: &Action) {
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

    pub fn assigned(&mut self) {
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
    pub fn lost(&mut self) {
        self.step(Event::Lost);
        let host = &mut self.executor.host;
        (host.leaving, host.publisher, host.commit, host.next_read) = (false, None, None, 0);
        if self.state.owner == Some(self.who) {
            self.state.owner = None;
        }
    }

    pub fn died(&mut self) {
        self.executor.core = fresh();
        self.executor.host = Host::default();
        if self.state.owner == Some(self.who) {
            self.state.owner = None;
        }
    }

    /// The fold is on disk before anybody hears of it, a batch at a time.
    pub fn fold(&mut self, until: usize) {
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

    pub fn read(&mut self) {
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

    pub fn commit(&mut self) {
        if let Some(offset) = self.executor.host.commit.take() {
            self.state.committed = self.state.committed.max(offset);
        }
    }
}

//! The world of the search: everything outside the core, small enough to be explored.

#![allow(unreachable_pub, reason = "a test of its own")]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp, Uuid};
use unrip_execute::core::fold::{Fact, Head, MemoryFold, Placed, apply};
use unrip_execute::core::intake::Bounds;
use unrip_execute::core::partition::*;

use crate::common::{VENUE, at, command};

/// How often each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub assigns: u8,
    pub crashes: u8,
    pub node_losses: u8,
    pub drops: u8,
}

/// A protocol that is wrong in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    Nothing,
    EarlyVerdict,
    VenueIgnoresExpiry,
    CommitOnRead,
    ForgetsHistory,
    DispatchOnAppend,
    NoKey,
}

/// A walk mostly works; faults and time are rarer, or nothing would ever get far.
const WORK: u64 = 24;
const FAULT: u64 = 4;
const TIME: u64 = 1;

/// Before `dispatch_by`, between it and the deadline, after the deadline.
const TIMES: [i64; 3] = [1, 3_001, 66_000];

#[derive(Clone, PartialEq, Eq, Hash)]
struct Executor {
    core: Partition,
    /// Survives a crash (it is LMDB), not a node loss.
    fold: MemoryFold,
    folded: usize,
    next_read: usize,
    /// Dispatch was asked for; the gate was not asked yet.
    to_send: BTreeSet<CommandId>,
    /// The gate said yes; the process may be paused right before the write.
    writing: BTreeSet<CommandId>,
    /// Sent by this process; the answer may still come.
    awaiting: BTreeSet<CommandId>,
    asking: BTreeSet<CommandId>,
}

#[derive(Clone)]
pub struct World {
    commands: Vec<Head>,
    broken: Broken,
    budget: Budget,
    time: usize,
    log: Vec<Placed>,
    /// Appends under way: they may land at any time, also after their writer is gone.
    flying: Vec<Placed>,
    executors: [Executor; 2],
    committed: i64,
    fences: u128,
    sends: BTreeMap<CommandId, u8>,
    accepted: BTreeSet<CommandId>,
    by_question: bool,
    steps: Vec<String>,
    /// How likely a walk takes the step that led here.
    pub weight: u64,
}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.budget, self.time, &self.log, &self.flying, &self.executors).hash(state);
        (self.committed, &self.sends, &self.accepted).hash(state);
    }
}

impl World {
    pub fn new(commands: u128, one_key: bool, budget: Budget, broken: Broken) -> Self {
        let key = |number| if one_key { "key".to_owned() } else { format!("key-{number}") };
        let commands = (1..=commands).map(|number| Head { offset: number as i64 - 1, ..command(number, &key(number)) });
        let executor = Executor {
            core: fresh(),
            fold: MemoryFold::default(),
            folded: 0,
            next_read: 0,
            to_send: BTreeSet::new(),
            writing: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            asking: BTreeSet::new(),
        };
        Self {
            commands: commands.collect(),
            broken,
            budget,
            time: 0,
            log: Vec::new(),
            flying: Vec::new(),
            executors: [executor.clone(), executor],
            committed: 0,
            fences: 0,
            sends: BTreeMap::new(),
            accepted: BTreeSet::new(),
            by_question: false,
            steps: Vec::new(),
            weight: 0,
        }
    }

    pub fn sent_once(&self) -> bool {
        !self.sends.is_empty()
    }

    pub fn ended_by_question(&self) -> bool {
        self.by_question
    }

    pub fn path(&self) -> String {
        self.steps.join("\n")
    }

    /// What must hold in every state.
    pub fn violation(&self) -> Option<String> {
        if let Some((id, _)) = self.sends.iter().find(|(_, sends)| **sends > 1) {
            return Some(format!("{id} was sent twice"));
        }
        let keys: Vec<&str> = self
            .commands
            .iter()
            .filter(|head| self.sends.contains_key(&head.id))
            .map(|head| head.idempotency_key.as_str())
            .collect();
        if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
            return Some("an idempotency key was sent twice".to_owned());
        }
        let mut truth = MemoryFold::default();
        self.log.iter().for_each(|placed| drop(self.apply(&mut truth, placed)));
        for entry in truth.entries() {
            let Some(outcome) = entry.outcome else { continue };
            let accepted = self.accepted.contains(&entry.head.id);
            if (outcome.status == ResultStatus::Executed) != accepted {
                return Some(format!("{} ended {:?}, accepted: {accepted}", entry.head.id, outcome.status));
            }
        }
        let known: BTreeSet<i64> = truth.entries().map(|entry| entry.head.offset).collect();
        (0..self.committed)
            .find(|offset| !known.contains(offset))
            .map(|offset| format!("offset {offset} was committed and is in no journal"))
    }

    fn apply(&self, fold: &mut MemoryFold, placed: &Placed) -> unrip_execute::core::fold::Applied {
        let mut placed = placed.clone();
        if let Fact::Claim { head, .. } = &mut placed.fact
            && self.broken == Broken::NoKey
        {
            head.idempotency_key = head.id.to_string();
        }
        apply(fold, &placed).unwrap()
    }

    pub fn successors(&self) -> Vec<World> {
        let mut next = Vec::new();
        if self.time + 1 < TIMES.len() {
            let mut world = self.after(format!("time {}", self.time + 1));
            world.time += 1;
            world.weight = TIME;
            next.push(world);
        }
        for index in 0..self.flying.len() {
            next.push(self.landed(index));
            if self.budget.drops > 0 {
                let mut world = self.after(format!("drop {:?}", self.flying[index].fact));
                world.budget.drops -= 1;
                world.weight = FAULT;
                world.flying.remove(index);
                next.push(world);
            }
        }
        for who in 0..2 {
            self.faults(who, &mut next);
            self.works(who, &mut next);
        }
        next
    }

    fn landed(&self, index: usize) -> World {
        let mut world = self.after(format!("land {:?}", self.flying[index].fact));
        let mut placed = world.flying.remove(index);
        placed.offset = world.log.len() as i64;
        world.log.push(placed);
        world
    }

    fn faults(&self, who: usize, next: &mut Vec<World>) {
        if self.budget.assigns > 0 {
            let mut world = self.after(format!("{who}: assigned"));
            world.budget.assigns -= 1;
            world.weight = FAULT;
            world.fences += 1;
            let assignment = Assignment {
                fence_event_id: Uuid::from_u128(world.fences),
                next_offset: world.committed,
                floor: at(-1_000_000),
                first_fence_at: None,
                earlier_life: false,
            };
            world.executors[who].next_read = usize::try_from(world.committed).unwrap();
            world.step(who, Event::Assigned(assignment));
            next.push(world);
        }
        let began = self.executors[who].core != fresh();
        for (left, loses_disk) in [(self.budget.crashes, false), (self.budget.node_losses, true)] {
            if left == 0 || !began {
                continue;
            }
            let mut world = self.after(format!("{who}: crash, disk lost: {loses_disk}"));
            if loses_disk {
                world.budget.node_losses -= 1
            } else {
                world.budget.crashes -= 1
            }
            world.weight = FAULT;
            let executor = &mut world.executors[who];
            executor.core = fresh();
            executor.next_read = 0;
            for doing in [&mut executor.to_send, &mut executor.writing, &mut executor.awaiting, &mut executor.asking] {
                doing.clear();
            }
            if loses_disk || self.broken == Broken::ForgetsHistory {
                executor.fold = MemoryFold::default();
                executor.folded = 0;
            }
            if self.broken == Broken::ForgetsHistory {
                executor.folded = world.log.len();
            }
            next.push(world);
        }
    }

    fn works(&self, who: usize, next: &mut Vec<World>) {
        let executor = &self.executors[who];
        if let Some(placed) = self.log.get(executor.folded) {
            let mut world = self.after(format!("{who}: folds {:?}", placed.fact));
            let mut fold = std::mem::take(&mut world.executors[who].fold);
            let applied = self.apply(&mut fold, placed);
            world.executors[who].fold = fold;
            world.executors[who].folded += 1;
            world.step(who, Event::Folded { placed: placed.clone(), applied, appended_at: at(0) });
            next.push(world);
        }
        if let Some(head) = self.commands.get(executor.next_read).filter(|_| executor.core.is_active()) {
            let mut world = self.after(format!("{who}: reads {}", head.id));
            world.executors[who].next_read += 1;
            if self.broken == Broken::CommitOnRead {
                world.committed = world.committed.max(head.offset + 1);
            }
            world.step(who, Event::Command(Incoming::Ours(head.clone(), None)));
            next.push(world);
        }
        let mut ticked = self.after(format!("{who}: tick"));
        ticked.step(who, Event::Tick);
        if ticked.executors[who] != *executor || ticked.flying.len() > self.flying.len() {
            next.push(ticked);
        }
        for id in &executor.to_send {
            let mut world = self.after(format!("{who}: gate for {id}"));
            world.executors[who].to_send.remove(id);
            let late = self.now() >= at(3_000);
            if self.broken == Broken::DispatchOnAppend || (executor.core.is_active() && !late) {
                world.executors[who].writing.insert(*id);
            } else {
                let end = if late { SendEnd::NotHanded } else { SendEnd::Refused("gate_closed") };
                world.step(who, Event::SendEnded(*id, end));
            }
            next.push(world);
        }
        for id in &executor.writing {
            let mut world = self.after(format!("{who}: writes {id}"));
            world.executors[who].writing.remove(id);
            world.executors[who].awaiting.insert(*id);
            *world.sends.entry(*id).or_default() += 1;
            // The venue enforces the expiry inside the signed payload.
            if self.time < 2 || self.broken == Broken::VenueIgnoresExpiry {
                world.accepted.insert(*id);
            }
            world.step(who, Event::SendEnded(*id, SendEnd::Handed));
            next.push(world);
        }
        for id in &executor.awaiting {
            for lost in [false, true] {
                let mut world = self.after(format!("{who}: answer for {id}, lost: {lost}"));
                world.executors[who].awaiting.remove(id);
                let accepted = self.accepted.contains(id);
                let event = match (lost, accepted) {
                    (true, _) => Event::AnswerLost(*id),
                    (false, true) => Event::Heard(*id, ending(ResultStatus::Executed)),
                    (false, false) => Event::Heard(*id, ending(ResultStatus::Rejected)),
                };
                world.step(who, event);
                next.push(world);
            }
        }
        for id in &executor.asking {
            let mut world = self.after(format!("{who}: asks about {id}"));
            world.executors[who].asking.remove(id);
            let past = self.time == 2 || self.broken == Broken::EarlyVerdict;
            let resolution = match (self.accepted.contains(id), past) {
                (true, _) => Resolution::Final(ending(ResultStatus::Executed)),
                (false, true) => Resolution::Final(ending(ResultStatus::NotExecuted)),
                (false, false) => Resolution::WaitUntil(at(TIMES[(self.time + 1).min(2)])),
            };
            world.by_question |= matches!(resolution, Resolution::Final(_));
            world.step(who, Event::Resolved(*id, resolution));
            next.push(world);
        }
    }

    fn step(&mut self, who: usize, event: Event) {
        let now = self.now();
        let executor = &mut self.executors[who];
        let effects = executor.core.step(&executor.fold, event, now).unwrap();
        for effect in effects {
            self.perform(who, effect);
        }
    }

    fn perform(&mut self, who: usize, effect: Effect) {
        match effect {
            Effect::AppendFence(event_id) => self.fly(event_id, Fact::Fence),
            Effect::Prepare(id) => self.step(who, Event::Prepared(id, Preparation::Ready)),
            Effect::AppendClaim { id, fence_offset } => {
                let head = self.commands.iter().find(|head| head.id == id).unwrap().clone();
                self.fly(Uuid::nil(), Fact::Claim { head, fence_offset });
                if self.broken == Broken::DispatchOnAppend {
                    self.executors[who].to_send.insert(id);
                }
            }
            Effect::Dispatch(id) if self.broken != Broken::DispatchOnAppend => {
                self.executors[who].to_send.insert(id);
            }
            Effect::AppendOutcome { head, fence_offset, ending } => {
                self.fly(Uuid::nil(), Fact::Outcome { head, fence_offset, status: ending.status });
            }
            Effect::AdoptEvidence { head, fence_offset } => {
                let executed = self.accepted.contains(&head.id);
                let status = if executed { ResultStatus::Executed } else { ResultStatus::Rejected };
                self.fly(Uuid::nil(), Fact::Outcome { head, fence_offset, status });
            }
            Effect::AppendEvidence { id, .. } => self.fly(Uuid::nil(), Fact::Evidence { id }),
            Effect::AppendSkip { offset, fence_offset, .. } => {
                self.fly(Uuid::nil(), Fact::Skip { command_offset: offset, fence_offset });
            }
            Effect::Resolve(id) => {
                self.executors[who].asking.insert(id);
            }
            Effect::Commit(offset) => self.committed = self.committed.max(offset),
            Effect::Rejoin => self.step(who, Event::Lost),
            _ => {}
        }
    }

    fn fly(&mut self, event_id: Uuid, fact: Fact) {
        self.flying.push(Placed { offset: -1, event_id, venue: VENUE.to_owned(), fact });
    }

    fn now(&self) -> Timestamp {
        at(TIMES[self.time])
    }

    fn after(&self, step: String) -> World {
        let mut world = self.clone();
        world.steps.push(step);
        world.weight = WORK;
        world
    }
}

fn fresh() -> Partition {
    // Appends are not repeated here: the network's own delays are what is explored.
    let timing =
        Timing { append_retry_ms: i64::MAX, answer_timeout_ms: i64::MAX, prepare_retry_ms: 1, embargo_margin_ms: 0 };
    Partition::new(VENUE, Bounds::default(), timing)
}

fn ending(status: ResultStatus) -> Ending {
    let known = Known { kind: EvidenceKind::VenueAnswer, received_at: at(0), venue_time: None, detail: None };
    Ending { status, code: "model".to_owned(), note: None, evidence: Some(known) }
}

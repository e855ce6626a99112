//! The model: which steps the world can take, and what each does.

use stateright::{Model, Property};
use unrip_core::CommandId;
use unrip_execute::core::fold::{Fact, Head};
use unrip_execute::core::intake::Bounds;
use unrip_execute::core::partition::*;

use super::executor::Process;
use super::log::{Draft, Log};
use super::mutants::Mutant;
use super::shared::Shared;
use super::state::*;
use crate::common::{VENUE, at, placed};

/// A record of the command topic.
#[derive(Clone, Debug)]
pub enum Record {
    Ours(Head),
    /// Of another venue.
    Foreign,
    Poison,
}

/// A world with its first state.
#[derive(Clone, Debug)]
pub struct World {
    pub name: &'static str,
    pub topic: Vec<Record>,
    pub executors: usize,
    pub budget: Budget,
    /// What takes time is a step of its own: preparations, gates, the wire, single records, publication, commits. Else
    /// these follow at once, so that more of the rest can be explored.
    pub slow: bool,
    /// The venue can be asked; else a doubt ends `unresolved`.
    pub can_ask: bool,
    pub mutant: Option<Mutant>,
    /// Properties to be found true somewhere.
    pub wants: &'static [&'static str],
    /// The only promise to look at, where a mutant must break that one.
    pub only: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Time,
    Land(usize),
    Drop(usize),
    Duplicate(usize),
    ForeignFence,
    Assign(usize),
    Steal(usize),
    Revoke(usize),
    Release(usize),
    Lose(usize),
    Crash(usize),
    LoseNode(usize),
    Fold(usize),
    FoldAll(usize),
    Read(usize),
    Prepared(usize, CommandId),
    NotYet(usize, CommandId),
    Tick(usize),
    Retry(usize),
    RetryEarly(usize),
    Gate(usize, CommandId),
    Halt(usize, CommandId),
    Unready(usize, CommandId),
    Write(usize, CommandId),
    Break(usize, CommandId, bool),
    Arrive(CommandId),
    Answer(usize, CommandId),
    LoseAnswer(usize, CommandId),
    Timeout(usize, CommandId),
    Ask(usize, CommandId),
    Publish(usize),
    Commit(usize),
    Decide(CommandId),
}

impl World {
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        self.topic.iter().filter_map(|record| match record {
            Record::Ours(head) => Some(head),
            _ => None,
        })
    }

    /// What a record of the topic is the first of its id.
    pub fn first(&self, id: &CommandId) -> Option<&Head> {
        self.heads().find(|head| head.id == *id)
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        for index in 0..state.flying.len() {
            if left.drops > 0 {
                actions.push(Action::Drop(index));
            }
            if left.duplicates > 0 {
                actions.push(Action::Duplicate(index));
            }
        }
        if left.foreign > 0 {
            actions.push(Action::ForeignFence);
        }
        for (who, executor) in state.executors.iter().enumerate() {
            let is_owner = state.owner == Some(who);
            if left.steals > 0 && state.owner.is_some() && !is_owner {
                actions.push(Action::Steal(who));
            }
            if left.revokes > 0 && is_owner && !executor.host.leaving {
                actions.push(Action::Revoke(who));
            }
            let began = !executor.is_idle();
            for (left, action) in [
                (left.losses, Action::Lose(who)),
                (left.crashes, Action::Crash(who)),
                (left.node_losses, Action::LoseNode(who)),
            ] {
                if left > 0 && began {
                    actions.push(action);
                }
            }
            if left.retries > 0 && began {
                actions.push(Action::RetryEarly(who));
            }
            let host = &executor.host;
            for (left, ids, action) in [
                (left.halts, &host.ordered, Action::Halt as fn(usize, CommandId) -> Action),
                (left.unready, &host.ordered, Action::Unready),
                (left.timeouts, &host.awaiting, Action::Timeout),
                (left.not_yet, &host.preparing, Action::NotYet),
            ] {
                if left > 0 {
                    actions.extend(ids.iter().map(|id| action(who, *id)));
                }
            }
            if left.breaks > 0 {
                for arrives in [false, true] {
                    actions.extend(host.writing.iter().map(|id| Action::Break(who, *id, arrives)));
                }
            }
        }
        if left.decisions > 0 {
            let decidable = |id: &CommandId| state.venue.accepted.contains(id) || state.time + 1 == TIMES.len();
            let open = state.log.reading.claims.iter().map(|claim| claim.head.id);
            actions.extend(open.filter(decidable).map(Action::Decide));
        }
    }

    /// What happens without faults.
    pub fn work(&self, state: &State, actions: &mut Vec<Action>) {
        actions.extend((0..state.flying.len()).map(Action::Land));
        actions.extend(state.venue.wire.iter().map(|id| Action::Arrive(*id)));
        for (who, executor) in state.executors.iter().enumerate() {
            let host = &executor.host;
            match state.log.records.len() - executor.folded {
                // It folds when it has a part to play: until then nobody can tell the difference.
                _ if executor.is_idle() => {}
                0 => {}
                1 => actions.push(Action::FoldAll(who)),
                _ if self.slow => actions.extend([Action::Fold(who), Action::FoldAll(who)]),
                _ => actions.push(Action::FoldAll(who)),
            }
            let all = |ids: &std::collections::BTreeSet<CommandId>, action: fn(usize, CommandId) -> Action| {
                ids.iter().map(|id| action(who, *id)).collect::<Vec<_>>()
            };
            actions.extend(all(&host.preparing, Action::Prepared));
            actions.extend(all(&host.ordered, Action::Gate));
            actions.extend(all(&host.writing, Action::Write));
            let answered = |id: &CommandId| state.venue.accepted.contains(id) || state.venue.refused.contains(id);
            let awaiting = host.awaiting.iter().filter(|id| answered(id));
            actions.extend(awaiting.map(|id| Action::Answer(who, *id)));
            actions.extend(all(&host.asking, Action::Ask));
            if host.publisher.as_ref().is_some_and(|publisher| !publisher.ready || publisher.poked) {
                actions.push(Action::Publish(who));
            }
            if executor.core.is_active() && host.next_read < self.topic.len() {
                actions.push(Action::Read(who));
            }
            if host.commit.is_some() {
                actions.push(Action::Commit(who));
            }
            actions.push(Action::Tick(who));
            let is_quiet = !state.flying.iter().any(|flying| flying.from == who);
            if is_quiet && state.log.records.len() == executor.folded && host.retried < RETRIES_MAX {
                actions.push(Action::Retry(who));
            }
            if host.leaving {
                actions.push(Action::Release(who));
            }
            if state.owner.is_none() {
                actions.push(Action::Assign(who));
            }
            actions.extend(all(&host.awaiting, Action::LoseAnswer));
        }
        if state.time + 1 < TIMES.len() {
            actions.push(Action::Time);
        }
    }

    fn on(&self, state: &mut State, action: &Action) -> Option<()> {
        match action {
            Action::Time => state.time += 1,
            Action::Land(index) => {
                let flying = state.flying.remove(*index);
                state.log = Shared::new(state.log.append(&flying.draft, self.mutant));
            }
            Action::Drop(index) => {
                state.left.drops -= 1;
                state.flying.remove(*index);
            }
            Action::Duplicate(index) => {
                state.left.duplicates -= 1;
                let copy = state.flying[*index].clone();
                state.flying.push(copy);
            }
            Action::ForeignFence => {
                state.left.foreign -= 1;
                let mut fence = placed(0, Fact::Fence);
                (fence.venue, fence.event_id) = ("another-venue".to_owned(), unrip_core::Uuid::from_u128(u128::MAX));
                let draft = Draft { placed: fence, said: None, code: String::new() };
                state.log = Shared::new(state.log.append(&draft, self.mutant));
            }
            Action::Arrive(id) => self.arrive(state, id),
            Action::Decide(id) => self.decide(state, id),
            other => return self.on_executor(state, other),
        }
        Some(())
    }

    /// The venue enforces the expiry inside the signed payload.
    pub fn arrive(&self, state: &mut State, id: &CommandId) {
        state.venue.wire.retain(|other| other != id);
        if state.time + 1 < TIMES.len() || self.mutant == Some(Mutant::VenueIgnoresExpiry) {
            state.venue.accepted.insert(*id);
        } else {
            state.venue.refused.insert(*id);
        }
    }

    /// A person looks at the venue and says what is true.
    fn decide(&self, state: &mut State, id: &CommandId) {
        state.left.decisions -= 1;
        let said = super::venue::truth(&state.venue, id);
        let mut placed = placed(0, Fact::Decision { id: *id });
        placed.event_id = unrip_core::Uuid::nil();
        let draft = Draft { placed, said: Some(said), code: String::new() };
        state.flying.push(Flying { draft: Shared::new(draft), from: 0 });
    }

    fn on_executor(&self, state: &mut State, action: &Action) -> Option<()> {
        let who = action.executor()?;
        let before = state.executors[who].clone();
        let flying = state.flying.len();
        let mut process = Process::new(self, state, who);
        process.act(action);
        let executor = process.executor;
        state.executors[who] = Shared::new(executor);
        let appended = state.flying.len() != flying;
        let changed = state.executors[who] != before || appended;
        match action {
            Action::Tick(_) | Action::Publish(_) => changed.then_some(()),
            Action::Retry(_) | Action::RetryEarly(_) => appended.then_some(()),
            _ => Some(()),
        }
    }
}

impl Action {
    pub fn executor(&self) -> Option<usize> {
        match self {
            Self::Assign(who) | Self::Steal(who) | Self::Revoke(who) | Self::Release(who) | Self::Lose(who) => {
                Some(*who)
            }
            Self::Crash(who) | Self::LoseNode(who) | Self::Fold(who) | Self::FoldAll(who) | Self::Read(who) => {
                Some(*who)
            }
            Self::Tick(who) | Self::Retry(who) | Self::RetryEarly(who) | Self::Publish(who) | Self::Commit(who) => {
                Some(*who)
            }
            Self::Prepared(who, _) | Self::NotYet(who, _) | Self::Gate(who, _) | Self::Halt(who, _) => Some(*who),
            Self::Unready(who, _) | Self::Write(who, _) | Self::Break(who, _, _) | Self::Answer(who, _) => Some(*who),
            Self::LoseAnswer(who, _) | Self::Timeout(who, _) | Self::Ask(who, _) => Some(*who),
            _ => None,
        }
    }

    pub fn command(&self) -> Option<CommandId> {
        match self {
            Self::Prepared(_, id) | Self::NotYet(_, id) | Self::Gate(_, id) | Self::Halt(_, id) => Some(*id),
            Self::Unready(_, id) | Self::Write(_, id) | Self::Break(_, id, _) | Self::Answer(_, id) => Some(*id),
            Self::LoseAnswer(_, id) | Self::Timeout(_, id) | Self::Ask(_, id) | Self::Arrive(id) => Some(*id),
            Self::Decide(id) => Some(*id),
            _ => None,
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let executor = |name| Executor {
            name,
            core: fresh(),
            folded: 0,
            own: self.mutant.filter(|mutant| mutant.has_own_fold()).map(|_| Box::default()),
            fences: Default::default(),
            noted: Default::default(),
            host: Host::default(),
        };
        let mut state = State {
            left: self.budget,
            time: 0,
            log: Shared::new(Log::empty()),
            flying: Vec::new(),
            executors: (0..self.executors).map(|name| Shared::new(executor(name))).collect(),
            owner: None,
            committed: 0,
            fences: 0,
            venue: Venue::default(),
            results: Vec::new(),
            producer: None,
            wrong: None,
        };
        // One owner and its fence: what goes wrong before that is walked.
        for action in [Action::Assign(0), Action::Land(0), Action::FoldAll(0)].into_iter().filter(|_| !self.slow) {
            if action != Action::Land(0) || !state.flying.is_empty() {
                self.on(&mut state, &action);
            }
        }
        state.settle();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.work(state, actions);
        self.faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.on(&mut state, &action)?;
        state.settle();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        super::properties::of(self)
    }
}

pub fn fresh() -> Partition {
    // Waiting for answers is a step of its own here.
    let timing =
        Timing { append_retry_ms: RETRY_MS, answer_timeout_ms: i64::MAX, prepare_retry_ms: 0, embargo_margin_ms: 0 };
    Partition::new(VENUE, Bounds::default(), timing)
}

/// When the commands of the model may be read at the earliest.
pub fn floor() -> unrip_core::Timestamp {
    at(-1_000_000)
}

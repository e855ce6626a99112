//! The model: the world with its first state, and what each step does.

use stateright::{Model, Property};
use unrip_core::CommandId;
use unrip_protocol::fold::{Fact, Head};
use unrip_protocol::intake::Bounds;
use unrip_protocol::partition::*;

use super::actions::Action;
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
    let timing = Timing {
        append_retry_ms: RETRY_MS,
        answer_timeout_ms: i64::MAX,
        prepare_retry_ms: 0,
        fence_again_ms: i64::MAX,
        embargo_margin_ms: 0,
    };
    Partition::new(VENUE, Bounds::default(), timing)
}

/// When the commands of the model may be read at the earliest.
pub fn floor() -> unrip_core::Timestamp {
    at(-1_000_000)
}

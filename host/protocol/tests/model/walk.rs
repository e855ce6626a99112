//! The same world by seed: one path, hundreds of steps, every fault. After it the faults cease, and everything must end.

use stateright::Model;
use unrip_protocol::fold::Fact;

use super::actions::Action;
use super::log::Draft;
use super::properties::{WAY_TO_END, all_ended, broken, seen};
use super::state::State;
use super::world::World;

/// Steps of one walk at most, and of the calm after it.
const STEPS_MAX: usize = 400;
const CALM_MAX: usize = 2_000;

/// A promise broken, and how it came to that.
pub struct Found {
    pub promise: &'static str,
    pub path: Vec<String>,
    pub steps: usize,
}

pub struct Walk {
    pub found: Option<Found>,
    pub steps: usize,
    /// What came about of what must be possible.
    pub seen: Vec<&'static str>,
}

pub fn walk(world: &World, seed: u64) -> Walk {
    let mut state = world.init_states().remove(0);
    let mut path = Vec::new();
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut actions = Vec::new();
    let mood = Mood::new(&mut random);
    let until = STEPS_MAX / 4 + random.below(STEPS_MAX as u64 * 3 / 4) as usize;
    while path.len() < until {
        actions.clear();
        world.actions(&state, &mut actions);
        let Some((action, next)) = pick(world, &state, &mut actions, &mood, &mut random) else { break };
        path.push(described(&state, &action));
        state = next;
        if let Some(promise) = broken(world, &state) {
            return found(promise, path);
        }
    }
    let steps = path.len();
    match calm(world, &mut state, &mut path) {
        Some(promise) => found(promise, path),
        None => Walk { found: None, steps, seen: seen(world, &state) },
    }
}

fn found(promise: &'static str, path: Vec<Step>) -> Walk {
    let steps = path.len();
    let path = path.iter().map(Step::to_string).collect();
    Walk { found: Some(Found { promise, steps, path }), steps, seen: Vec::new() }
}

/// What is slow in one walk: it makes zombies, and bytes that leave late.
struct Mood {
    /// Executors that read the log late, bit by bit.
    readers: u64,
    /// The way from the gate to the venue.
    writes: bool,
    /// All of it: time flies.
    all: bool,
}

impl Mood {
    fn new(random: &mut Random) -> Self {
        Self { readers: random.below(8), writes: random.below(4) == 0, all: random.below(4) == 0 }
    }

    /// A walk mostly works; faults and time are rarer, or nothing would ever get far.
    fn weight(&self, state: &State, action: &Action) -> u64 {
        let is_slow = |who: &usize| self.readers & (1 << state.executors[*who].name) != 0;
        match action {
            Action::Fold(who) | Action::FoldAll(who) if is_slow(who) => 1,
            Action::Write(..) | Action::Arrive(_) if self.writes => 1,
            Action::Time if self.all => 12,
            Action::Time => 2,
            Action::Tick(_) | Action::Release(_) | Action::LoseAnswer(..) => 6,
            Action::Drop(_) | Action::Duplicate(_) | Action::ForeignFence => 2,
            Action::Steal(_) | Action::Revoke(_) | Action::Lose(_) | Action::Crash(_) | Action::LoseNode(_) => 2,
            Action::Retry(_) | Action::RetryEarly(_) | Action::Decide(_) => 3,
            Action::Halt(..) | Action::Unready(..) | Action::Break(..) | Action::Timeout(..) | Action::NotYet(..) => 8,
            _ => 24,
        }
    }
}

fn pick(
    world: &World,
    state: &State,
    actions: &mut Vec<Action>,
    mood: &Mood,
    random: &mut Random,
) -> Option<(Action, State)> {
    while !actions.is_empty() {
        let weights: Vec<u64> = actions.iter().map(|action| mood.weight(state, action)).collect();
        let mut at = random.below(weights.iter().sum());
        let chosen = weights.iter().position(|weight| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        })?;
        let action = actions.swap_remove(chosen);
        if let Some(next) = world.next_state(state, action.clone()) {
            return Some((action, next));
        }
    }
    None
}

/// No more faults: appends land, the log is folded, the venue answers. Everything must end, and no promise break.
fn calm(world: &World, state: &mut State, path: &mut Vec<Step>) -> Option<&'static str> {
    let mut actions = Vec::new();
    for _ in 0..CALM_MAX {
        if all_ended(world, state) {
            return None;
        }
        actions.clear();
        world.work(state, &mut actions);
        actions.sort_by_key(urgency);
        let next = actions.iter().find_map(|action| {
            let next = world.next_state(state, action.clone())?;
            (next != *state).then(|| (action.clone(), next))
        });
        let Some((action, next)) = next else { break };
        path.push(described(state, &action));
        *state = next;
        if let Some(promise) = broken(world, state) {
            return Some(promise);
        }
    }
    let looked_at = world.only.is_none_or(|only| only == WAY_TO_END);
    (looked_at && !all_ended(world, state)).then_some(WAY_TO_END)
}

fn urgency(action: &Action) -> u8 {
    match action {
        Action::Land(_) => 0,
        Action::FoldAll(_) => 1,
        Action::Fold(_) => 2,
        Action::Release(_) => 9,
        Action::Assign(_) => 10,
        Action::Tick(_) => 11,
        Action::Retry(_) => 12,
        Action::LoseAnswer(..) => 13,
        Action::Time => 14,
        _ => 5,
    }
}

/// A step of a path, printed only if it must be.
pub struct Step {
    action: Action,
    name: Option<usize>,
    draft: Option<super::shared::Shared<Draft>>,
}

pub fn described(state: &State, action: &Action) -> Step {
    let name = action.executor().map(|who| state.executors[who].name);
    let draft = match action {
        Action::Land(index) | Action::Drop(index) | Action::Duplicate(index) => {
            Some(state.flying[*index].draft.clone())
        }
        _ => None,
    };
    Step { action: action.clone(), name, draft }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:?}", self.action);
        let kind = text.split('(').next().unwrap_or_default();
        let of = self.action.command().map(|id| id.to_string()).unwrap_or_default();
        if let Some(name) = self.name {
            return write!(f, "executor {name}: {kind} {of}");
        }
        let Some(draft) = &self.draft else { return write!(f, "{kind} {of}") };
        match &draft.placed.fact {
            Fact::Claim { head, fence_offset } => {
                write!(f, "{kind}: claim of {} at {} under fence {fence_offset}", head.id, head.offset)
            }
            Fact::Outcome { head, fence_offset, status } => {
                write!(f, "{kind}: outcome of {} under fence {fence_offset}: {status:?} ({})", head.id, draft.code)
            }
            fact => write!(f, "{kind}: {fact:?}"),
        }
    }
}

/// xorshift64: any sequence that its seed repeats will do.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}

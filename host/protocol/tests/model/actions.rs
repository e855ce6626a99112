//! Which steps the world can take: work, and faults while their budget lasts.

use std::collections::BTreeSet;

use unrip_core::CommandId;

use super::state::{RETRIES_MAX, State, TIMES};
use super::world::World;

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

impl World {
    pub fn faults(&self, state: &State, actions: &mut Vec<Action>) {
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
                // It folds when it has a part to play: until then there is no difference to see.
                _ if executor.is_idle() => {}
                0 => {}
                1 => actions.push(Action::FoldAll(who)),
                _ if self.slow => actions.extend([Action::Fold(who), Action::FoldAll(who)]),
                _ => actions.push(Action::FoldAll(who)),
            }
            let all = |ids: &BTreeSet<CommandId>, action: fn(usize, CommandId) -> Action| {
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
}

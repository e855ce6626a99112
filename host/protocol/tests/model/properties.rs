//! The promises, each looked at in every state, and what must be found somewhere so that a search cannot be empty.

use std::collections::BTreeSet;

use stateright::Property;
use unrip_core::CommandId;
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Entry, Fact, Head, MemoryFold};

use super::state::State;
use super::world::{Record, World};

pub const ONE_SEND: &str = "at most one dispatch per command";
pub const ONE_SEND_PER_KEY: &str = "at most one dispatch per idempotency key";
pub const TRUE_VERDICTS: &str = "verdicts are true, for ever";
pub const NO_LOST_OFFSET: &str = "no offset past an unjournaled command";
pub const ONE_RESULT: &str = "one terminal result, as the log says";
pub const FENCED_CLAIMS: &str = "no claim valid after a newer fence";
pub const FIRST_STANDS: &str = "a conflict never alters the first";
pub const FOLD_IS_RULE: &str = "the fold is what the rule says";
pub const UNCLAIMED: &str = "nothing is signed before its claim is read back";
pub const LATE: &str = "no gate opens after dispatch_by";
pub const FORGOTTEN: &str = "an answer after a newer fence becomes evidence";
pub const AFTER_DRAIN: &str = "a drain begins nothing";
/// Looked at by the search for ways to the end, not in single states.
pub const WAY_TO_END: &str = "always a way to terminal";

pub const DISPATCH: &str = "a dispatch happens";
pub const ASKED: &str = "a doubt is resolved by asking";
pub const TAKEOVER: &str = "another owner ends what was sent";
pub const EVIDENCE: &str = "the next owner adopts evidence";
pub const DECISION: &str = "a person's decision is adopted";
pub const SECOND_OF_KEY: &str = "the second command of a key is rejected";
pub const PASSED_OVER: &str = "a contradicting record is passed over";
pub const ALL_ENDED: &str = "every command ends";

pub const ALL_PROMISES: [&str; 13] = [
    ONE_SEND,
    ONE_SEND_PER_KEY,
    TRUE_VERDICTS,
    NO_LOST_OFFSET,
    ONE_RESULT,
    FENCED_CLAIMS,
    FIRST_STANDS,
    FOLD_IS_RULE,
    UNCLAIMED,
    LATE,
    FORGOTTEN,
    AFTER_DRAIN,
    WAY_TO_END,
];

type Check = fn(&World, &State) -> bool;

const ALWAYS: [(&str, Check); 12] = [
    (ONE_SEND, one_send),
    (ONE_SEND_PER_KEY, one_send_per_key),
    (TRUE_VERDICTS, true_verdicts),
    (NO_LOST_OFFSET, no_lost_offset),
    (ONE_RESULT, one_result),
    (FENCED_CLAIMS, fenced_claims),
    (FIRST_STANDS, first_stands),
    (FOLD_IS_RULE, fold_is_rule),
    (UNCLAIMED, |_, state| state.wrong != Some(UNCLAIMED)),
    (LATE, |_, state| state.wrong != Some(LATE)),
    (FORGOTTEN, |_, state| state.wrong != Some(FORGOTTEN)),
    (AFTER_DRAIN, |_, state| state.wrong != Some(AFTER_DRAIN)),
];

const SOMETIMES: [(&str, Check); 8] = [
    (DISPATCH, |_, state| !state.venue.sends.is_empty()),
    (ASKED, |_, state| ended_by(state, "asked")),
    (TAKEOVER, takeover),
    (EVIDENCE, |_, state| ended_by(state, "evidence")),
    (DECISION, |_, state| ended_by(state, "decision")),
    (SECOND_OF_KEY, |_, state| ended_by(state, "duplicate_key")),
    (PASSED_OVER, |_, state| !state.log.reading.skips.is_empty()),
    (ALL_ENDED, all_ended),
];

pub fn of(world: &World) -> Vec<Property<World>> {
    let promises = ALWAYS.into_iter().filter(|(name, _)| world.only.is_none_or(|only| only == *name));
    let always = promises.map(|(name, check)| Property::always(name, check));
    let wanted = SOMETIMES.into_iter().filter(|(name, _)| world.wants.contains(name));
    always.chain(wanted.map(|(name, check)| Property::sometimes(name, check))).collect()
}

pub const ALL_WANTED: [&str; 8] =
    [DISPATCH, ASKED, TAKEOVER, EVIDENCE, DECISION, SECOND_OF_KEY, PASSED_OVER, ALL_ENDED];

/// What came about on the way to a state: none of it is ever undone.
pub fn seen(world: &World, state: &State) -> Vec<&'static str> {
    SOMETIMES.into_iter().filter(|(_, check)| check(world, state)).map(|(name, _)| name).collect()
}

/// The first promise that a state breaks.
pub fn broken(world: &World, state: &State) -> Option<&'static str> {
    let looked_at = |name: &str| world.only.is_none_or(|only| only == name);
    ALWAYS.into_iter().find(|(name, holds)| looked_at(name) && !holds(world, state)).map(|(name, _)| name)
}

fn one_send(_: &World, state: &State) -> bool {
    state.venue.sends.windows(2).all(|two| two[0].0 != two[1].0)
}

fn one_send_per_key(world: &World, state: &State) -> bool {
    let ids: BTreeSet<_> = state.venue.sends.iter().map(|(id, _)| *id).collect();
    let keys: Vec<&str> = ids.iter().filter_map(|id| Some(world.first(id)?.idempotency_key.as_str())).collect();
    keys.iter().collect::<BTreeSet<_>>().len() == keys.len()
}

/// A verdict is looked at again in every later state: what the venue accepts then makes a negative one false.
fn true_verdicts(_: &World, state: &State) -> bool {
    let is_true = |id: &CommandId, status| match status {
        ResultStatus::Unresolved => true,
        ResultStatus::Executed => state.venue.accepted.contains(id),
        _ => !state.venue.accepted.contains(id),
    };
    let read =
        state.log.reading.outcomes.iter().all(|outcome| outcome.status.is_none_or(|it| is_true(&outcome.head.id, it)));
    let is_entry_true = |entry: &Entry| entry.outcome.is_none_or(|outcome| is_true(&entry.head.id, outcome.status));
    read && folds(state).all(|fold| fold.entries().all(is_entry_true))
        && state.results.iter().all(|(id, status)| is_true(id, *status))
}

fn no_lost_offset(world: &World, state: &State) -> bool {
    (0..state.committed).all(|offset| match &world.topic[usize::try_from(offset).unwrap()] {
        Record::Foreign => true,
        Record::Poison => state.log.reading.skips.contains(&offset),
        Record::Ours(head) => state.log.reading.holds(head) || state.log.reading.skips.contains(&offset),
    })
}

fn one_result(_: &World, state: &State) -> bool {
    let ids: BTreeSet<_> = state.results.iter().map(|(id, _)| *id).collect();
    let is_in_the_log =
        |(id, status): &(_, _)| state.log.reading.outcome(id).is_some_and(|outcome| outcome.status == Some(*status));
    ids.len() == state.results.len() && state.results.iter().all(is_in_the_log)
}

/// By the text of the log alone: the fence that a valid claim names is the last of its venue before it.
fn fenced_claims(_: &World, state: &State) -> bool {
    folds(state).all(|fold| {
        fold.entries().filter_map(|entry| Some((&entry.head.venue, entry.claim?))).all(|(venue, claim)| {
            let before = &state.log.records[..usize::try_from(claim.offset).unwrap()];
            let newest = before
                .iter()
                .rfind(|record| matches!(record.placed.fact, Fact::Fence) && record.placed.venue == *venue);
            newest.is_some_and(|fence| fence.placed.offset == claim.fence_offset)
        })
    })
}

fn first_stands(world: &World, state: &State) -> bool {
    let is_first = |head: &Head| world.first(&head.id).is_some_and(|first| first.content_hash == head.content_hash);
    let reading = &state.log.reading;
    let sent = |(id, offset): &(_, i64)| world.first(id).is_some_and(|first| first.offset == *offset);
    reading.claims.iter().chain(&reading.outcomes).all(|valid| is_first(&valid.head))
        && state.venue.sends.iter().all(sent)
        && folds(state).all(|fold| fold.entries().all(|entry| is_first(&entry.head)))
}

fn fold_is_rule(_: &World, state: &State) -> bool {
    let (fold, reading) = (state.log.fold(), &state.log.reading);
    let find = |all: &[(CommandId, i64)], id| all.iter().find(|(known, _)| *known == id).map(|it| it.1);
    let same = fold.entries().all(|entry| {
        let id = entry.head.id;
        let claim = reading.claim(&id).map(|claim| (claim.offset, claim.fence_offset));
        let outcome = reading.outcome(&id).map(|outcome| (outcome.offset, outcome.status));
        claim == entry.claim.map(|claim| (claim.offset, claim.fence_offset))
            && outcome == entry.outcome.map(|outcome| (outcome.offset, Some(outcome.status)))
            && find(&reading.evidence, id) == entry.evidence
            && find(&reading.decisions, id) == entry.decision
    });
    let known: BTreeSet<_> = reading.claims.iter().chain(&reading.outcomes).map(|valid| valid.head.id).collect();
    same && known.len() == fold.entries().count()
}

/// What an executor acts by: the log's fold, and those of mutants.
fn folds(state: &State) -> impl Iterator<Item = &MemoryFold> {
    let own = state.executors.iter().filter_map(|executor| executor.own.as_deref());
    std::iter::once(state.log.fold()).chain(own)
}

fn ended_by(state: &State, code: &str) -> bool {
    state.log.reading.outcomes.iter().any(|outcome| outcome.code == code)
}

fn takeover(_: &World, state: &State) -> bool {
    state.log.reading.outcomes.iter().any(|outcome| {
        let id = &outcome.head.id;
        let claim = state.log.reading.claim(id);
        let sent = state.venue.sends.iter().any(|(sent, _)| sent == id);
        sent && claim.is_some_and(|claim| claim.fence_offset != outcome.fence_offset)
    })
}

/// Every command has its result, and every record of the topic is behind the committed offset.
pub fn all_ended(world: &World, state: &State) -> bool {
    let has_result = |head: &Head| state.results.iter().any(|(id, _)| *id == head.id);
    let passed = |head: &Head| state.log.reading.skips.contains(&head.offset);
    state.committed == world.topic.len() as i64 && world.heads().all(|head| has_result(head) || passed(head))
}

//! Explores what two executors, a log, a network that delays and drops, and a venue can do together, state by state,
//! with the production core (`core::fold`, `core::partition`) as the executors.
//!
//! In every state: no command and no idempotency key is sent twice; no verdict is false, now or later; no offset is
//! committed past a command that the journal does not hold. Broken variants must be caught, so that the search can fail.

#[path = "../common/mod.rs"]
mod common;
mod world;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use world::{Broken, Budget, World};

/// States of one quick search.
const STATES_MAX: usize = 20_000;
/// Steps of one walk.
const STEPS_MAX: usize = 80;
/// Walks in a quick run, and walks in which a broken variant must be caught.
const WALKS: u64 = 1_500;
const SEEDS_MAX: u64 = 20_000;

struct Explored {
    states: usize,
    complete: bool,
    dispatched: bool,
    resolved: bool,
    violation: Option<String>,
}

fn explore(commands: u128, one_key: bool, budget: Budget, broken: Broken) -> Explored {
    let first = World::new(commands, one_key, budget, broken);
    let mut seen = HashSet::from([hash(&first)]);
    let mut queue = VecDeque::from([first]);
    let mut explored = Explored { states: 0, complete: true, dispatched: false, resolved: false, violation: None };
    while let Some(world) = queue.pop_front() {
        explored.states += 1;
        explored.dispatched |= world.sent_once();
        explored.resolved |= world.ended_by_question();
        if let Some(violation) = world.violation() {
            explored.violation = Some(format!("{violation}\n{}", world.path()));
            return explored;
        }
        if seen.len() >= STATES_MAX {
            explored.complete = false;
            continue;
        }
        for next in world.successors() {
            if seen.insert(hash(&next)) {
                queue.push_back(next);
            }
        }
    }
    explored
}

fn hash(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

#[track_caller]
fn holds(name: &str, commands: u128, one_key: bool, budget: Budget) {
    let explored = explore(commands, one_key, budget, Broken::Nothing);
    assert!(explored.violation.is_none(), "{name}: {}", explored.violation.unwrap_or_default());
    assert!(explored.dispatched, "{name}: nothing was ever sent: the search proves nothing");
    println!("{name}: {} states, complete: {}", explored.states, explored.complete);
}

/// One path chosen by its seed: reaches deeper than the breadth-first search. The seed replays it.
fn walk(seed: u64, commands: u128, one_key: bool, budget: Budget, broken: Broken) -> Option<String> {
    let mut world = World::new(commands, one_key, budget, broken);
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for _ in 0..STEPS_MAX {
        if let Some(violation) = world.violation() {
            return Some(format!("seed {seed}: {violation}\n{}", world.path()));
        }
        let mut next = world.successors();
        // xorshift64: any sequence that its seed repeats will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut at = random % next.iter().map(|world| world.weight).sum::<u64>().max(1);
        let chosen = next.iter().position(|world| {
            let here = at < world.weight;
            at = at.saturating_sub(world.weight);
            here
        });
        let Some(chosen) = chosen else { break };
        world = next.swap_remove(chosen);
    }
    world.violation()
}

/// Every budget of the searches above in one.
const EVERYTHING: Budget = Budget { assigns: 5, crashes: 2, node_losses: 1, drops: 1 };

#[track_caller]
fn caught(name: &str, broken: Broken, one_key: bool) {
    let commands = if one_key { 2 } else { 1 };
    let budget = Budget { assigns: 3, crashes: 1, ..Budget::default() };
    let found = (0..SEEDS_MAX).find_map(|seed| walk(seed, commands, one_key, budget, broken));
    assert!(found.is_some(), "{name} survived {SEEDS_MAX} walks");
}

/// Walks by seed: `UNRIP_MODEL_SEEDS=1000000 cargo test -p unrip-execute --test model walks` takes any number.
#[test]
fn safe_on_long_random_walks() {
    let seeds = std::env::var("UNRIP_MODEL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(WALKS);
    for seed in 0..seeds {
        let (commands, one_key) = [(1, false), (2, false), (2, true)][(seed % 3) as usize];
        let violation = walk(seed, commands, one_key, EVERYTHING, Broken::Nothing);
        assert!(violation.is_none(), "{}", violation.unwrap_or_default());
    }
    println!("{seeds} walks of {STEPS_MAX} steps");
}

#[test]
fn safe_without_faults_and_every_doubt_can_end() {
    let explored = explore(1, false, Budget { assigns: 1, ..Budget::default() }, Broken::Nothing);
    assert!(explored.violation.is_none() && explored.complete && explored.dispatched);
    let with_crash = Budget { assigns: 2, crashes: 1, ..Budget::default() };
    assert!(explore(1, false, with_crash, Broken::Nothing).resolved, "a doubt was resolved by asking");
}

#[test]
fn safe_over_crash_and_rebalance() {
    holds("crash and rebalance", 1, false, Budget { assigns: 3, crashes: 1, ..Budget::default() });
}

#[test]
fn safe_over_loss_of_a_node_with_its_fold() {
    holds("node loss", 1, false, Budget { assigns: 3, node_losses: 1, ..Budget::default() });
}

#[test]
fn safe_over_lost_appends() {
    holds("lost append", 1, false, Budget { assigns: 2, crashes: 1, drops: 1, ..Budget::default() });
}

#[test]
fn safe_over_zombies_on_both_sides() {
    holds("two owners at once", 1, false, Budget { assigns: 4, ..Budget::default() });
}

#[test]
fn safe_with_two_commands_of_one_key() {
    holds("one key", 2, true, Budget { assigns: 2, crashes: 1, ..Budget::default() });
}

#[test]
fn safe_with_two_commands() {
    holds("two commands", 2, false, Budget { assigns: 2, crashes: 1, ..Budget::default() });
}

#[test]
fn broken_variants_are_caught() {
    caught("a negative verdict before the venue's expiry", Broken::EarlyVerdict, false);
    caught("a venue that does not enforce expiry", Broken::VenueIgnoresExpiry, false);
    caught("offsets committed when a command is read", Broken::CommitOnRead, false);
    caught("a fold that is dropped at each start", Broken::ForgetsHistory, false);
    caught("acting on the append instead of reading back", Broken::DispatchOnAppend, false);
    caught("an idempotency key left out of validity", Broken::NoKey, true);
}

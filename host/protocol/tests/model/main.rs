//! The world of the executor, explored: three executors, a log, a network that delays, drops and doubles appends, a group
//! that takes partitions away and gives them to two at once, disks, a venue with expiry. The executors are the production
//! core (`core::fold`, `core::partition`).
//!
//! - `cargo test --workspace --test model`: the quick search, the mutants, some thousand walks.
//! - `UNRIP_MODEL_STATES=50000000 cargo test --workspace --test model -- --ignored --nocapture deep`: the deep search;
//!   so many states are generated over all worlds, and counted world by world.
//! - `UNRIP_MODEL_SEEDS=1000000 cargo test --workspace --test model walks`: that many walks;
//!   `UNRIP_MODEL_SEED=17 cargo test --workspace --test model walks -- --nocapture` replays one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]
#![allow(unreachable_pub, reason = "a test of its own")]

mod actions;
#[path = "../common/mod.rs"]
mod common;
mod effects;
mod executor;
mod graph;
mod log;
mod mutants;
mod properties;
mod search;
mod sending;
mod shared;
mod state;
mod suspects;
mod venue;
mod walk;
mod world;
mod worlds;

use std::collections::BTreeSet;
use std::time::Instant;

use properties::{ALL_WANTED, EVIDENCE, TAKEOVER};

/// States that a quick search generates in one world.
const QUICK_STATES: usize = 40_000;
/// States of one whole graph at most.
const GRAPH_STATES: usize = 30_000;
/// Walks in a quick run.
const WALKS: u64 = 4_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

#[test]
fn keeps_every_promise_in_the_quick_search() {
    let mut seen = BTreeSet::new();
    for world in worlds::all() {
        let began = Instant::now();
        let searched = search::breadth_first(world.clone(), QUICK_STATES, 1);
        println!("{}: {searched} in {:?}", world.name, began.elapsed());
        searched.assert_holds(&world);
        seen.extend(searched.seen());
    }
    // Two lie too deep for this; the walks must meet all.
    let missing: Vec<_> =
        ALL_WANTED.iter().filter(|wanted| ![EVIDENCE, TAKEOVER].contains(*wanted) && !seen.contains(*wanted)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

#[test]
fn from_everywhere_a_way_leads_to_the_end() {
    for world in worlds::whole() {
        let began = Instant::now();
        let graph = graph::explore(&world, GRAPH_STATES);
        println!(
            "{}: {} states, {} steps, complete: {}, in {:?}",
            world.name,
            graph.states,
            graph.steps,
            graph.complete,
            began.elapsed()
        );
        if let Some(path) = graph.wedge {
            panic!("{}: no way leads to the end after\n{}", world.name, path.join("\n"));
        }
    }
}

#[test]
fn keeps_every_promise_on_long_walks() {
    let seeds = match number("UNRIP_MODEL_SEED") {
        Some(seed) => seed..=seed,
        None => 0..=number("UNRIP_MODEL_SEEDS").unwrap_or(WALKS).saturating_sub(1),
    };
    let (began, mut steps, count, mut seen) = (Instant::now(), 0, seeds.clone().count(), BTreeSet::new());
    for seed in seeds {
        let walk = walk::walk(&worlds::walked(seed), seed);
        steps += walk.steps;
        seen.extend(walk.seen);
        if let Some(found) = walk.found {
            panic!(
                "seed {seed} breaks: {}\n{}\nreplay: UNRIP_MODEL_SEED={seed} cargo test --workspace --test model walks -- \
                 --nocapture",
                found.promise,
                found.path.join("\n")
            );
        }
    }
    println!("{count} walks, {steps} steps, in {:?}; seen: {seen:?}", began.elapsed());
    assert!(count < 1_000 || seen.len() == ALL_WANTED.len(), "never seen, so never tried");
}

#[test]
fn every_mutant_is_caught() {
    let mut survived = Vec::new();
    for suspect in suspects::ALL {
        let began = Instant::now();
        match suspects::catch(suspect) {
            Some(how) => println!("{:?}: {how} in {:?}", suspect.mutant, began.elapsed()),
            None => survived.push(suspect.mutant),
        }
    }
    assert!(survived.is_empty(), "survived: {survived:?}");
}

/// The deep search: these worlds and larger ones, breadth first and then depth first, as far as the number allows.
#[test]
#[ignore = "takes as long as UNRIP_MODEL_SEEDS asks for"]
fn deep() {
    let states = usize::try_from(number("UNRIP_MODEL_STATES").unwrap_or(5_000_000)).unwrap();
    let (began, mut all, mut unique) = (Instant::now(), 0, 0);
    let worlds: Vec<_> = worlds::all().into_iter().chain(worlds::larger()).collect();
    for (index, world) in worlds.iter().enumerate() {
        // What a small world leaves over, the next ones may use.
        let share = (states.saturating_sub(all) / (worlds.len() - index)).max(1);
        let searched = search::deep(world.clone(), share);
        println!("{}: {searched}, {:?} so far", world.name, began.elapsed());
        searched.assert_holds(world);
        (all, unique) = (all + searched.generated, unique + searched.unique);
    }
    println!("{all} states generated, {unique} of them different, no promise broken, in {:?}", began.elapsed());
}

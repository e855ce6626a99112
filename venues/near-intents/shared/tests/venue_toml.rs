//! `venue.toml` configures these components, and its example pairs answer a good share of the samples.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::collections::{BTreeMap, BTreeSet};

use near_intents_shared::normalize::{Canonical, normalize};
use near_intents_shared::react::{Decision, Demand, FixedSpread};
use near_intents_shared::{VENUE, execute, ingest};
use serde_json::Value;

fn config(role: &str) -> String {
    let venue: Value = toml::from_str(include_str!("../../venue.toml")).unwrap();
    venue["roles"][role]["settings"]["module"]["config"].to_string()
}

#[test]
fn the_components_take_their_configuration() {
    ingest::Config::read(&config("ingest")).unwrap();
    execute::Config::read(&config("execute")).unwrap();
    assert_eq!(FixedSpread::read(&config("react")).unwrap().name(), "fixed-spread");
}

#[test]
fn the_balance_of_every_asset_that_a_pair_gives_is_asked_for() {
    let venue: Value = toml::from_str(include_str!("../../venue.toml")).unwrap();
    let given: BTreeSet<_> = venue["roles"]["react"]["settings"]["module"]["config"]["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair["asset_out"].as_str().unwrap())
        .collect();
    let execute = execute::Config::read(&config("execute")).unwrap();
    let account = venue["roles"]["react"]["settings"]["module"]["config"]["account"].as_str().unwrap();
    let asked = execute.balances.iter().filter(|one| one.account == account).flat_map(|one| &one.assets);
    assert_eq!(asked.map(String::as_str).collect::<BTreeSet<_>>(), given);
}

#[test]
fn the_samples_are_answered_or_declined_by_name() {
    let strategy = FixedSpread::read(&config("react")).unwrap();
    let mut counts = BTreeMap::new();
    for line in include_str!("../../test_data/samples.jsonl").lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let raw = sample["raw"].as_str().unwrap();
        let Ok(Canonical::Demand(demand)) = normalize("quote", raw.as_bytes()) else { continue };
        let decision = strategy.decide(&Demand {
            venue: VENUE,
            observed_at: 0,
            asset_in: &demand.asset_in,
            asset_out: &demand.asset_out,
            amount_in: demand.amount_in.as_deref(),
            amount_out: demand.amount_out.as_deref(),
            min_deadline_ms: demand.min_deadline_ms,
            ttl_ms: demand.ttl_ms,
        });
        let end = match decision {
            Decision::Answer(_) => "answered",
            Decision::Decline(code) => code,
        };
        *counts.entry(end).or_insert(0) += 1;
    }
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("amount_over_i128", 1), ("answered", 10), ("not_configured", 8)]
    );
}

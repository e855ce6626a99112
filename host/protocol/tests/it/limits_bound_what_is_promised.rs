//! Limits that need no history, what a inventory of promises counts beside the sum of them, and how far clocks may differ.

use crate::common::at;
use crate::common::records::{command_record, typed};
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::Reserve;
use unrip_core::{Amount, CommandId};
use unrip_protocol::clock::ClockSense;
use unrip_protocol::inventory::Inventory;
use unrip_protocol::limits::*;

fn command() -> ExecuteTrade {
    typed(&command_record()).payload
}

fn give(asset: &str, amount: u128) -> Reserve {
    Reserve { asset: asset.to_owned(), amount: Amount(amount) }
}

fn code(refused: Option<Refused>) -> &'static str {
    match refused {
        None => "ok",
        Some(Refused::Limit { code, .. }) => code,
        Some(Refused::NotYet(_)) => "not_yet",
    }
}

fn id(number: u8) -> CommandId {
    CommandId::from_bytes([number; 16])
}

fn promise(account: &str, amount: u128) -> Promise {
    Promise { account: account.to_owned(), gives: vec![give("b", amount)], deadline: at(10_000) }
}

#[test]
fn a_command_gives_what_it_says_and_no_less_than_its_module_says() {
    assert_eq!(gives(&command(), &[]), vec![give("b", 2)]);
    assert_eq!(gives(&command(), &[give("b", 1)]), vec![give("b", 2)]);
    assert_eq!(gives(&command(), &[give("b", 3), give("fee", 1)]), vec![give("b", 3), give("fee", 1)]);
    assert_eq!(touches(&command()), ["a", "b"]);
}

#[test]
fn both_assets_must_be_allowed() {
    let checked = |names: &[&str]| {
        let assets_allowed = Some(names.iter().map(|name| (*name).to_owned()).collect());
        code(Limits { assets_allowed, ..Limits::default() }.check(&command(), &[]))
    };
    assert_eq!(checked(&["a", "b", "c"]), "ok");
    assert_eq!([checked(&["a"]), checked(&["b"]), checked(&[])], ["limit_asset"; 3]);
    assert_eq!(code(Limits::default().check(&command(), &[])), "ok");
}

#[test]
fn one_command_gives_at_most_its_limit_of_each_asset() {
    let one = AssetLimits { per_command_max: Some(Amount(5)), per_window_max: None };
    let limits = Limits { assets: [("b".to_owned(), one)].into(), ..Limits::default() };
    assert_eq!(code(limits.check(&command(), &[give("b", 5), give("other", 99)])), "ok");
    assert_eq!(code(limits.check(&command(), &[give("other", 99), give("b", 6)])), "limit_amount_per_command");
}

#[test]
fn a_promise_counts_as_long_as_the_window_or_a_balance_that_may_not_show_it() {
    let limits = |window_ms| Limits { window_ms, balance_lag_ms: 2, balance_age_ms_max: 3, ..Limits::default() };
    for (window_ms, counts_ms) in [(4, 5), (6, 6)] {
        assert!(limits(window_ms).counts(at(0), at(counts_ms - 1)));
        assert!(!limits(window_ms).counts(at(0), at(counts_ms)));
    }
}

#[test]
fn what_is_entered_twice_or_released_counts_once_in_the_window() {
    let limits = Limits { inventory: false, commands_per_window_max: Some(2), ..Limits::default() };
    let mut inventory = Inventory::default();
    inventory.enter(id(1), promise("me", 1), at(0));
    inventory.enter(id(1), promise("me", 1), at(0));
    assert_eq!(inventory.len(), 1);
    inventory.release(&id(1));
    assert!(inventory.is_empty());
    assert_eq!(code(inventory.admit(id(2), promise("me", 1), &limits, |_, _| None, at(1)).err()), "ok");
    assert_eq!(
        code(inventory.admit(id(3), promise("me", 1), &limits, |_, _| None, at(1)).err()),
        "limit_commands_per_window"
    );
    assert_eq!(
        code(inventory.admit(id(3), promise("you", 1), &limits, |_, _| None, at(1)).err()),
        "ok",
        "each by itself"
    );
}

#[test]
fn what_gives_nothing_needs_no_balance_and_each_account_has_its_own() {
    let mut inventory = Inventory::default();
    let limits = Limits::default();
    assert_eq!(code(inventory.admit(id(1), promise("me", 0), &limits, |_, _| None, at(0)).err()), "ok");
    let held = |account: &str, asset: &str| {
        assert_eq!(asset, "b");
        Some(Balance { amount: Amount(if account == "me" { 5 } else { 3 }), asked_at: at(0) })
    };
    assert_eq!(code(inventory.admit(id(2), promise("me", 5), &limits, held, at(0)).err()), "ok");
    assert_eq!(code(inventory.admit(id(3), promise("me", 1), &limits, held, at(0)).err()), "limit_inventory");
    assert_eq!(code(inventory.admit(id(4), promise("you", 4), &limits, held, at(0)).err()), "limit_inventory");
    assert_eq!(code(inventory.admit(id(5), promise("you", 3), &limits, held, at(0)).err()), "ok");
}

#[test]
fn clocks_may_differ_by_the_skew_and_no_more() {
    let mut sense = ClockSense::new(2_000);
    sense.measured(at(2_000), at(0), at(2_000));
    assert_eq!(sense.doubt(), None);
    sense.measured(at(0), at(2_000), at(0));
    assert_eq!(sense.doubt(), None);
    sense.measured(at(2_001), at(0), at(2_001));
    assert!(sense.doubt().is_some());
    sense.measured(at(0), at(2_001), at(0));
    assert!(sense.doubt().is_some());
}

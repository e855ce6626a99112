//! The example vectors of RECORDS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use unrip_core::id::{CommandId, derived_event_id};
use unrip_core::{Timestamp, Uuid};

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

/// The chain of example vectors of RECORDS, Envelope.
#[test]
fn derives_the_ids_of_the_example_chain() {
    let raw = uuid("019370e0-5c00-7000-8000-000000000001");
    let demand = derived_event_id(raw, "normalize", "swap_demand", 0);
    assert_eq!(demand, uuid("a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb"));
    let command = derived_event_id(demand, "react/fixed-spread", "execute_trade", 0);
    assert_eq!(command, uuid("f36790e0-5350-8deb-b16e-b4d973714e8d"));
    let result = derived_event_id(command, "execute", "trade_result", 0);
    assert_eq!(result, uuid("f662c150-2fca-898f-b160-e6578cd4c3b2"));
}

/// The example of RECORDS, Payloads.
#[test]
fn makes_the_example_command_id() {
    let at = Timestamp::parse("2026-11-22T10:00:00.123000Z").unwrap();
    let cause = uuid("a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb");
    let id = CommandId::new(at, "near-intents/solver.near", cause, "fixed-spread", 0);
    assert_eq!(id.to_string(), "01a202b2c57b305f61b858094c910cf9");
    assert_eq!(id.time(), at);
    assert!(id.matches_key("near-intents/solver.near"));
    assert!(!id.matches_key("near-intents/other.near"));
    assert_eq!(id.to_string().parse::<CommandId>().unwrap(), id);
}

#[test]
fn refuses_command_ids_of_other_shapes() {
    for text in ["", "01A202B2C57B305F61B858094C910CF9", "01a2", "01a202b2-c57b-305f-61b8-58094c910cf9"] {
        assert!(text.parse::<CommandId>().is_err(), "{text}");
    }
}

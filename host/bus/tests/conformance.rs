//! What the system needs of a broker, proven against a real one: the broker of `UNRIP_TEST_BROKERS`, the one named by
//! `UNRIP_TEST_BROKER`, or the first that this machine has. What a broker does not support is printed, never hidden.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

#[path = "conformance/addresses.rs"]
mod addresses;
#[path = "conformance/codecs.rs"]
mod codecs;
#[path = "conformance/common.rs"]
mod common;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/foreign.rs"]
mod foreign;
#[path = "conformance/gaps.rs"]
mod gaps;
#[path = "conformance/groups.rs"]
mod groups;
#[path = "conformance/logs.rs"]
mod logs;
#[path = "conformance/refusals.rs"]
mod refusals;
#[path = "conformance/stopped.rs"]
mod stopped;
#[path = "conformance/topics.rs"]
mod topics;
#[path = "conformance/transactions.rs"]
mod transactions;

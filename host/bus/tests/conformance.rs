//! What the system needs of a broker, proven against a real one: the broker of `UNRIP_TEST_BROKERS`, the one named by
//! `UNRIP_TEST_BROKER`, or the first that this machine has. What a broker does not hold is said aloud, never hidden.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::print_stderr, reason = "what a broker does not hold must be seen")]

#[path = "conformance/common.rs"]
mod common;
#[path = "conformance/faults.rs"]
mod faults;
#[path = "conformance/groups.rs"]
mod groups;
#[path = "conformance/logs.rs"]
mod logs;
#[path = "conformance/topics.rs"]
mod topics;
#[path = "conformance/transactions.rs"]
mod transactions;

//! The store, the signer and the loss of a journal, each on the real thing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

#[path = "../../../protocol/tests/common/mod.rs"]
mod common;

mod loss;
mod nep413_signs_only_its_own;
mod store_forgets_in_time;
mod store_keeps_the_fold;

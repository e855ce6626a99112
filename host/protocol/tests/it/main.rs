//! The rules of the executor, step by step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

#[path = "../common/mod.rs"]
mod common;

mod fold_decides_by_log_order;
mod intake_judges_commands;
mod limits_bound_what_is_promised;
mod partition_embargoes;
mod partition_hands_over;
mod partition_heeds_the_moment;
mod partition_keeps_the_safety_order;
mod partition_reads_the_log;
mod partition_waits_and_repeats;
mod wire_reads_the_journal;

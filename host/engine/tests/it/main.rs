//! What the engine does with good and with hostile components (`tests/fixtures`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

mod cache;
mod fixtures;
mod limits;
mod loading;
mod worlds;

//! The order of the house: which crate may depend on which and know what, what is released, and how things are written.
//!
//! [`host/ARCHITECTURE.md`](../../../ARCHITECTURE.md) says what the rooms are, [`.forgejo/CONTRIBUTING.md`](../../../../.forgejo/CONTRIBUTING.md)
//! which words to use.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail a test by panicking"
)]

mod files;
mod language;
mod rooms;
mod rust_text;
mod units;
mod unused;
mod venues;
mod wit;

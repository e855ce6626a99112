//! The operator's room against a real broker.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test by panicking")]

mod topic_step;

//! `unrip`: the development runtime and the operator's commands.
//!
//! It knows no venue's name (it reads `venues/*/venue.toml`) and decides nothing about records: it starts, shows, counts.

pub mod args;
pub mod chaos;
pub mod dev;
pub mod error;
pub mod operate;
pub mod topics_command;
pub mod venue;
pub mod workspace;

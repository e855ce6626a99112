//! `unrip dev`: the whole system on one machine, as production would run it, against a fake venue.

pub mod admin;
pub mod args;
pub mod build;
pub mod config;
pub mod fake;
pub mod lag;
pub mod run;
mod secrets;
pub mod show;
pub mod stack;
pub mod summary;
pub mod tail;
pub mod tally;
pub mod workspace;

pub use run::run;

//! `unrip dev`: the whole system on one machine, as production would run it, against a fake venue.

pub mod admin;
pub mod build;
pub mod config;
pub mod fake;
pub(crate) mod lag;
pub(crate) mod run;
pub mod say;
mod secrets;
pub mod show;
pub mod stack;
pub mod summary;
pub mod tail;
pub mod tally;

pub use run::run;

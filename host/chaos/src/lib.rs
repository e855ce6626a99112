//! `unrip chaos`: the whole system as processes, faults upon faults by a seed, and a verdict by the venue's own ledger.
//!
//! Where things are: `plan` and `arms` choose (from the seed), `campaign`, `watch` and `faults` do, `books` and `judge`
//! read everything again at the end and compare it with the ledger. Of a venue it knows only what its description declares
//! and the ledger that every fake keeps.

pub mod args;
pub mod arms;
pub mod books;
pub mod campaign;
pub mod counts;
mod faults;
pub mod judge;
pub mod member;
pub mod plan;
pub mod report;
pub mod rng;
mod run;
pub mod setup;
pub mod verdict;
mod watch;

pub use run::run;

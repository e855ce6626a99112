//! `unrip dev`: the whole system on one machine, as production would run it, against the venues' fakes. It knows no venue:
//! what a venue is it reads from its `venue.toml`, and a fake is a program to it.
//!
//! Where things are: `stack` puts together what runs (`broker`, `fakes`, `services`, with what `build`, `config` and
//! `secrets` prepare), `run` is the course of a run, `tail`, `tally`, `lag` and `admin` watch it, `show` and `summary` say it.

pub mod admin;
pub mod args;
pub mod broker;
pub mod build;
pub mod config;
pub mod fakes;
pub mod lag;
pub mod run;
mod secrets;
pub mod services;
pub mod show;
pub mod stack;
pub mod summary;
pub mod tail;
pub mod tally;
pub mod workspace;

pub use run::run;

//! Checks the system's promises on the live stream: commands, journal and results are read from their beginning, and
//! whatever contradicts `RECORDS.md` is a violation in `/report`.
//!
//! It deliberately does not know the executor's code: its reading of the rules is a second, independent one. It writes
//! nothing to the bus.

pub mod report;

pub use report::{Report, Violation};

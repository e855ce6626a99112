//! The log-fenced claim protocol as pure functions: no clock, no I/O, no randomness.
//!
//! [`fold`] says what a journal prefix means (who may act, what is claimed, what has ended). [`partition`] decides what
//! one executor does about one partition, event by event. [`intake`] judges a command record before the protocol sees it;
//! [`limits`] and [`inventory`] say what may be promised.

#![warn(missing_docs)]

pub mod clock;
pub mod decision;
pub mod fold;
pub mod intake;
pub mod inventory;
pub mod limits;
pub mod partition;
pub mod wire;

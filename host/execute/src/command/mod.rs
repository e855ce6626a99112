//! The way of a command: from the topic over its claim and its one send to its end.

pub(crate) mod dispatch;
pub(crate) mod doubts;
pub(crate) mod index;
mod intake;
pub(crate) mod open;
pub(crate) mod prepare;
pub(crate) mod recovery;
pub(crate) mod statements;

//! The way of a command: from the topic over its claim and its one send to its end.

pub(crate) mod dispatch;
pub(crate) mod doubts;
mod endings;
pub(crate) mod index;
pub(crate) mod intake;
mod recovery;
pub(crate) mod statements;

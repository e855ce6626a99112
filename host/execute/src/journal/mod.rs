//! The journal on the bus: what this executor appends to it, and what it reads from it.

mod endings;
pub(crate) mod records;
pub mod tail;
pub(crate) mod unconfirmed;
pub mod watch;
pub(crate) mod writer;

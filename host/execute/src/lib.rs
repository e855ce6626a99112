//! The executor: turns commands into at most one signed action each, and says once what became of them.
//!
//! The rules are `unrip-protocol`, without I/O; around them stand the
//! durable fold of the journal (`store`), the keys (`signer`), the venue (`venue`), the journal and the results on the bus
//! (`journal`, `results`), the way of a command (`command`), and the loop that joins them (`runtime`). This room does not know any venue's name or message format; modules do.

mod command;
pub mod config;
pub mod journal;
pub mod points;
mod results;
mod runtime;
pub mod signer;
pub mod start;
pub mod store;
pub mod venue;

//! The executor: turns commands into at most one signed action each, and says once what became of them.
//!
//! The rules are `unrip-protocol`, without I/O; around them stand the
//! durable fold of the journal (`store`), the keys (`signer`), the venue (`venue`) and the loop that joins them
//! (`runtime`). This room does not know any venue's name or message format; modules do.

pub mod config;
pub mod points;
pub mod runtime;
pub mod signer;
pub mod store;
pub mod venue;

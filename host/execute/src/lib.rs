//! The executor: turns commands into at most one signed action each, and says once what became of them.
//!
//! `core` is the protocol, without I/O: the same code runs live, in tests and in a model checker. Around it stand the
//! durable fold of the journal (`store`), the keys (`signer`), the venue (`venue`) and the loop that joins them
//! (`runtime`). This room does not know any venue's name or message format; modules do.

pub mod config;
pub mod core;
pub mod points;
pub mod runtime;
pub mod signer;
pub mod store;
pub mod venue;

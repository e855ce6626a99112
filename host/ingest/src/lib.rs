//! The ingest service: connects to a venue as its module says, and puts what it sends onto the bus, exactly.
//!
//! Every received frame ends in exactly one of: raw events with its bytes, a counter of known chatter, a dead letter
//! with the reason. This room does not know what a frame means, what a venue is called, or who reads the topics.

mod config;
mod connections;
mod faults;
mod metrics;
mod module;
mod outbox;
mod received;
mod records;
mod service;
mod timers;

pub use config::{IngestConfig, IngestSection};
pub use service::run;

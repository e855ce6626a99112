//! The words of the bus: envelope, event types, ids, topics, keys and amounts, exactly as `RECORDS.md` fixes them.
//!
//! This room is pure. It does not know tokio, files, sockets, wasmtime, rdkafka, the clock or any venue: times and
//! random ids come in as arguments, bytes come in and go out.

#![warn(missing_docs)]

pub mod amount;
pub mod content;
pub mod envelope;
pub mod event;
pub mod id;
pub mod names;
pub mod partition;
pub mod random;
pub mod schema;
pub mod text;
pub mod time;
pub mod topic;
pub mod trace;

pub use amount::Amount;
pub use envelope::{DecodeError, Envelope, ModuleRef, Payload, RawEncoding};
pub use id::CommandId;
pub use names::{AccountId, VenueId};
pub use time::Timestamp;
pub use trace::TraceParent;
pub use uuid::Uuid;

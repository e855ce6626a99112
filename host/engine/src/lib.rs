//! Runs venue components: loads them, holds them to their limits and grants, and speaks the words of the bus with them.
//!
//! This is the only room that knows wasmtime. It is synchronous and knows no broker, socket, clock or venue.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use unrip_core::Timestamp;
//! use unrip_engine::normalizer::{Normalizer, RawInput};
//! use unrip_engine::{Engine, EngineConfig, Grants, Limits, Rejection};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(EngineConfig::default())?;
//! // Read, verified, compiled and described; the digest is what the operator approved, if anything.
//! let module = engine.load(Path::new("normalize.wasm"), None)?;
//! let config = serde_json::json!({});
//! let mut normalizer = Normalizer::new(&engine, &module, &Limits::default(), &Grants::default(), &config)?;
//! let record = RawInput {
//!     stream: "quote".into(),
//!     key: "q-1".into(),
//!     connection_id: "c-1".into(),
//!     frame_seq: 0,
//!     reset: false,
//!     observed_at: Timestamp::from_millis(1_795_341_600_123),
//!     raw: br#"{"quote_id":"q-1"}"#.to_vec(),
//! };
//! for result in normalizer.normalize(&[record])? {
//!     match result {
//!         Ok(events) => println!("{} events by {}", events.len(), normalizer.module_ref().digest),
//!         // The record's own end: the next one finds a sound instance.
//!         Err(Rejection::Fault(fault)) => println!("the module failed: {fault}"),
//!         Err(refused) => println!("refused: {refused:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod batch;
mod cache;
mod classify;
mod clock;
mod engine;
mod error;
pub mod executor;
mod fault;
mod grants;
mod host;
pub mod ingestor;
mod instance;
mod limits;
mod line;
mod load;
mod log_budget;
mod module;
pub mod normalizer;
pub mod reactor;
mod size;
mod v0_1;
mod worker;

pub use engine::Engine;
pub use error::{EngineError, LoadError, LoadErrorKind};
pub use fault::{Fatal, Fault, FaultCounts, FaultKind, Rejection};
pub use instance::Instance;
pub use limits::{EngineConfig, Grants, Limits};
pub use module::{Capability, Description, Module, World};
pub use unrip_core::event::canonical::CanonicalEvent;
pub use v0_1::bindings::shared::unrip::types::common::{
    ByteEncoding, Header, HeaderValue, HttpRequest, HttpResponse, MacAlgorithm, Message, Reason, RequestMac,
};

//! Runs venue components: loads them, holds them to their limits and grants, and speaks the words of the bus with them.
//!
//! This is the only room that knows wasmtime. It is synchronous and knows no broker, socket, clock or venue.

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

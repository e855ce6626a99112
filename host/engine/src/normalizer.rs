//! Raw records to canonical events.

use unrip_core::{ModuleRef, Timestamp};

use crate::{Engine, Fatal, Grants, Limits, LoadError, Module, Rejection};

pub use crate::event::CanonicalEvent;

/// A raw record as the module sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawInput {
    /// The venue's stream.
    pub stream: String,
    /// The record's key.
    pub key: String,
    /// The connection it came by.
    pub connection_id: String,
    /// Its number in the connection.
    pub frame_seq: u64,
    /// State begins anew here.
    pub reset: bool,
    /// When it reached the host.
    pub observed_at: Timestamp,
    /// The venue's bytes, exactly.
    pub raw: Vec<u8>,
}

/// A normalizer's instance; one per worker.
pub struct Normalizer {
    module_ref: ModuleRef,
}

impl Normalizer {
    /// Instantiates and configures `module`.
    pub fn new(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        let _ = (engine, module, limits, grants, config);
        Err(LoadError::Engine("not yet".into()))
    }

    /// The code and configuration that make this worker's records.
    pub fn module_ref(&self) -> &ModuleRef {
        &self.module_ref
    }

    /// One result per record, in order.
    pub fn normalize(&mut self, records: &[RawInput]) -> Result<Vec<Result<Vec<CanonicalEvent>, Rejection>>, Fatal> {
        let _ = records;
        Ok(Vec::new())
    }
}

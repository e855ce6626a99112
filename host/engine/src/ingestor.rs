//! What to send to a venue and what its frames are.

use unrip_core::{ModuleRef, Timestamp};

use crate::{Engine, Fault, Grants, Limits, LoadError, Module};

pub use crate::v0_1::bindings::ingestor::exports::unrip::ingestor::ingestor::{
    Connect, Effect, Event, Frame, RawRecord,
};

/// An ingestor's instance.
pub struct Ingestor {
    module_ref: ModuleRef,
}

impl Ingestor {
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

    /// The code and configuration that make this instance's records.
    pub fn module_ref(&self) -> &ModuleRef {
        &self.module_ref
    }

    /// What to do on `event`. After a fault the instance is new and knows nothing: give it [`Event::Started`] first.
    pub fn handle(&mut self, event: &Event, now: Timestamp) -> Result<Vec<Effect>, Fault> {
        let _ = (event, now);
        Ok(Vec::new())
    }
}

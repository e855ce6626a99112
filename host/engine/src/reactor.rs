//! Canonical events to commands.

use unrip_core::event::command::{Action, InputRef};
use unrip_core::{ModuleRef, Timestamp};

use crate::event::CanonicalEvent;
use crate::{Engine, Fatal, Fault, Grants, Limits, LoadError, Module, Rejection};

/// A canonical event and its place on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The venue's id.
    pub venue: String,
    /// When the frame that began the chain reached the host.
    pub observed_at: Timestamp,
    /// Topic of the record.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Read as reference: it moves state and may not cause commands.
    pub reference: bool,
    /// What happened.
    pub event: CanonicalEvent,
}

/// What the strategy makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do this. The host makes the ids.
    Command(Command),
    /// Do nothing, counted by this snake_case reason.
    Decline(String),
}

/// What a strategy wants done; the host adds ids and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The venue's name of the account that acts.
    pub account: String,
    /// The venue's own id of the opportunity.
    pub venue_ref: String,
    /// Nothing may be sent after this time.
    pub dispatch_by: Timestamp,
    /// The expiry inside the signed payload.
    pub deadline: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The reference records used besides the cause.
    pub inputs: Vec<InputRef>,
    /// What to do.
    pub action: Action,
}

/// A strategy's instance; one per partition or worker.
pub struct Reactor {
    module_ref: ModuleRef,
    strategy: String,
}

impl Reactor {
    /// Instantiates and configures `module`, and asks for the strategy's name.
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

    /// The strategy's name, fixed by its configuration.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// One result per input, in order.
    pub fn react(&mut self, inputs: &[Input]) -> Result<Vec<Result<Vec<Decision>, Rejection>>, Fatal> {
        let _ = inputs;
        Ok(Vec::new())
    }

    /// The state of the instance, opaque; empty where there is none.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }

    /// Takes a state that [`Self::snapshot`] of the same version gave. The inner error is the module's.
    pub fn restore(&mut self, state: Vec<u8>) -> Result<Result<(), String>, Fault> {
        let _ = state;
        Ok(Ok(()))
    }
}

//! The venue as the executor meets it: the module at its seat, one websocket, HTTP, and facts asked for again and again.

mod connection;
mod facts;
mod send;
mod side;

pub use connection::{VenueConnection, VenueOptions};
pub use facts::Facts;
pub use send::{LastGate, Order, Outcome, Stop};
pub(crate) use side::{VenueParts, VenueSide};

use std::sync::Arc;

use unrip_core::{CommandId, ModuleRef, Timestamp};
use unrip_engine::executor::Statement;

/// What comes from the venue.
#[derive(Debug)]
pub enum VenueEvent {
    /// The module read these statements from something that came by this connection (none: by HTTP).
    Said {
        /// The websocket connection, if it was one.
        connection_id: Option<String>,
        /// When the standing question was asked that this answers; `None` for anything else.
        asked_at: Option<Timestamp>,
        /// The code that read it.
        module: Arc<ModuleRef>,
        /// What was said.
        statements: Vec<Statement>,
    },
    /// This connection is gone: its answers will not come.
    Closed {
        /// Which one.
        connection_id: String,
    },
}

/// A request whose answer is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Partition of the command.
    pub partition: i32,
    /// The command.
    pub id: CommandId,
    /// The connection that asked: a reply counts only there.
    pub connection_id: Option<String>,
}

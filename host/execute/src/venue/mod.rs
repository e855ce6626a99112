//! The venue as the executor meets it: the module at its desk, one websocket, HTTP, and facts asked for again and again.

mod desk;
mod facts;
mod link;
mod send;

pub use desk::Desk;
pub use facts::Facts;
pub use link::{Link, LinkParts};
pub use send::{LastGate, Order, Outcome, Stop};

use unrip_core::CommandId;
use unrip_engine::executor::Statement;

/// What comes from the venue.
#[derive(Debug)]
pub enum Heard {
    /// The module read these statements from something that came by this connection (none: by HTTP).
    Said {
        /// The websocket connection, if it was one.
        connection_id: Option<String>,
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

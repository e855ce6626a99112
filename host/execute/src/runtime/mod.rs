//! The loop that joins the protocol to the bus, the disk and the venue. One task steps every partition; everything
//! slow runs in the background and comes back as an input.

pub(crate) mod assignment;
mod drain;
mod effects;
pub(crate) mod executor;
pub(crate) mod gates;
pub(crate) mod membership;
pub(crate) mod metrics;
pub(crate) mod partition;
pub(crate) mod retry;
pub(crate) mod time;

use unrip_core::CommandId;
use unrip_protocol::partition::Resolution;
use unrip_service::RunError;

use crate::command::doubts::Resolved;
use crate::command::prepare::Prepared;
use crate::store::{FoldedRecord, StoreError};
use crate::venue::Outcome;

/// What comes back to the loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// Journal records are in the fold, and the fold on disk.
    Folded(Result<Vec<FoldedRecord>, StoreError>),
    /// The module prepared an action, or did not.
    Prepared { partition: i32, id: CommandId, prepared: Prepared },
    /// The one send ended.
    Sent { partition: i32, id: CommandId, outcome: Outcome },
    /// The module's next step in a doubt.
    Resolved { partition: i32, id: CommandId, resolution: Resolution },
    /// What became of an executed command.
    Followed { partition: i32, id: CommandId, resolved: Resolved },
    /// Something that the service cannot continue without is gone.
    Failed(RunError),
}

/// Inputs waiting for the loop; more hold their senders back.
pub(crate) const INPUTS_WAITING_MAX: usize = 4_096;

/// Whether an effect found what it acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Performed {
    /// It is done, or started in the background.
    Done,
    /// Its partition, its command or its record is gone: nothing was done.
    Stale,
}

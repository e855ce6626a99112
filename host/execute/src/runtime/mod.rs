//! The loop that joins the protocol to the bus, the disk and the venue. One task steps every partition; everything
//! slow runs beside it and comes back as an input.

mod drain;
pub(crate) mod effects;
pub(crate) mod executor;
pub(crate) mod gates;
pub(crate) mod membership;
pub(crate) mod metrics;
pub(crate) mod partition;

use unrip_core::CommandId;
use unrip_engine::executor::Action;
use unrip_service::RunError;

use crate::store::{FoldedRecord, StoreError};
use crate::venue::Outcome;
use unrip_protocol::partition::{Preparation, Resolution};

/// What comes back to the loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// Journal records are in the fold, and the fold on disk.
    Folded(Result<Vec<FoldedRecord>, StoreError>),
    /// The module prepared an action, or did not.
    Prepared { partition: i32, id: CommandId, action: Option<Action>, preparation: Preparation },
    /// The one send ended.
    Sent { partition: i32, id: CommandId, outcome: Outcome },
    /// The module's next step in a doubt.
    Resolved { partition: i32, id: CommandId, resolution: Resolution },
    /// What became of an executed command.
    Followed { partition: i32, id: CommandId, resolution: Resolution },
    /// Something that the service cannot go on without is gone.
    Failed(RunError),
}

/// Inputs waiting for the loop; more hold back whoever tells.
pub(crate) const INPUTS_WAITING_MAX: usize = 4_096;

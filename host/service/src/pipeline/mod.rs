//! Consume, call the module, produce, commit: the loop that `normalize` and `react` share.
//!
//! At least once, with ids that repeat: offsets are committed only after every output of the records below them was
//! acknowledged, so a crash between the two writes the same records with the same ids again. A record that cannot be
//! processed becomes a dead letter and the stream continues. A broker that is away is waited for. The loop does not know
//! what a record means (its [`Stage`] does), nor how a record is written (the outbox does).

mod batch;
mod fatal;
mod flow;
mod hold;
mod membership;
mod meters;
mod options;
mod progress;
mod reading;
mod stage;
mod topics;

use unrip_bus::BusConfig;
use unrip_core::VenueId;

pub use options::{AtLeastOnce, PipelineSection};
pub use stage::{Answer, Read, Stage, Step};

use crate::run::{Context, RunError};

/// Reason code of a record for which the module says that it cannot continue at all.
pub const MODULE_FATAL: &str = "module_fatal";

/// What a pipeline reads and how.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The bus.
    pub bus: BusConfig,
    /// The consumer group.
    pub group: String,
    /// The topics that it reads. Each has its `dead.<topic>`.
    pub topics: Vec<String>,
    /// The topics that it writes.
    pub outputs: Vec<String>,
    /// The service's venue, for dead letters of records whose envelope cannot be read.
    pub venue: VenueId,
    /// Bounds.
    pub options: PipelineSection,
    /// How long to wait for a broker at start; without limit if `None`.
    pub start_timeout_ms: Option<u64>,
}

/// Runs until the context's token is cancelled: then what is in flight is finished and committed, and the group left.
///
/// # Errors
/// The module cannot continue (78), the configuration cannot be used (64), no broker in `start_timeout_ms` (69), or the
/// broker refuses even dead letters (69). What was acknowledged before is committed, and the group left, in each case.
pub async fn run<S: Stage>(setup: Setup, stage: S, context: &Context) -> Result<(), RunError> {
    flow::Flow::start(setup, stage, context).await?.run().await
}

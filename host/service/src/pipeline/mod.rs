//! Consume, transform, produce, commit: the loop that `normalize` and `react` share.
//!
//! At least once, with ids that repeat: offsets are committed only after every output of the records below them was
//! acknowledged, so a crash between the two writes the same records with the same ids again. A record that cannot be
//! processed becomes a dead letter and the stream goes on. A broker that is away is waited for.

mod flow;
mod hold;
mod meters;
mod options;
mod output;

use unrip_bus::{BusConfig, Outgoing, Record};

pub use options::{Delivery, PipelineSection};

use crate::run::{Context, RunError};

/// What a role makes of records.
///
/// It is called on a thread that may block. It may be called again for records whose outputs were not used: it must
/// give the same for the same record.
pub trait Transform: Send + 'static {
    /// One step per record, in order.
    ///
    /// # Errors
    /// The module cannot go on at all; the service exits 78.
    fn transform(&mut self, records: &[Record]) -> Result<Vec<Step>, Ended>;
}

/// What one record led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These outputs, or none.
    Done(Vec<Outgoing>),
    /// It cannot be processed, or not wholly: these outputs and a dead letter.
    Dead {
        /// What could be made of it.
        outputs: Vec<Outgoing>,
        /// snake_case, of a small set: a metric label.
        code: String,
        /// For people.
        text: String,
    },
    /// Hold its partition and try again; bounded by [`PipelineSection`], then a dead letter.
    RetryAfter {
        /// How long.
        ms: u32,
        /// snake_case, of a small set: a metric label.
        code: String,
        /// For people.
        text: String,
    },
}

impl Step {
    /// A dead letter without outputs.
    pub fn dead(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Dead { outputs: Vec::new(), code: code.into(), text: text.into() }
    }
}

/// The module cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ended(pub String);

/// What a pipeline reads and how.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The bus.
    pub bus: BusConfig,
    /// The consumer group.
    pub group: String,
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// The service's venue, for dead letters of records that are no envelope.
    pub venue: String,
    /// Bounds.
    pub options: PipelineSection,
    /// How long to wait for a broker at start; for ever without.
    pub start_timeout_ms: Option<u64>,
}

/// Runs until the context's token is cancelled: then what is in flight is finished and committed, and the group left.
///
/// # Errors
/// The module cannot go on (78), the configuration cannot be used (64), no broker in `start_timeout_ms` (69), or the
/// broker refuses even dead letters (69).
pub async fn run(setup: Setup, transform: Box<dyn Transform>, context: &Context) -> Result<(), RunError> {
    flow::Flow::start(setup, transform, context).await?.go().await
}

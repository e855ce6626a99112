//! What the store keeps beside the fold's entries.

use serde::{Deserialize, Serialize};
use unrip_core::event::journal::{JournalClaim, JournalOutcome};
use unrip_core::{ModuleRef, Timestamp, Uuid};

/// How far a partition's journal is folded, and what its beginning said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The next offset to fold.
    pub next_offset: i64,
    /// `event_id` at the last folded offset: another one there means another log.
    pub last_event_id: Option<Uuid>,
    /// The journal's id, from its genesis.
    pub journal_id: Option<Uuid>,
    /// Commands older than this are stale.
    pub floor: Timestamp,
    /// When the first fence was appended.
    pub first_fence_at: Option<Timestamp>,
    /// The newest append time seen: the clock never counts as earlier.
    pub newest_append: Timestamp,
    /// The next offset of the result topic to read when this executor takes the partition over.
    pub result_next: i64,
}

/// An outcome whose result is not known to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpublished {
    /// Offset of the outcome in the journal.
    pub offset: i64,
    /// The outcome.
    pub outcome: JournalOutcome,
    /// The command's envelope.
    pub command: serde_json::Value,
    /// Digest of the claimed action; null where no claim exists.
    pub action_digest: Option<String>,
    /// The module that prepared the action.
    pub module: Option<ModuleRef>,
    /// `traceparent` of the outcome's record: the result goes on with its trace.
    pub trace: Option<String>,
}

/// A valid claim, kept until its command's result is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptClaim {
    /// The claim.
    pub claim: JournalClaim,
    /// `traceparent` of its record.
    pub trace: Option<String>,
}

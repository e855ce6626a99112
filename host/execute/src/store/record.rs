//! What the store keeps beside the fold's entries.

use unrip_core::event::journal::{JournalClaim, JournalOutcome};
use unrip_core::{CommandId, Envelope, ModuleRef, Payload, Timestamp, Uuid};

use super::encoding::{decode, stored};

/// How far a partition's journal is folded, and what its beginning said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The next offset to fold.
    pub next_offset: i64,
    /// `event_id` at the last folded offset: another one there means another log.
    pub last_event_id: Option<Uuid>,
    /// The journal's id, from its genesis or a fence.
    pub journal_id: Option<Uuid>,
    /// Commands older than this are stale.
    pub floor: Timestamp,
    /// When the first fence was appended.
    pub first_fence_at: Option<Timestamp>,
    /// The newest append time seen: the clock never counts as earlier.
    pub newest_append: Timestamp,
}

stored! {
    Checkpoint { next_offset, last_event_id, journal_id, floor, first_fence_at, newest_append }
}

/// Where a journal partition ended when this process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The offset after its last record.
    pub offset: i64,
    /// When its last record was appended.
    pub appended_at: Timestamp,
}

/// An outcome whose result is not known to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpublished {
    /// Offset of the outcome in the journal.
    pub offset: i64,
    pub outcome: JournalOutcome,
    /// The command's envelope.
    pub command: serde_json::Value,
    /// Digest of the claimed action; null where no claim exists.
    pub action_digest: Option<String>,
    /// The module that prepared the action.
    pub module: Option<ModuleRef>,
    /// `traceparent` of the outcome's record: the result continues its trace.
    pub trace: Option<String>,
}

/// A valid claim, kept until its settlement is no longer waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptClaim {
    pub claim: JournalClaim,
    /// `traceparent` of its record.
    pub trace: Option<String>,
}

/// An outcome as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptOutcome {
    pub outcome: JournalOutcome,
    /// `traceparent` of its record.
    pub trace: Option<String>,
}

/// A trace and a record's value, as they lie on disk.
pub(super) fn kept(trace: Option<&str>, value: &[u8]) -> Vec<u8> {
    let trace = trace.unwrap_or_default().as_bytes();
    let length = u8::try_from(trace.len()).unwrap_or(0);
    [&[length], trace.get(..usize::from(length)).unwrap_or_default(), value].concat()
}

/// The payload and the trace of a kept record.
pub(super) fn read_kept<P: Payload>(bytes: &[u8]) -> Option<(P, Option<String>)> {
    let (length, rest) = bytes.split_first()?;
    let (trace, value) = rest.split_at_checked(usize::from(*length))?;
    let trace = (!trace.is_empty()).then(|| String::from_utf8_lossy(trace).into_owned());
    Some((Envelope::<P>::decode(value).ok()?.payload, trace))
}

/// Puts an outcome and its claim together; `None` where neither holds the command: then there is nothing to answer to.
pub(super) fn unpublished(offset: i64, kept: KeptOutcome, claim: Option<KeptClaim>) -> Option<Unpublished> {
    let KeptOutcome { outcome, trace } = kept;
    let (command, action_digest, module) = match claim {
        Some(KeptClaim { claim, .. }) => (claim.command, Some(claim.action_digest), Some(claim.module)),
        None => (outcome.command.clone()?, None, None),
    };
    Some(Unpublished { offset, outcome, command, action_digest, module, trace })
}

/// How long what has ended is kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// What is known of an ended command; afterwards it is `stale`. The journal's retention by default.
    pub history_ms: i64,
    /// How far two clocks may differ.
    pub clock_skew_ms_max: i64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { history_ms: unrip_core::topic::EXECUTION_RETENTION_MS, clock_skew_ms_max: 2_000 }
    }
}

/// The command of a kept record's place.
pub(super) fn id_of(bytes: &[u8]) -> Option<CommandId> {
    decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::encoding::encode;

    #[test]
    fn a_checkpoint_is_read_back_whole_or_not_at_all() {
        let checkpoint = Checkpoint {
            next_offset: 7,
            last_event_id: Some(Uuid::from_u128(1)),
            journal_id: None,
            floor: Timestamp::from_micros(-3),
            first_fence_at: Some(Timestamp::from_micros(9)),
            newest_append: Timestamp::from_micros(10),
        };
        let bytes = encode(&checkpoint);
        assert_eq!(decode(&bytes), Some(checkpoint));
        for cut in 0..bytes.len() {
            assert_eq!(decode::<Checkpoint>(&bytes[..cut]), None);
        }
    }
}

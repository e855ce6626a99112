//! A journal record as operators need it: who fenced, what was claimed, how it ended. The rest is skipped unread.

use serde::Deserialize;
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::journal::{JournalDecision, JournalEntry, JournalEvidence, JournalFence, JournalSeed};
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Envelope, Timestamp, Uuid};

/// What a record says.
#[derive(Clone, Debug)]
pub enum Said {
    /// An executor takes over.
    Fence(JournalFence),
    /// An executor means to act.
    Claim(Box<ClaimSaid>),
    /// A command ended.
    Outcome(OutcomeSaid),
    /// A fenced executor heard an answer.
    Evidence(Box<JournalEvidence>),
    /// A person decided.
    Decision(JournalDecision),
    /// A lost journal held this ended command.
    Seed(Box<JournalSeed>),
    /// Nothing that an operator is told; or unreadable, and then without effect.
    Nothing,
}

/// A claim.
#[derive(Clone, Debug, Deserialize)]
pub struct ClaimSaid {
    /// The command.
    pub command_id: CommandId,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// Nothing is handed to a socket after this time.
    pub dispatch_by: Timestamp,
    /// The venue takes nothing after this time.
    pub deadline: Timestamp,
    /// SHA-256 of the unsigned bytes.
    pub action_digest: String,
    /// The command itself.
    pub command: Envelope<CommandSaid>,
}

/// A command inside a claim.
#[derive(Clone, Debug, Deserialize)]
pub struct CommandSaid {
    /// Its id.
    pub command_id: CommandId,
    /// At most one signed action is released per key.
    pub idempotency_key: String,
    /// The account that acts.
    pub account: String,
    /// The venue's own id of the opportunity.
    pub venue_ref: String,
    /// The strategy that decided.
    pub strategy: String,
    /// What to do.
    pub action: serde_json::Value,
}

/// An outcome.
#[derive(Clone, Debug, Deserialize)]
pub struct OutcomeSaid {
    /// The command.
    pub command_id: CommandId,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// How it ended.
    pub status: ResultStatus,
    /// The reason as a stable code.
    pub result_code: String,
}

/// Reads a journal record: its venue, its id, and what it says.
pub fn read(value: &[u8]) -> (String, Uuid, Said) {
    quick(value).or_else(|| slow(value)).unwrap_or((String::new(), Uuid::nil(), Said::Nothing))
}

/// Nearly all of a journal is claims and outcomes: they are read in one pass, without a tree of values.
fn quick(value: &[u8]) -> Option<(String, Uuid, Said)> {
    if let Ok(claim) = serde_json::from_slice::<Envelope<ClaimSaid>>(value)
        && claim.event_type == "journal_claim"
    {
        // A claim that holds another command claims nothing.
        let fits = claim.payload.command.payload.command_id == claim.payload.command_id;
        let said = if fits { Said::Claim(Box::new(claim.payload)) } else { Said::Nothing };
        return Some((claim.venue, claim.event_id, said));
    }
    let outcome: Envelope<OutcomeSaid> = serde_json::from_slice(value).ok()?;
    let said = outcome.event_type == "journal_outcome";
    said.then_some((outcome.venue, outcome.event_id, Said::Outcome(outcome.payload)))
}

fn slow(value: &[u8]) -> Option<(String, Uuid, Said)> {
    let envelope = AnyEnvelope::read(value).ok()?;
    let (venue, event_id) = (envelope.venue.clone(), envelope.event_id);
    let said = match JournalEntry::read(envelope).ok()? {
        JournalEntry::Fence(fence) => Said::Fence(fence),
        JournalEntry::Evidence(evidence) => Said::Evidence(Box::new(evidence)),
        JournalEntry::Decision(decision) => Said::Decision(decision),
        JournalEntry::Seed(seed) => Said::Seed(Box::new(seed)),
        _ => Said::Nothing,
    };
    Some((venue, event_id, said))
}

//! Journal records as facts for the fold: the edge where JSON becomes types.

use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{JournalClaim, JournalEntry, JournalOutcome, JournalSeed};
use unrip_core::{Envelope, Uuid};

use super::fold::{Fact, Head, Placed};
use super::intake;

/// A journal record read: what the rule needs and the payload that recovery needs.
#[derive(Clone, Debug)]
pub struct JournalRecord {
    /// For the rule.
    pub placed: Placed,
    /// The payload.
    pub entry: JournalEntry,
}

/// Reads a journal record. What cannot be read has no effect, but it keeps its place.
pub fn read(offset: i64, value: &[u8]) -> JournalRecord {
    let unknown = |what: String| JournalRecord {
        placed: Placed { offset, event_id: Uuid::nil(), venue: String::new(), fact: Fact::Unknown },
        entry: JournalEntry::Unknown(what),
    };
    let envelope = match AnyEnvelope::read(value) {
        Ok(envelope) => envelope,
        Err(error) => return unknown(error.to_string()),
    };
    let (event_id, venue) = (envelope.event_id, envelope.venue.clone());
    let entry = match JournalEntry::read(envelope) {
        Ok(entry) => entry,
        Err(error) => return unknown(error.to_string()),
    };
    let fact = fact(&entry, &venue);
    JournalRecord { placed: Placed { offset, event_id, venue, fact }, entry }
}

fn fact(entry: &JournalEntry, venue: &str) -> Fact {
    match entry {
        JournalEntry::Genesis(_) => Fact::Genesis,
        JournalEntry::Fence(_) => Fact::Fence,
        JournalEntry::Claim(claim) => match claim_head(claim) {
            Some(head) => Fact::Claim { head, fence_offset: claim.fence_offset },
            None => Fact::Unknown,
        },
        JournalEntry::Outcome(outcome) => Fact::Outcome {
            head: outcome_head(outcome, venue),
            fence_offset: outcome.fence_offset,
            status: outcome.status,
        },
        JournalEntry::Evidence(evidence) => Fact::Evidence { id: evidence.command_id },
        JournalEntry::Skip(skip) => Fact::Skip { command_offset: skip.command_offset, fence_offset: skip.fence_offset },
        JournalEntry::Decision(decision) => Fact::Decision { id: decision.command_id },
        JournalEntry::Seed(seed) => Fact::Seed {
            head: seed_head(seed, venue),
            fence_offset: seed.fence_offset,
            claimed: seed.claimed,
            status: seed.status,
        },
        JournalEntry::Unknown(_) => Fact::Unknown,
    }
}

/// The command inside a claim; `None` where it is not one, and then the claim claims nothing.
pub fn claimed_command(claim: &JournalClaim) -> Option<Envelope<ExecuteTrade>> {
    let any: AnyEnvelope = serde_json::from_value(claim.command.clone()).ok()?;
    let command: Envelope<ExecuteTrade> = any.typed().ok()?;
    (command.payload.command_id == claim.command_id).then_some(command)
}

fn claim_head(claim: &JournalClaim) -> Option<Head> {
    let command = claimed_command(claim)?;
    let head = intake::head(&command, claim.command_offset, claim.content_hash.clone());
    Some(Head { dispatch_by: claim.dispatch_by, deadline: claim.deadline, ..head })
}

fn outcome_head(outcome: &JournalOutcome, venue: &str) -> Head {
    let command = outcome.command.clone().and_then(|value| {
        let any: AnyEnvelope = serde_json::from_value(value).ok()?;
        any.typed::<ExecuteTrade>().ok()
    });
    match command {
        Some(command) => intake::head(&command, outcome.command_offset, outcome.content_hash.clone()),
        // The claim holds the command; if there is none, only the id is known.
        None => Head {
            id: outcome.command_id,
            venue: venue.to_owned(),
            event_id: Uuid::nil(),
            offset: outcome.command_offset,
            idempotency_key: String::new(),
            content_hash: outcome.content_hash.clone(),
            origin: String::new(),
            dispatch_by: outcome.command_id.time(),
            deadline: outcome.command_id.time(),
        },
    }
}

fn seed_head(seed: &JournalSeed, venue: &str) -> Head {
    Head {
        id: seed.command_id,
        venue: venue.to_owned(),
        event_id: seed.command_event_id,
        offset: seed.command_offset,
        idempotency_key: seed.idempotency_key.clone(),
        content_hash: seed.content_hash.clone(),
        origin: seed.origin.clone(),
        dispatch_by: seed.dispatch_by,
        deadline: seed.deadline,
    }
}

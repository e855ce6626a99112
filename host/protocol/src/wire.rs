//! Journal records as facts for the fold: the edge where JSON becomes types.

use serde::Deserialize;
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::{Action, ExecuteTrade, InputRef};
use unrip_core::event::journal::{JournalClaim, JournalEntry, JournalOutcome, JournalSeed, Reserve};
use unrip_core::event::result::{Evidence, ResultStatus};
use unrip_core::{CommandId, Envelope, Payload, Timestamp, Uuid};

use super::fold::{Fact, Head, Placed};
use super::intake;

/// How far into a record its event type is looked for, in bytes: our own writers put it second.
const KIND_WITHIN: usize = 160;

/// A journal record read: what the rule needs, and the bytes from which recovery reads the rest when it needs it.
#[derive(Clone, Debug)]
pub struct JournalRecord {
    /// For the rule.
    pub placed: Placed,
    /// The journal that it belongs to, as a fence or the genesis at offset 0 says.
    pub journal_id: Option<Uuid>,
    /// The record's value.
    pub value: Vec<u8>,
}

/// Reads a journal record. What cannot be read has no effect, but it keeps its place.
pub fn read(offset: i64, value: Vec<u8>) -> JournalRecord {
    let quick = match kind(&value) {
        Kind::Claim => quick_claim(&value),
        Kind::Outcome => quick_outcome(&value),
        Kind::Other => None,
    };
    let (event_id, venue, fact, journal_id) = match quick {
        Some((event_id, venue, fact)) => (event_id, venue, fact, None),
        None => slow(offset, &value).unwrap_or((Uuid::nil(), String::new(), Fact::Unknown, None)),
    };
    JournalRecord { placed: Placed { offset, event_id, venue, fact }, journal_id, value }
}

/// The payload of a journal record; `None` where it cannot be read.
pub fn entry(value: &[u8]) -> Option<JournalEntry> {
    JournalEntry::read(AnyEnvelope::read(value).ok()?).ok()
}

/// The command inside a claim; `None` where it is not one, and then the claim claims nothing.
pub fn claimed_command(claim: &JournalClaim) -> Option<Envelope<ExecuteTrade>> {
    let any: AnyEnvelope = serde_json::from_value(claim.command.clone()).ok()?;
    let command: Envelope<ExecuteTrade> = any.typed().ok()?;
    (command.payload.command_id == claim.command_id).then_some(command)
}

/// Every kind, through a tree of values.
fn slow(offset: i64, value: &[u8]) -> Option<(Uuid, String, Fact, Option<Uuid>)> {
    let envelope = AnyEnvelope::read(value).ok()?;
    let (event_id, venue) = (envelope.event_id, envelope.venue.clone());
    let entry = JournalEntry::read(envelope).ok()?;
    let fact = fact(&entry, &venue);
    let journal_id = match &entry {
        // Topic steps that ran at once may each have written one: the first counts.
        JournalEntry::Genesis(genesis) => (offset == 0).then_some(genesis.journal_id),
        JournalEntry::Fence(fence) => Some(fence.journal_id),
        _ => None,
    };
    Some((event_id, venue, fact, journal_id))
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
        None => bare_head(outcome.command_id, venue, outcome.command_offset, outcome.content_hash.clone()),
    }
}

/// Of an outcome without its command: the claim holds it; if there is none, only the id is known.
fn bare_head(id: CommandId, venue: &str, offset: i64, content_hash: String) -> Head {
    Head {
        id,
        venue: venue.to_owned(),
        event_id: Uuid::nil(),
        offset,
        idempotency_key: String::new(),
        content_hash,
        origin: String::new(),
        dispatch_by: id.time(),
        deadline: id.time(),
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

/// What a record seems to be; only a hint, its type is compared when it is read.
enum Kind {
    Claim,
    Outcome,
    Other,
}

fn kind(value: &[u8]) -> Kind {
    let start = value.get(..KIND_WITHIN).unwrap_or(value);
    let says = |name: &[u8]| start.windows(name.len()).any(|window| window == name);
    if says(b"\"journal_claim\"") {
        Kind::Claim
    } else if says(b"\"journal_outcome\"") {
        Kind::Outcome
    } else {
        Kind::Other
    }
}

/// An envelope as our own writers write it: no text in it is escaped. Another is read slowly.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a record that lacks one of these is no envelope")]
struct Quick<'a, P> {
    event_id: Uuid,
    event_type: &'a str,
    venue: &'a str,
    source: &'a str,
    schema_version: u32,
    observed_at: Timestamp,
    ingested_at: Timestamp,
    causation_id: Option<Uuid>,
    correlation_id: Option<Uuid>,
    #[serde(borrow)]
    module: Option<QuickModule<'a>>,
    payload: P,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as in `ModuleRef`")]
struct QuickModule<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a str,
    wit: &'a str,
    config_digest: &'a str,
}

/// A claim with its command typed, read in one pass: nearly all of a journal is claims and outcomes.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a claim that lacks one of these is none, as in `JournalClaim`")]
struct QuickClaim<'a> {
    command_id: CommandId,
    command_offset: i64,
    content_hash: &'a str,
    #[serde(borrow)]
    command: Quick<'a, QuickCommand<'a>>,
    fence_offset: i64,
    dispatch_by: Timestamp,
    deadline: Timestamp,
    key_id: &'a str,
    scheme: &'a str,
    action_base64: &'a str,
    action_digest: &'a str,
    module: QuickModule<'a>,
    #[serde(default)]
    reserves: Vec<Reserve>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "as in `ExecuteTrade`")]
struct QuickCommand<'a> {
    command_id: CommandId,
    idempotency_key: &'a str,
    execution_key: &'a str,
    account: &'a str,
    strategy: &'a str,
    venue_ref: &'a str,
    dispatch_by: Timestamp,
    deadline: Timestamp,
    reason: &'a str,
    inputs: Vec<InputRef>,
    action: Action,
}

/// An outcome whose claim holds the command; others are few.
#[derive(Deserialize)]
#[allow(dead_code, reason = "an outcome that lacks one of these is none, as in `JournalOutcome`")]
struct QuickOutcome<'a> {
    command_id: CommandId,
    command_offset: i64,
    content_hash: &'a str,
    command: (),
    fence_offset: i64,
    status: ResultStatus,
    result_code: &'a str,
    note: Option<String>,
    evidence: Option<Evidence>,
}

/// `None`: read it slowly, that decides.
fn quick_claim(value: &[u8]) -> Option<(Uuid, String, Fact)> {
    let envelope: Quick<'_, QuickClaim<'_>> = serde_json::from_slice(value).ok()?;
    let (claim, command) = (&envelope.payload, &envelope.payload.command);
    let is_one = is_of::<JournalClaim>(envelope.event_type, envelope.schema_version)
        && is_of::<ExecuteTrade>(command.event_type, command.schema_version)
        && command.payload.command_id == claim.command_id;
    if !is_one {
        return None;
    }
    let origin = command.module.as_ref().map(|module| intake::origin(module.digest, module.config_digest));
    let head = Head {
        id: claim.command_id,
        venue: command.venue.to_owned(),
        event_id: command.event_id,
        offset: claim.command_offset,
        idempotency_key: command.payload.idempotency_key.to_owned(),
        content_hash: claim.content_hash.to_owned(),
        origin: origin.unwrap_or_default(),
        dispatch_by: claim.dispatch_by,
        deadline: claim.deadline,
    };
    let fact = Fact::Claim { head, fence_offset: claim.fence_offset };
    Some((envelope.event_id, envelope.venue.to_owned(), fact))
}

fn quick_outcome(value: &[u8]) -> Option<(Uuid, String, Fact)> {
    let envelope: Quick<'_, QuickOutcome<'_>> = serde_json::from_slice(value).ok()?;
    let outcome = &envelope.payload;
    if !is_of::<JournalOutcome>(envelope.event_type, envelope.schema_version) {
        return None;
    }
    let content_hash = outcome.content_hash.to_owned();
    let head = bare_head(outcome.command_id, envelope.venue, outcome.command_offset, content_hash);
    let fact = Fact::Outcome { head, fence_offset: outcome.fence_offset, status: outcome.status };
    Some((envelope.event_id, envelope.venue.to_owned(), fact))
}

fn is_of<P: Payload>(event_type: &str, schema_version: u32) -> bool {
    event_type == P::EVENT_TYPE && schema_version <= P::SCHEMA_VERSION
}

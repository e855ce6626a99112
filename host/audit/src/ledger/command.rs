//! What is known of one command, and the command stream itself.

use std::collections::BTreeSet;

use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::{ExecuteTrade, execution_key, idempotency_key};
use unrip_core::event::result::{Evidence, ResultStatus, StatusState, TradeResult};
use unrip_core::partition::partition_for;
use unrip_core::{CommandId, Envelope, Timestamp, Uuid};

use super::{Ledger, Place};

/// What was read of one command, from all streams.
#[derive(Debug, Default)]
pub(super) struct Command {
    /// When it was last touched, in folded records.
    pub(super) folded: u64,
    /// The first record with its id.
    pub(super) record: Option<CommandRecord>,
    /// Partitions and offsets of command records that an executor passed over.
    pub(super) skipped: BTreeSet<(i32, i64)>,
    /// The claim that counts.
    pub(super) claim: Option<Claim>,
    /// The outcome that counts.
    pub(super) outcome: Option<Outcome>,
    /// What a lost journal held of it, if it had ended there.
    pub(super) seed: Option<Seed>,
    /// The person's decision that counts.
    pub(super) decision: Option<Decision>,
    /// When the executor first said that it is in doubt.
    pub(super) doubt_since: Option<Timestamp>,
    /// The first evidence of execution that a fenced executor wrote.
    pub(super) executed_evidence: Option<Place>,
    /// The first result.
    pub(super) result: Option<PublishedResult>,
    /// Facts on the way: index of the state, event id, place.
    pub(super) statuses: Vec<(u32, Uuid, Place)>,
    /// Whether the journal says something of it under a fence that was deleted by age, so that no one can say whether
    /// it has an effect.
    pub(super) under_deleted_fence: bool,
}

/// A record of the command stream.
#[derive(Debug)]
pub(super) struct CommandRecord {
    pub(super) place: Place,
    pub(super) event_id: Uuid,
    pub(super) correlation_id: Option<Uuid>,
    pub(super) observed_at: Timestamp,
    pub(super) content_hash: String,
    pub(super) idempotency_key: String,
    pub(super) execution_key: String,
    pub(super) venue_ref: String,
    pub(super) dispatch_by: Timestamp,
    pub(super) deadline: Timestamp,
    /// Why it can never be accepted, if so.
    pub(super) misrouted: Option<String>,
}

/// A valid claim.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) place: Place,
    pub(super) command_offset: i64,
    pub(super) content_hash: String,
    /// Of the command inside, recomputed.
    pub(super) held_hash: Option<String>,
    pub(super) idempotency_key: String,
    pub(super) dispatch_by: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) action_digest: String,
    /// Of the bytes inside, recomputed.
    pub(super) bytes_digest: Option<String>,
}

/// A valid outcome.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) place: Place,
    pub(super) command_offset: i64,
    pub(super) content_hash: String,
    pub(super) status: ResultStatus,
    pub(super) result_code: String,
    pub(super) note: Option<String>,
    pub(super) evidence: Option<Evidence>,
}

/// A valid seed: the command ended in a journal that was lost.
#[derive(Debug)]
pub(super) struct Seed {
    pub(super) place: Place,
    pub(super) content_hash: String,
    pub(super) status: ResultStatus,
}

/// A person's decision about an open claim.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) place: Place,
    pub(super) status: ResultStatus,
    pub(super) decided_at: Timestamp,
}

/// The first result.
#[derive(Debug)]
pub(super) struct PublishedResult {
    pub(super) place: Place,
    pub(super) event_id: Uuid,
    pub(super) causation_id: Option<Uuid>,
    pub(super) correlation_id: Option<Uuid>,
    pub(super) observed_at: Timestamp,
    pub(super) content_hash: String,
    pub(super) payload: TradeResult,
}

impl Command {
    /// Whether a record with its id stands to be executed: exactly one result is due.
    pub(super) fn is_accepted(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.misrouted.is_none() && !self.skips(record))
    }

    /// Whether an executor passed the record over.
    pub(super) fn skips(&self, record: &CommandRecord) -> bool {
        self.skipped.contains(&(record.place.partition, record.place.offset))
    }

    /// Accepted and without a result.
    pub(super) fn has_no_result(&self) -> bool {
        self.is_accepted() && self.result.is_none()
    }

    /// Whether the journal says how it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.outcome.is_some() || self.seed.is_some()
    }

    /// Claimed, not ended, and said to be in doubt: only the venue, or a person, can end it.
    pub(super) fn in_doubt_since(&self) -> Option<Timestamp> {
        self.doubt_since.filter(|_| self.claim.is_some() && !self.has_ended())
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.record.as_ref().map(|record| record.deadline)
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        let of_record = self.record.as_ref().map(|record| record.idempotency_key.as_str());
        of_record.or_else(|| self.claim.as_ref().map(|claim| claim.idempotency_key.as_str()))
    }

    pub(super) fn said(&self, state: StatusState) -> Option<Place> {
        self.statuses.iter().find(|(said, _, _)| *said == state.index()).map(|(_, _, place)| *place)
    }
}

impl Ledger {
    pub(super) fn fold_command(&mut self, place: Place, key: Option<&[u8]>, value: &[u8]) {
        // What cannot be read was never accepted: the executor writes a dead letter and a skip.
        let Some((id, record)) = read(place, key, value, self.options.partitions) else { return };
        let Some(command) = self.touch(id) else { return };
        match &command.record {
            None => command.record = Some(record),
            Some(first) if first.content_hash == record.content_hash => self.counts.command_repeats += 1,
            Some(_) => self.counts.command_copies += 1,
        }
    }
}

fn read(place: Place, key: Option<&[u8]>, value: &[u8], partitions: i32) -> Option<(CommandId, CommandRecord)> {
    let any = AnyEnvelope::read(value).ok()?;
    let content_hash = any.content_hash().ok()?;
    let envelope: Envelope<ExecuteTrade> = any.typed().ok()?;
    let misrouted = misrouted(place, key, &envelope, partitions);
    let payload = envelope.payload;
    let record = CommandRecord {
        place,
        event_id: envelope.event_id,
        correlation_id: envelope.correlation_id,
        observed_at: envelope.observed_at,
        content_hash,
        idempotency_key: payload.idempotency_key,
        execution_key: payload.execution_key,
        venue_ref: payload.venue_ref,
        dispatch_by: payload.dispatch_by,
        deadline: payload.deadline,
        misrouted,
    };
    Some((payload.command_id, record))
}

/// Why a command's keys, partition or id do not fit together (`RECORDS.md`, Keys and partitions).
fn misrouted(place: Place, key: Option<&[u8]>, envelope: &Envelope<ExecuteTrade>, partitions: i32) -> Option<String> {
    let payload = &envelope.payload;
    let expected_key = execution_key(&envelope.venue, &payload.account);
    let expected_partition = partition_for(expected_key.as_bytes(), partitions);
    let id = payload.command_id;
    let checks = [
        (payload.execution_key == expected_key, "execution_key"),
        (key == Some(expected_key.as_bytes()), "record key"),
        (payload.idempotency_key == idempotency_key(&expected_key, &payload.venue_ref), "idempotency_key"),
        (place.partition == expected_partition, "partition"),
        (id.matches_key(&expected_key) && id.time() == envelope.observed_at.cut_to_millis(), "command_id"),
    ];
    let wrong: Vec<&str> = checks.iter().filter(|(right, _)| !right).map(|(_, name)| *name).collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

//! The journal, read by the rule of `core/RECORDS.md` (Validity): what is valid, and what has no effect.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{
    JournalClaim, JournalDecision, JournalEntry, JournalEvidence, JournalOutcome, JournalSeed, JournalSkip,
};
use unrip_core::event::result::ResultStatus;
use unrip_core::id::sha256_hex;
use unrip_core::{CommandId, Envelope, Timestamp, Uuid};

use super::command::{Claim, Decision, Outcome, Seed};
use super::{Finding, Ledger, Place, Stream, count};

/// Reason code of a command older than its journal.
const STALE: &str = "stale";

impl Ledger {
    pub(super) fn fold_journal(&mut self, place: Place, key: Option<&[u8]>, value: &[u8]) {
        let read =
            AnyEnvelope::read(value).and_then(|any| Ok((any.venue.clone(), any.observed_at, JournalEntry::read(any)?)));
        let (venue, made_at, entry) = match read {
            Ok(read) => read,
            Err(error) => return self.unreadable(place, error.to_string()),
        };
        self.keeps(place, made_at);
        match entry {
            JournalEntry::Genesis(genesis) => self.genesis(place, genesis.journal_id),
            JournalEntry::Fence(_) => {
                // Known by its id, its last copy counts: the newest record is the fence either way.
                self.fences.insert((place.partition, venue), place.offset);
            }
            JournalEntry::Claim(claim) => self.claim(place, key, &venue, *claim),
            JournalEntry::Outcome(outcome) => self.outcome(place, key, &venue, *outcome),
            JournalEntry::Evidence(evidence) => self.evidence(place, &evidence),
            JournalEntry::Skip(skip) => self.skip(place, &venue, skip),
            JournalEntry::Decision(decision) => self.decision(place, key, made_at, &decision),
            JournalEntry::Seed(seed) => self.seed(place, key, &venue, seed),
            JournalEntry::Unknown(kind) => {
                tracing::debug!(kind, partition = place.partition, offset = place.offset, "unknown journal record");
                self.void("unknown_kind");
            }
        }
    }

    fn claim(&mut self, place: Place, key: Option<&[u8]>, venue: &str, claim: JournalClaim) {
        let id = claim.command_id;
        self.check_key(place, key, id);
        let held = serde_json::from_value::<AnyEnvelope>(claim.command).ok();
        let held_hash = held.as_ref().and_then(|any| any.content_hash().ok());
        let Some(held) = held.and_then(|any| any.typed().ok()) else {
            return self.unreadable(place, "the command that the claim holds cannot be read".to_owned());
        };
        let held: Envelope<ExecuteTrade> = held;
        let idempotency_key = held.payload.idempotency_key;
        if !self.has_effect("claim", place, venue, claim.fence_offset, Some(id)) {
            return;
        }
        if self.claimed_keys.get(&idempotency_key).is_some_and(|holder| *holder != id) {
            return self.void("claim_repeats_key");
        }
        let Some(command) = self.touch(id) else { return };
        if command.claim.is_some() || command.has_ended() {
            return self.void("claim_repeats_command");
        }
        let bytes = STANDARD.decode(&claim.action_base64).ok();
        command.claim = Some(Claim {
            place,
            command_offset: claim.command_offset,
            content_hash: claim.content_hash,
            held_hash,
            idempotency_key: idempotency_key.clone(),
            dispatch_by: claim.dispatch_by,
            deadline: claim.deadline,
            action_digest: claim.action_digest,
            bytes_digest: bytes.map(|bytes| sha256_hex(&bytes)),
        });
        self.claimed_keys.insert(idempotency_key, id);
        self.counts.claims += 1;
    }

    fn outcome(&mut self, place: Place, key: Option<&[u8]>, venue: &str, outcome: JournalOutcome) {
        let id = outcome.command_id;
        self.check_key(place, key, id);
        if !self.has_effect("outcome", place, venue, outcome.fence_offset, Some(id)) {
            return;
        }
        let Some(command) = self.touch(id) else { return };
        if command.has_ended() {
            return self.void("outcome_repeats_command");
        }
        command.outcome = Some(Outcome {
            place,
            command_offset: outcome.command_offset,
            content_hash: outcome.content_hash,
            status: outcome.status,
            result_code: outcome.result_code,
            note: outcome.note,
            evidence: outcome.evidence,
        });
    }

    /// Exempt from the fence rule: it ends nothing, but it may not be ignored.
    fn evidence(&mut self, place: Place, evidence: &JournalEvidence) {
        let Some(command) = self.touch(evidence.command_id) else { return };
        if evidence.status == ResultStatus::Executed {
            command.executed_evidence.get_or_insert(place);
        }
    }

    /// Counts for an open claim only, the first of a command.
    fn decision(&mut self, place: Place, key: Option<&[u8]>, decided_at: Timestamp, decision: &JournalDecision) {
        let id = decision.command_id;
        self.check_key(place, key, id);
        let status = decision.status;
        let Some(command) = self.touch(id) else { return };
        if command.claim.is_none() || command.has_ended() || command.decision.is_some() {
            return self.void("decision_without_effect");
        }
        command.decision = Some(Decision { place, status, decided_at });
    }

    /// The command ended, and its result was published, in a journal that was lost.
    fn seed(&mut self, place: Place, key: Option<&[u8]>, venue: &str, seed: JournalSeed) {
        let id = seed.command_id;
        self.check_key(place, key, id);
        if !self.has_effect("seed", place, venue, seed.fence_offset, Some(id)) {
            return;
        }
        let Some(command) = self.touch(id) else { return };
        if command.claim.is_some() || command.has_ended() {
            return self.void("seed_repeats_command");
        }
        command.seed = Some(Seed { place, content_hash: seed.content_hash, status: seed.status });
        if seed.claimed {
            self.claimed_keys.entry(seed.idempotency_key).or_insert(id);
        }
    }

    /// A journal that was made again has fences of its own; what the earlier one held of commands stays true.
    ///
    /// Topic steps that ran at the same time may each have written a genesis: only the one at offset 0 counts.
    fn genesis(&mut self, place: Place, journal_id: Uuid) {
        if place.offset != 0 {
            return;
        }
        let before = self.journals.insert(place.partition, journal_id);
        if before.is_some_and(|before| before != journal_id) {
            tracing::warn!(partition = place.partition, %journal_id, "the journal was made again; reading its fences from here");
            self.fences.retain(|(partition, _), _| *partition != place.partition);
        }
    }

    fn skip(&mut self, place: Place, venue: &str, skip: JournalSkip) {
        if !self.has_effect("skip", place, venue, skip.fence_offset, skip.command_id) {
            return;
        }
        count(&mut self.counts.skipped, &skip.reason_code);
        if let Some(command) = skip.command_id.and_then(|id| self.touch(id)) {
            // A journal that was made again passes over, as stale, what an earlier one held.
            if skip.reason_code == STALE && (command.claim.is_some() || command.has_ended()) {
                return;
            }
            command.skipped.insert((place.partition, skip.command_offset));
        }
    }

    /// Whether the record's fence is the newest of its venue before it. A fence that was deleted by age is not: whether
    /// it was the newest, what is left of the log does not say. Executors write fences again and again, so that only
    /// records at the very beginning of a log lack theirs.
    fn has_effect(&mut self, kind: &str, place: Place, venue: &str, fence_offset: i64, id: Option<CommandId>) -> bool {
        let start = self.starts.get(&(Stream::Journal, place.partition)).copied().unwrap_or(0);
        match self.fences.get(&(place.partition, venue.to_owned())) {
            Some(newest) if *newest == fence_offset => return true,
            None if fence_offset < start => {
                if let Some(command) = id.and_then(|id| self.touch(id)) {
                    command.under_deleted_fence = true;
                }
                self.void(&format!("{kind}_fence_deleted"));
            }
            Some(_) | None => self.void(&format!("{kind}_fenced")),
        }
        false
    }

    fn void(&mut self, reason: &str) {
        count(&mut self.counts.journal_void, reason);
    }

    /// Records of a command carry its id as key.
    pub(super) fn check_key(&mut self, place: Place, key: Option<&[u8]>, id: CommandId) {
        if key != Some(id.to_string().as_bytes()) {
            let detail = format!("the record's key is `{}`", String::from_utf8_lossy(key.unwrap_or_default()));
            self.violation(Finding { code: "wrong_key", place, detail }, Some(id));
        }
    }
}

//! What the records of one command may not say together.

mod decisions;
mod statuses;

use std::collections::BTreeMap;

use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState, TradeResult};
use unrip_core::id::derived_event_id;
use unrip_core::{CommandId, Payload, Timestamp};

use super::command::{Claim, Command, CommandRecord, Outcome, PublishedResult};
use super::outcome::snake_case;
use super::{Finding, Place, Stream};

/// The role's name in event ids.
const ROLE: &str = "execute";
/// Result code of an outcome that a person decided.
const RESOLVED_BY_OPERATOR: &str = "resolved_by_operator";

type Starts = BTreeMap<(Stream, i32), i64>;

struct Judge<'a> {
    command: &'a Command,
    starts: &'a Starts,
    findings: Vec<Finding>,
}

/// Every contradiction among the records of one command, all of them read.
pub(super) fn judge(id: &CommandId, command: &Command, starts: &Starts) -> Vec<Finding> {
    let mut judge = Judge { command, starts, findings: Vec::new() };
    if let Some(claim) = &command.claim {
        judge.claim(claim);
    }
    if let Some(outcome) = &command.outcome {
        judge.outcome(outcome);
    }
    if let Some(seed) = &command.seed {
        judge.seed(seed);
    }
    if let Some(decision) = &command.decision {
        judge.decision(decision);
    }
    if let Some(result) = &command.result {
        judge.result(id, result);
    }
    judge.statuses();
    judge.findings
}

impl Judge<'_> {
    fn find(&mut self, code: &'static str, place: Place, detail: impl Into<String>) {
        self.findings.push(Finding { code, place, detail: detail.into() });
    }

    /// Where the partition's reading began: what lay before is not missed.
    fn begins_after(&self, stream: Stream, partition: i32, offset: i64) -> bool {
        self.starts.get(&(stream, partition)).is_some_and(|start| *start > offset)
    }

    fn claim(&mut self, claim: &Claim) {
        let place = claim.place;
        if claim.bytes_digest.as_ref() != Some(&claim.action_digest) {
            self.find("claim_digest", place, "action_digest is not the SHA-256 of the claimed bytes");
        }
        if claim.held_hash.as_ref() != Some(&claim.content_hash) {
            self.find("claim_differs", place, "content_hash is not that of the command in the claim");
        }
        let Some(record) = &self.command.record else {
            return self.no_command("claim_without_command", place, claim.command_offset);
        };
        let wrong = [
            (claim.content_hash != record.content_hash, "content_hash"),
            (claim.command_offset != record.place.offset, "command_offset"),
            (claim.deadline != record.deadline, "deadline"),
            (claim.dispatch_by > record.dispatch_by, "dispatch_by, which is later,"),
            (place.partition != record.place.partition, "partition"),
        ];
        self.differs("claim_differs", place, &wrong);
        self.not_accepted(record, place, "claim_of_unaccepted");
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let place = outcome.place;
        match &self.command.claim {
            Some(claim) => self.outcome_of_claim(outcome, claim),
            None => self.outcome_without_claim(outcome),
        }
        let fenced_heard = self.command.executed_evidence.filter(|heard| heard.offset < place.offset);
        if let (Some(heard), ResultStatus::NotExecuted | ResultStatus::Expired) = (fenced_heard, outcome.status) {
            self.find("evidence_ignored", place, format!("evidence of execution stands at offset {}", heard.offset));
        }
        let Some(record) = &self.command.record else {
            return self.no_command("outcome_without_command", place, outcome.command_offset);
        };
        let wrong = [
            (outcome.content_hash != record.content_hash, "content_hash"),
            (place.partition != record.place.partition, "partition"),
        ];
        self.differs("outcome_differs", place, &wrong);
        self.not_accepted(record, place, "outcome_of_unaccepted");
    }

    fn outcome_without_claim(&mut self, outcome: &Outcome) {
        let place = outcome.place;
        // A claim that was deleted by age is not missed.
        if self.begins_after(Stream::Journal, place.partition, 0) {
            return;
        }
        if !matches!(outcome.status, ResultStatus::Rejected | ResultStatus::Expired) {
            self.find("outcome_needs_claim", place, format!("{} without a claim", snake_case(outcome.status)));
        }
        if outcome.evidence.as_ref().is_some_and(|evidence| evidence.action_digest.is_some()) {
            self.find("evidence_without_claim", place, "the evidence names an action and nothing was claimed");
        }
    }

    fn outcome_of_claim(&mut self, outcome: &Outcome, claim: &Claim) {
        let place = outcome.place;
        let Some(evidence) = &outcome.evidence else {
            return self.find("no_evidence", place, "a claim exists and the outcome gives no evidence");
        };
        if evidence.action_digest.as_ref().is_some_and(|digest| *digest != claim.action_digest) {
            self.find("evidence_of_another_action", place, "action_digest is not the claim's");
        }
        if outcome.result_code == RESOLVED_BY_OPERATOR {
            return self.outcome_of_decision(outcome, evidence);
        }
        let of_venue =
            matches!(evidence.kind, EvidenceKind::VenueAnswer | EvidenceKind::VenueQuery | EvidenceKind::ChainQuery);
        match outcome.status {
            ResultStatus::Executed if !of_venue => {
                self.find("executed_without_proof", place, format!("evidence is {}", snake_case(evidence.kind)));
            }
            ResultStatus::NotExecuted if !of_venue || !after(evidence.venue_time, claim.deadline) => {
                let time = evidence.venue_time.map_or_else(|| "no venue time".to_owned(), |time| time.to_string());
                let kind = snake_case(evidence.kind);
                self.find("negative_too_early", place, format!("{kind} at {time}, deadline {}", claim.deadline));
            }
            _ => {}
        }
    }

    fn result(&mut self, id: &CommandId, result: &PublishedResult) {
        let place = result.place;
        match &self.command.outcome {
            Some(outcome) => {
                let payload = &result.payload;
                let wrong = [
                    (payload.status != outcome.status, "status"),
                    (payload.result_code != outcome.result_code, "result_code"),
                    (payload.note != outcome.note, "note"),
                    (payload.evidence != outcome.evidence, "evidence"),
                    (place.partition != outcome.place.partition, "partition"),
                ];
                self.differs("result_differs_from_outcome", place, &wrong);
            }
            // A lost journal held it.
            None if self.command.seed.is_some() => {}
            // An outcome that was deleted by age is not missed.
            None if self.begins_after(Stream::Journal, place.partition, 0) => {}
            None => self.find("result_without_outcome", place, "the journal holds no valid outcome"),
        }
        let Some(record) = &self.command.record else {
            return self.no_command("result_without_command", place, 0);
        };
        let expected = derived_event_id(record.event_id, ROLE, TradeResult::EVENT_TYPE, 0);
        if result.event_id != expected {
            self.find("result_id", place, format!("event_id is {}, should be {expected}", result.event_id));
        }
        let payload = &result.payload;
        let wrong = [
            (result.causation_id != Some(record.event_id), "causation_id"),
            (result.correlation_id != record.correlation_id, "correlation_id"),
            (result.observed_at != record.observed_at, "observed_at"),
            (payload.command_id != *id, "command_id"),
            (payload.idempotency_key != record.idempotency_key, "idempotency_key"),
            (payload.execution_key != record.execution_key, "execution_key"),
            (payload.venue_ref != record.venue_ref, "venue_ref"),
            (place.partition != record.place.partition, "partition"),
        ];
        self.differs("result_differs_from_command", place, &wrong);
        self.not_accepted(record, place, "result_of_unaccepted");
        let settled = self.command.said(StatusState::Settled).is_some();
        if settled && matches!(payload.status, ResultStatus::NotExecuted | ResultStatus::Expired) {
            self.find("settled_after_all", place, format!("{} and yet settled", snake_case(payload.status)));
        }
    }

    fn no_command(&mut self, code: &'static str, place: Place, command_offset: i64) {
        if !self.begins_after(Stream::Commands, place.partition, command_offset) {
            self.find(code, place, "its partition of the commands holds no such command");
        }
    }

    fn not_accepted(&mut self, record: &CommandRecord, place: Place, code: &'static str) {
        if let Some(wrong) = &record.misrouted {
            self.find(code, place, format!("the command is misrouted: {wrong}"));
        } else if self.command.skips(record) {
            self.find(code, place, "the journal passed the command over");
        }
    }

    fn differs(&mut self, code: &'static str, place: Place, wrong: &[(bool, &str)]) {
        let wrong: Vec<&str> = wrong.iter().filter(|(wrong, _)| *wrong).map(|(_, name)| *name).collect();
        if !wrong.is_empty() {
            self.find(code, place, format!("{} differs", wrong.join(", ")));
        }
    }
}

fn after(time: Option<Timestamp>, deadline: Timestamp) -> bool {
    time.is_some_and(|time| time > deadline)
}

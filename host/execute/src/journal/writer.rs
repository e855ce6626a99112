//! Writing the executor's records: fences, claims, outcomes, evidence, skips, statuses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use unrip_bus::Outgoing;
use unrip_core::event::journal::{JournalClaim, JournalEvidence, JournalFence, JournalOutcome, JournalSkip};
use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::{CommandId, Payload, Timestamp, Uuid};
use unrip_service::RunError;

use crate::command::intake::find_signer;
use crate::command::statements::shortened;
use crate::journal::records::evidence;
use crate::points::{Point, reach};
use crate::runtime::executor::Service;
use crate::runtime::partition::{Held, Mark};
use unrip_protocol::decision::may_be_negative;
use unrip_protocol::fold::{FoldView, Head};
use unrip_protocol::partition::{Ending, Known};

impl Service {
    pub(crate) fn append_fence(&mut self, partition: i32, event_id: Uuid, now: Timestamp) -> Result<(), RunError> {
        let journal_id =
            self.store.view(partition).and_then(|view| view.checkpoint()).map_err(crate::journal::tail::state)?;
        let fence = JournalFence {
            partition,
            partition_count: self.partitions,
            journal_id: journal_id.and_then(|checkpoint| checkpoint.journal_id).unwrap_or_default(),
            executor_id: self.config.execute.executor_id.clone(),
            incarnation: self.incarnation,
        };
        let record = self.maker.journal(partition, "fence", event_id, None, fence, now).map_err(encode)?;
        let mark = Mark::now(self.ctx.clock.now());
        if let Some(slot) = self.slots.get_mut(&partition) {
            slot.written.fence(event_id, mark);
        }
        reach(Point::FenceAppendBefore);
        self.append("fence", None, record);
        Ok(())
    }

    pub(crate) fn append_claim(
        &mut self,
        partition: i32,
        id: CommandId,
        fence_offset: i64,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(()) };
        let Some(claimed) = &held.claimed else { return Ok(()) };
        let payload = &held.cause.command.payload;
        let Some(signer) = find_signer(&self.signers, &claimed.action.scheme, &payload.account) else { return Ok(()) };
        let claim = JournalClaim {
            command_id: id,
            command_offset: held.head.offset,
            content_hash: held.head.content_hash.clone(),
            command: held.envelope.clone(),
            fence_offset,
            dispatch_by: payload.dispatch_by,
            deadline: payload.deadline,
            reserves: claimed.gives.clone(),
            key_id: signer.key_id().to_owned(),
            scheme: claimed.action.scheme.clone(),
            action_base64: STANDARD.encode(&claimed.action.unsigned),
            action_digest: claimed.digest.clone(),
            module: self.module.clone(),
        };
        let record = self.about(partition, id, held, claim, now)?;
        self.note_written(partition, id, fence_offset);
        reach(Point::ClaimAppendBefore);
        self.append("claim", None, record);
        reach(Point::ClaimAppendAfter);
        Ok(())
    }

    pub(crate) fn append_outcome(
        &mut self,
        partition: i32,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        now: Timestamp,
    ) -> Result<(), RunError> {
        self.append_outcome_after(None, partition, head, fence_offset, ending, now)
    }

    fn append_outcome_after(
        &mut self,
        first: Option<Outgoing>,
        partition: i32,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&head.id)) else { return Ok(()) };
        let entry =
            self.store.view(partition).and_then(|view| view.entry(&head.id)).map_err(crate::journal::tail::state)?;
        let claim_holds_it = entry.is_some_and(|entry| entry.claim.is_some());
        // Prepared and never claimed: no action stands behind this outcome.
        let digest = held.claimed.as_ref().filter(|_| claim_holds_it).map(|claimed| claimed.digest.clone());
        let outcome = JournalOutcome {
            command_id: head.id,
            command_offset: head.offset,
            content_hash: head.content_hash,
            command: (!claim_holds_it).then(|| held.envelope.clone()),
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            note: ending.note,
            evidence: ending.evidence.map(|known| evidence(known, digest)),
        };
        let record = self.about(partition, head.id, held, outcome, now)?;
        self.note_written(partition, head.id, fence_offset);
        reach(Point::OutcomeAppendBefore);
        self.append("outcome", first, record);
        reach(Point::OutcomeAppendAfter);
        Ok(())
    }

    pub(crate) fn adopt_evidence(
        &mut self,
        partition: i32,
        head: Head,
        fence_offset: i64,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let noted =
            self.store.view(partition).and_then(|view| view.evidence(&head.id)).map_err(crate::journal::tail::state)?;
        let Some(noted) = noted else { return Ok(()) };
        let said = noted.evidence;
        let known =
            Known { kind: said.kind, received_at: said.received_at, venue_time: said.venue_time, detail: said.detail };
        let ending = Ending { status: noted.status, code: noted.result_code, note: None, evidence: Some(known) };
        self.recover_claim(partition, &head.id)?;
        self.append_outcome(partition, head, fence_offset, ending, now)
    }

    pub(crate) fn adopt_decision(
        &mut self,
        partition: i32,
        head: Head,
        fence_offset: i64,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let decided =
            self.store.view(partition).and_then(|view| view.decision(&head.id)).map_err(crate::journal::tail::state)?;
        let Some(decided) = decided else { return Ok(()) };
        let positive = decided.status == ResultStatus::Executed;
        if !positive && !may_be_negative(head.deadline, self.config.execute.clock_skew_ms_max, now) {
            // The venue may still take it. The protocol asks again, and the deadline comes.
            tracing::warn!(command_id = %head.id, "a decision that nothing was executed waits for the deadline");
            return Ok(());
        }
        self.recover_claim(partition, &head.id)?;
        let detail = shortened(format!("{}: {}", decided.decided_by, decided.reason));
        let status = self.status_record(partition, head.id, StatusState::ResolvedByOperator, detail.clone(), now)?;
        let known = Known { kind: EvidenceKind::Host, received_at: now, venue_time: None, detail };
        let code = "resolved_by_operator".to_owned();
        let ending = Ending { status: decided.status, code, note: None, evidence: Some(known) };
        // Who decided is said before the outcome: it goes first, and is not lost without it.
        self.append_outcome_after(status, partition, head, fence_offset, ending, now)
    }

    pub(crate) fn append_evidence(
        &self,
        partition: i32,
        id: CommandId,
        fence_offset: i64,
        ending: Ending,
        now: Timestamp,
    ) -> Result<(), RunError> {
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(()) };
        let Some(known) = ending.evidence else { return Ok(()) };
        let digest = held.claimed.as_ref().map(|claimed| claimed.digest.clone());
        let payload = JournalEvidence {
            command_id: id,
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            evidence: evidence(known, digest),
        };
        let record = self.about(partition, id, held, payload, now)?;
        reach(Point::EvidenceAppendBefore);
        self.append("evidence", None, record);
        Ok(())
    }

    pub(crate) fn append_skip(&self, partition: i32, skip: JournalSkip, now: Timestamp) -> Result<(), RunError> {
        // The same letter goes with each attempt, and it goes first: nothing is passed over without one.
        let letter = self.slots.get(&partition).and_then(|slot| slot.dead.get(&skip.command_offset)).cloned();
        let key = skip.command_id.map_or_else(|| "skip".to_owned(), |id| id.to_string());
        let record = self.maker.journal(partition, &key, self.ctx.ids.uuid_v7(now), None, skip, now).map_err(encode)?;
        self.append("skip", letter, record);
        Ok(())
    }

    pub(crate) fn say_status(
        &self,
        partition: i32,
        id: CommandId,
        state: StatusState,
        detail: Option<String>,
        now: Timestamp,
    ) -> Result<(), RunError> {
        if let Some(record) = self.status_record(partition, id, state, detail, now)? {
            self.append("status", None, record);
        }
        Ok(())
    }

    fn status_record(
        &self,
        partition: i32,
        id: CommandId,
        state: StatusState,
        detail: Option<String>,
        now: Timestamp,
    ) -> Result<Option<Outgoing>, RunError> {
        self.metrics.statuses.inc(state.as_str());
        let Some(held) = self.slots.get(&partition).and_then(|slot| slot.held.get(&id)) else { return Ok(None) };
        // The host alone knows that it is in doubt, and what a person decided.
        let by_host = matches!(state, StatusState::InDoubt | StatusState::ResolvedByOperator);
        let module = (!by_host).then(|| self.module.clone());
        self.maker.status(partition, &held.cause, state, detail, module, now).map(Some).map_err(encode)
    }

    /// A journal record about a command in hand.
    fn about<P: Payload + Serialize>(
        &self,
        partition: i32,
        id: CommandId,
        held: &Held,
        payload: P,
        now: Timestamp,
    ) -> Result<Outgoing, RunError> {
        let event_id = self.ctx.ids.uuid_v7(now);
        self.maker.journal(partition, &id.to_string(), event_id, Some(&held.cause), payload, now).map_err(encode)
    }

    /// When the record comes back its append time is held against the clock.
    fn note_written(&mut self, partition: i32, id: CommandId, fence_offset: i64) {
        let mark = Mark::now(self.ctx.clock.now());
        if let Some(slot) = self.slots.get_mut(&partition) {
            slot.written.command(id, fence_offset, mark);
        }
    }

    /// Appends beside the loop. A failure is only told: whether the record is in the log, the log says.
    fn append(&self, what: &'static str, first: Option<Outgoing>, record: Outgoing) {
        let producer = self.producer.clone();
        tokio::spawn(async move {
            for outgoing in first.into_iter().chain([record]) {
                let (name, partition) = (outgoing.topic.clone(), outgoing.partition);
                if let Err(error) = producer.send(outgoing).await {
                    tracing::warn!(what, topic = name, ?partition, %error, "append not acknowledged");
                    return;
                }
            }
            reach_acked(what);
        });
    }
}

fn reach_acked(what: &str) {
    match what {
        "fence" => reach(Point::FenceAcked),
        "claim" => reach(Point::ClaimAcked),
        "outcome" => reach(Point::OutcomeAcked),
        "evidence" => reach(Point::EvidenceAcked),
        _ => {}
    }
}

pub(crate) fn encode(error: serde_json::Error) -> RunError {
    RunError::Software(format!("a record could not be encoded: {error}"))
}

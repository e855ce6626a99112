//! Appending this executor's records: fences, claims, outcomes, evidence, skips, statuses.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use unrip_bus::{Outgoing, Producer};
use unrip_core::event::journal::{JournalClaim, JournalEvidence, JournalFence, JournalOutcome, JournalSkip};
use unrip_core::event::result::{EvidenceKind, ResultStatus, StatusState};
use unrip_core::{CommandId, ModuleRef, Payload, Timestamp, Uuid};
use unrip_protocol::decision::may_be_negative;
use unrip_protocol::fold::{FoldView, Head};
use unrip_protocol::partition::{Ending, Known};
use unrip_service::RunError;
use unrip_service::dead_letter::{self, Reason};

use crate::command::open::OpenCommand;
use crate::command::recovery;
use crate::journal::records::{Maker, News, evidence, shortened};
use crate::journal::unconfirmed::Moment;
use crate::points::{Point, reach};
use crate::runtime::Performed;
use crate::runtime::membership::group_id;
use crate::runtime::metrics::Metrics;
use crate::runtime::partition::PartitionState;
use crate::runtime::retry::{state_error, unavailable};
use crate::signer::Signers;
use crate::store::{Store, StoreError};

/// Who writes, and with what.
pub(crate) struct JournalWriter {
    pub(crate) producer: Producer,
    pub(crate) store: Store,
    pub(crate) maker: Maker,
    pub(crate) executor_id: String,
    pub(crate) incarnation: Uuid,
    /// Partitions of the journal.
    pub(crate) partition_count: i32,
    pub(crate) clock_skew_ms_max: i64,
    pub(crate) metrics: Metrics,
}

type Written = Result<Performed, RunError>;

impl JournalWriter {
    /// Ends the executor when the producer can write no more.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        match self.producer.fatal() {
            Some(error) => Err(RunError::Unavailable(format!("the producer cannot continue: {error}"))),
            None => Ok(()),
        }
    }

    /// Waits until everything is acknowledged, for up to `wait`.
    pub(crate) async fn flush(&self, wait: Duration) -> Result<(), RunError> {
        self.producer.flush(wait).await.map_err(unavailable)
    }

    pub(crate) fn fence(&self, state: &mut PartitionState, event_id: Uuid, moment: Moment, now: Timestamp) -> Written {
        let checkpoint = self.read(state, |view| view.checkpoint())?;
        let fence = JournalFence {
            partition: state.number,
            partition_count: self.partition_count,
            journal_id: checkpoint.and_then(|checkpoint| checkpoint.journal_id).unwrap_or_default(),
            executor_id: self.executor_id.clone(),
            incarnation: self.incarnation,
        };
        let record = self.maker.journal(state.number, "fence", event_id, None, fence, now).map_err(encode)?;
        state.unconfirmed.fence(event_id, moment);
        reach(Point::FenceAppendBefore);
        self.append("fence", None, record);
        Ok(Performed::Done)
    }

    pub(crate) fn claim(
        &self,
        state: &mut PartitionState,
        id: CommandId,
        fence_offset: i64,
        signers: &Signers,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        let Some(open) = state.commands.get(&id) else { return Ok(Performed::Stale) };
        let Some(claimed) = &open.claimed else { return Ok(Performed::Stale) };
        let Some(signer) = signers.find(&claimed.action.scheme, open.account()) else { return Ok(Performed::Stale) };
        let payload = &open.cause.command.payload;
        let claim = JournalClaim {
            command_id: id,
            command_offset: open.head.offset,
            content_hash: open.head.content_hash.clone(),
            command: open.envelope.clone(),
            fence_offset,
            dispatch_by: payload.dispatch_by,
            deadline: payload.deadline,
            reserves: claimed.gives.clone(),
            key_id: signer.key_id().to_owned(),
            scheme: claimed.action.scheme.clone(),
            action_base64: STANDARD.encode(&claimed.action.unsigned),
            action_digest: claimed.digest.clone(),
            module: ModuleRef::clone(&claimed.module),
        };
        let record = self.about(state.number, open, claim, now)?;
        state.unconfirmed.command(id, fence_offset, moment);
        reach(Point::ClaimAppendBefore);
        self.append("claim", None, record);
        reach(Point::ClaimAppendAfter);
        Ok(Performed::Done)
    }

    pub(crate) fn outcome(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        self.outcome_after(None, state, head, fence_offset, ending, (moment, now))
    }

    fn outcome_after(
        &self,
        first: Option<Outgoing>,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        ending: Ending,
        (moment, now): (Moment, Timestamp),
    ) -> Written {
        let Some(open) = state.commands.get(&head.id) else { return Ok(Performed::Stale) };
        let entry = self.read(state, |view| view.entry(&head.id))?;
        let claim_holds_it = entry.is_some_and(|entry| entry.claim.is_some());
        // Prepared and never claimed: no action stands behind this outcome.
        let digest = open.claimed.as_ref().filter(|_| claim_holds_it).map(|claimed| claimed.digest.clone());
        let outcome = JournalOutcome {
            command_id: head.id,
            command_offset: head.offset,
            content_hash: head.content_hash,
            command: (!claim_holds_it).then(|| open.envelope.clone()),
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            note: ending.note,
            evidence: ending.evidence.map(|known| evidence(known, digest)),
        };
        let record = self.about(state.number, open, outcome, now)?;
        state.unconfirmed.command(head.id, fence_offset, moment);
        reach(Point::OutcomeAppendBefore);
        self.append("outcome", first, record);
        reach(Point::OutcomeAppendAfter);
        Ok(Performed::Done)
    }

    /// An outcome that says what the noted evidence says.
    pub(crate) fn adopt_evidence(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        let Some(noted) = self.read(state, |view| view.evidence(&head.id))? else { return Ok(Performed::Stale) };
        let said = noted.evidence;
        let known =
            Known { kind: said.kind, received_at: said.received_at, venue_time: said.venue_time, detail: said.detail };
        let ending = Ending { status: noted.status, code: noted.result_code, note: None, evidence: Some(known) };
        recovery::take_up_one(&self.store, state, &head.id)?;
        self.outcome(state, head, fence_offset, ending, moment, now)
    }

    /// Says who decided, then an outcome that says what was decided.
    pub(crate) fn adopt_decision(
        &self,
        state: &mut PartitionState,
        head: Head,
        fence_offset: i64,
        moment: Moment,
        now: Timestamp,
    ) -> Written {
        let Some(decided) = self.read(state, |view| view.decision(&head.id))? else { return Ok(Performed::Stale) };
        let positive = decided.status == ResultStatus::Executed;
        if !positive && !may_be_negative(head.deadline, self.clock_skew_ms_max, now) {
            // The venue may still take it. The protocol asks again, and the deadline comes.
            tracing::warn!(command_id = %head.id, "a decision that nothing was executed waits for the deadline");
            return Ok(Performed::Done);
        }
        recovery::take_up_one(&self.store, state, &head.id)?;
        let detail = shortened(format!("{}: {}", decided.decided_by, decided.reason));
        let news = News { detail: detail.clone(), ..News::by_host(StatusState::ResolvedByOperator) };
        let status = self.status_record(state, head.id, news, now)?;
        let known = Known { kind: EvidenceKind::Host, received_at: now, venue_time: None, detail };
        let code = "resolved_by_operator".to_owned();
        let ending = Ending { status: decided.status, code, note: None, evidence: Some(known) };
        // Who decided is said before the outcome: it goes first, and is not lost without it.
        self.outcome_after(status, state, head, fence_offset, ending, (moment, now))
    }

    /// What a fenced executor heard.
    pub(crate) fn evidence(
        &self,
        state: &PartitionState,
        id: CommandId,
        fence_offset: i64,
        ending: Ending,
        now: Timestamp,
    ) -> Written {
        let (Some(open), Some(known)) = (state.commands.get(&id), ending.evidence) else {
            return Ok(Performed::Stale);
        };
        let digest = open.claimed.as_ref().map(|claimed| claimed.digest.clone());
        let payload = JournalEvidence {
            command_id: id,
            fence_offset,
            status: ending.status,
            result_code: ending.code,
            evidence: evidence(known, digest),
        };
        let record = self.about(state.number, open, payload, now)?;
        reach(Point::EvidenceAppendBefore);
        self.append("evidence", None, record);
        Ok(Performed::Done)
    }

    /// Passes a record over: its dead letter first, then the skip. `letter` has the words of a letter that is to be
    /// made of the record in hand; without words the letter of the first attempt goes again.
    pub(crate) fn skip(
        &self,
        state: &mut PartitionState,
        (offset, id): (i64, Option<CommandId>),
        fence_offset: i64,
        code: &'static str,
        letter: Option<&str>,
        now: Timestamp,
    ) -> Written {
        if let (Some(text), Some(record)) = (letter, state.in_hand.as_ref().filter(|record| record.offset == offset)) {
            tracing::warn!(partition = state.number, offset, code, reason = text, "command passed over");
            self.metrics.skips.inc(code);
            let (venue, why) = (&self.maker.venue, Reason { code, text });
            let letter = dead_letter::from_record(record, &group_id(venue), why, venue, now, &self.maker.ids);
            state.letters.insert(offset, letter);
        }
        // Nothing is passed over without a letter.
        let Some(letter) = state.letters.get(&offset).cloned() else { return Ok(Performed::Stale) };
        let skip = JournalSkip { command_offset: offset, command_id: id, fence_offset, reason_code: code.to_owned() };
        let key = id.map_or_else(|| "skip".to_owned(), |id| id.to_string());
        let event_id = self.maker.ids.uuid_v7(now);
        let record = self.maker.journal(state.number, &key, event_id, None, skip, now).map_err(encode)?;
        self.append("skip", Some(letter), record);
        Ok(Performed::Done)
    }

    pub(crate) fn status(&self, state: &PartitionState, id: CommandId, news: News, now: Timestamp) -> Written {
        match self.status_record(state, id, news, now)? {
            Some(record) => {
                self.append("status", None, record);
                Ok(Performed::Done)
            }
            None => Ok(Performed::Stale),
        }
    }

    fn status_record(
        &self,
        state: &PartitionState,
        id: CommandId,
        news: News,
        now: Timestamp,
    ) -> Result<Option<Outgoing>, RunError> {
        let Some(open) = state.commands.get(&id) else { return Ok(None) };
        self.metrics.statuses.inc(news.state.as_str());
        self.maker.status(state.number, &open.cause, news, now).map(Some).map_err(encode)
    }

    /// A journal record about a command in hand.
    fn about<P: Payload + Serialize>(
        &self,
        partition: i32,
        open: &OpenCommand,
        payload: P,
        now: Timestamp,
    ) -> Result<Outgoing, RunError> {
        let (key, event_id) = (open.head.id.to_string(), self.maker.ids.uuid_v7(now));
        self.maker.journal(partition, &key, event_id, Some(&open.cause), payload, now).map_err(encode)
    }

    fn read<T>(
        &self,
        state: &PartitionState,
        read: impl FnOnce(&crate::store::PartitionView<'_>) -> Result<T, StoreError>,
    ) -> Result<T, RunError> {
        self.store.view(state.number).and_then(|view| read(&view)).map_err(state_error)
    }

    /// Appends in the background. Failures are only logged: the journal itself shows whether the record was written.
    fn append(&self, what: &'static str, first: Option<Outgoing>, record: Outgoing) {
        let producer = self.producer.clone();
        tokio::spawn(async move {
            for outgoing in first.into_iter().chain([record]) {
                let (name, partition) = (outgoing.topic.clone(), outgoing.partition.unwrap_or_default());
                if let Err(error) = producer.send(outgoing).await {
                    tracing::warn!(what, topic = name, partition, %error, "append not acknowledged; the journal decides");
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

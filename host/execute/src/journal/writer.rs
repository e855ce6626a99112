//! Appending this executor's records: fences, claims, skips, statuses. How commands end is in `endings`.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use unrip_bus::{Outgoing, Producer};
use unrip_core::event::journal::{JournalClaim, JournalFence, JournalSkip};
use unrip_core::{CommandId, ModuleRef, Payload, Timestamp, Uuid};

use unrip_service::RunError;
use unrip_service::dead_letter::{self, Reason};

use crate::command::open::OpenCommand;
use crate::journal::records::{Maker, News};
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

pub(super) type Written = Result<Performed, RunError>;

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

    pub(super) fn status_record(
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
    pub(super) fn about<P: Payload + Serialize>(
        &self,
        partition: i32,
        open: &OpenCommand,
        payload: P,
        now: Timestamp,
    ) -> Result<Outgoing, RunError> {
        let (key, event_id) = (open.head.id.to_string(), self.maker.ids.uuid_v7(now));
        self.maker.journal(partition, &key, event_id, Some(&open.cause), payload, now).map_err(encode)
    }

    pub(super) fn read<T>(
        &self,
        state: &PartitionState,
        read: impl FnOnce(&crate::store::PartitionView<'_>) -> Result<T, StoreError>,
    ) -> Result<T, RunError> {
        self.store.view(state.number).and_then(|view| read(&view)).map_err(state_error)
    }

    /// Appends in the background. Failures are only logged: the journal itself shows whether the record was written.
    pub(super) fn append(&self, what: &'static str, first: Option<Outgoing>, record: Outgoing) {
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

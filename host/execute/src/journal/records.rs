//! Making the executor's records: journal, results, statuses.

use std::sync::Arc;

use serde::Serialize;
use unrip_bus::Outgoing;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::result::{Evidence, EvidenceKind, StatusState, TradeResult, TradeStatus};
use unrip_core::text::cut;
use unrip_core::{Envelope, ModuleRef, Payload, Timestamp, TraceParent, Uuid, id, topic};
use unrip_service::Ids;

use crate::store::Unpublished;
use unrip_protocol::partition::Known;

/// The role's name in derived ids.
const ROLE: &str = "execute";

/// Makes records of one executor. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Maker {
    pub(crate) venue: String,
    pub(crate) source: String,
    pub(crate) ids: Ids,
}

/// A command's envelope and the trace it came with.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) command: Envelope<ExecuteTrade>,
    pub(crate) trace: Option<TraceParent>,
}

/// A fact about a command that does not end it.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) state: StatusState,
    pub(crate) detail: Option<String>,
    /// The code that read it in the venue's words; `None` if the host alone knows.
    pub(crate) module: Option<Arc<ModuleRef>>,
}

impl News {
    /// What the host knows without a module.
    pub(crate) fn by_host(state: StatusState) -> Self {
        Self { state, detail: None, module: None }
    }
}

impl Maker {
    /// A record of the journal, in its partition explicitly.
    pub(crate) fn journal<P: Payload + Serialize>(
        &self,
        partition: i32,
        key: &str,
        event_id: Uuid,
        cause: Option<&Cause>,
        payload: P,
        now: Timestamp,
    ) -> Result<Outgoing, serde_json::Error> {
        let mut envelope = Envelope::root(event_id, &self.venue, &self.source, now, payload);
        envelope.causation_id = cause.map(|cause| cause.command.event_id);
        envelope.correlation_id = cause.and_then(|cause| cause.command.correlation_id);
        self.outgoing(topic::JOURNAL, partition, key, &envelope, cause.and_then(|cause| cause.trace))
    }

    /// The result of an outcome: the same outcome gives the same id and payload.
    pub(crate) fn result(
        &self,
        partition: i32,
        unpublished: &Unpublished,
        now: Timestamp,
    ) -> Result<Outgoing, serde_json::Error> {
        let command: Envelope<ExecuteTrade> = serde_json::from_value(unpublished.command.clone())?;
        let outcome = &unpublished.outcome;
        let payload = TradeResult {
            command_id: outcome.command_id,
            idempotency_key: command.payload.idempotency_key.clone(),
            execution_key: command.payload.execution_key.clone(),
            venue_ref: command.payload.venue_ref.clone(),
            status: outcome.status,
            result_code: outcome.result_code.clone(),
            note: outcome.note.clone(),
            evidence: outcome.evidence.clone(),
        };
        let module = match outcome.evidence.as_ref().map(|evidence| evidence.kind) {
            Some(EvidenceKind::VenueAnswer | EvidenceKind::VenueQuery | EvidenceKind::ChainQuery) => {
                unpublished.module.clone()
            }
            // A gate, a limit or the clock decided, not the module.
            _ => None,
        };
        let event_id = id::derived_event_id(command.event_id, ROLE, TradeResult::EVENT_TYPE, 0);
        let envelope = Envelope::derived(event_id, &command, now, module, payload);
        let trace = unpublished.trace.as_deref().and_then(|trace| trace.parse().ok());
        self.outgoing(topic::TRADE_RESULT, partition, &outcome.command_id.to_string(), &envelope, trace)
    }

    /// A fact that ends nothing.
    pub(crate) fn status(
        &self,
        partition: i32,
        cause: &Cause,
        news: News,
        now: Timestamp,
    ) -> Result<Outgoing, serde_json::Error> {
        let command = &cause.command;
        let (id, News { state, detail, module }) = (command.payload.command_id, news);
        let module = module.map(Arc::unwrap_or_clone);
        let payload = TradeStatus { command_id: id, venue_ref: command.payload.venue_ref.clone(), state, detail };
        let event_id = id::derived_event_id(command.event_id, ROLE, TradeStatus::EVENT_TYPE, state.index());
        let envelope = Envelope::derived(event_id, command, now, module, payload);
        self.outgoing(topic::TRADE_STATUS, partition, &id.to_string(), &envelope, cause.trace)
    }

    fn outgoing<P: Payload>(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        envelope: &Envelope<P>,
        trace: Option<TraceParent>,
    ) -> Result<Outgoing, serde_json::Error> {
        let trace = trace.map_or_else(|| self.ids.trace(), |trace| trace.child(self.ids.span_id()));
        Ok(Outgoing {
            topic: topic.to_owned(),
            partition: Some(partition),
            key: key.as_bytes().to_vec(),
            value: envelope.encode()?,
            headers: envelope.headers(trace),
        })
    }
}

/// Evidence as the journal writes it.
pub(crate) fn evidence(known: Known, action_digest: Option<String>) -> Evidence {
    let Known { kind, received_at, venue_time, detail } = known;
    Evidence { kind, received_at, venue_time, action_digest, detail }
}

/// Bytes of the venue's words that a record keeps.
const DETAIL_BYTES_MAX: usize = 512;

/// As much of the venue's words as a record keeps; `None` if there are none.
pub(crate) fn shortened(detail: String) -> Option<String> {
    (!detail.is_empty()).then(|| cut(&detail, DETAIL_BYTES_MAX).to_owned())
}

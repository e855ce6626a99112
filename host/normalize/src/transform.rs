//! Raw records in, canonical records out: envelopes, ids and keys around what the module says.

use std::sync::Arc;

use unrip_bus::{Outgoing, Record};
use unrip_core::event::raw::RawFrame;
use unrip_core::id::derived_event_id;
use unrip_core::{Envelope, ModuleRef, Payload, Timestamp, TraceParent, topic};
use unrip_engine::normalizer::{CanonicalEvent, Normalizer, RawInput};
use unrip_engine::{Fatal, Rejection};
use unrip_service::pipeline::{Ended, Step, Transform};
use unrip_service::{Clock, Ids};

/// The role's name in event ids.
const ROLE: &str = "normalize";

/// What understands raw records: the module, or a stand-in in tests.
pub trait Understand: Send + 'static {
    /// The code that makes the content.
    fn module_ref(&self) -> &ModuleRef;

    /// One result per record, in order.
    ///
    /// # Errors
    /// The module cannot be called any more.
    fn understand(&mut self, records: &[RawInput]) -> Result<Vec<Result<Vec<CanonicalEvent>, Rejection>>, Fatal>;
}

impl Understand for Normalizer {
    fn module_ref(&self) -> &ModuleRef {
        self.module_ref()
    }

    fn understand(&mut self, records: &[RawInput]) -> Result<Vec<Result<Vec<CanonicalEvent>, Rejection>>, Fatal> {
        self.normalize(records)
    }
}

/// Raw records to canonical records.
pub struct Normalize<U> {
    module: U,
    venue: String,
    clock: Arc<dyn Clock>,
    ids: Ids,
}

impl<U> std::fmt::Debug for Normalize<U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Normalize").finish_non_exhaustive()
    }
}

impl<U: Understand> Normalize<U> {
    /// For the records of `venue`.
    pub fn new(module: U, venue: &str, clock: Arc<dyn Clock>, ids: Ids) -> Self {
        Self { module, venue: venue.to_owned(), clock, ids }
    }

    fn step(
        &self,
        record: &Record,
        cause: &Envelope<RawFrame>,
        result: Result<Vec<CanonicalEvent>, Rejection>,
    ) -> Result<Step, Ended> {
        let events = match result {
            Ok(events) => events,
            Err(Rejection::Reject { code, text }) => return Ok(Step::dead(code, text)),
            Err(Rejection::Fault(fault)) => return Ok(Step::dead(fault.kind.code(), fault.text)),
            Err(Rejection::RetryAfter { ms, code, text }) => return Ok(Step::RetryAfter { ms, code, text }),
            Err(Rejection::Fatal { code, text }) => {
                let module = &self.module.module_ref().name;
                return Err(Ended(format!("{module} cannot go on: {code}: {text}")));
            }
        };
        let now = self.clock.now();
        let trace = record.trace().unwrap_or_else(|| self.ids.trace());
        let outputs = events.into_iter().zip(0u32..).map(|(event, index)| {
            canonical_record(event, index, cause, self.module.module_ref(), now, trace.child(self.ids.span_id()))
        });
        Ok(match outputs.collect::<Result<Vec<_>, _>>() {
            Ok(outputs) => Step::Done(outputs),
            Err(error) => Step::dead("not_encodable", error.to_string()),
        })
    }
}

impl<U: Understand> Transform for Normalize<U> {
    fn transform(&mut self, records: &[Record]) -> Result<Vec<Step>, Ended> {
        let read: Vec<_> = records.iter().map(|record| read(record, &self.venue)).collect();
        let inputs: Vec<RawInput> = read.iter().filter_map(|read| Some(read.as_ref().ok()?.1.clone())).collect();
        let results = self.module.understand(&inputs).map_err(|fatal| Ended(fatal.to_string()))?;
        if results.len() != inputs.len() {
            return Err(Ended(format!("{} results for {} records", results.len(), inputs.len())));
        }
        let mut results = results.into_iter();
        records
            .iter()
            .zip(read)
            .filter_map(|(record, read)| match read {
                Err(step) => Some(Ok(step)),
                // One result per readable record: counted above.
                Ok((cause, _)) => results.next().map(|result| self.step(record, &cause, result)),
            })
            .collect()
    }
}

/// The record's envelope and what the module gets of it, or the dead letter that it is.
fn read(record: &Record, venue: &str) -> Result<(Envelope<RawFrame>, RawInput), Step> {
    let cause = Envelope::<RawFrame>::decode(&record.value)
        .map_err(|error| Step::dead("not_a_raw_frame", error.to_string()))?;
    if cause.venue != venue {
        return Err(Step::dead("other_venue", format!("venue is `{}`, this service is of `{venue}`", cause.venue)));
    }
    let raw = cause.raw_bytes().map_err(|error| Step::dead("bad_raw", error.to_string()))?;
    let raw = raw.ok_or_else(|| Step::dead("bad_raw", "the envelope holds no raw bytes"))?;
    let key = String::from_utf8(record.key.clone().unwrap_or_default());
    let input = RawInput {
        stream: cause.payload.stream.clone(),
        key: key.map_err(|_| Step::dead("bad_key", "the record's key is not UTF-8"))?,
        connection_id: cause.payload.connection_id.clone(),
        frame_seq: cause.payload.frame_seq,
        reset: cause.payload.reset,
        observed_at: cause.observed_at,
        raw,
    };
    Ok((cause, input))
}

/// The record of one canonical event, as `RECORDS.md` says.
fn canonical_record(
    event: CanonicalEvent,
    index: u32,
    cause: &Envelope<RawFrame>,
    module: &ModuleRef,
    now: Timestamp,
    trace: TraceParent,
) -> Result<Outgoing, serde_json::Error> {
    let key = format!("{}/{}", cause.venue, event.key());
    let head = Head { index, key, cause, module, now, trace };
    match event {
        CanonicalEvent::SwapDemand(payload) => head.record(payload),
        CanonicalEvent::SwapSettlement(payload) => head.record(payload),
        CanonicalEvent::BookTop(payload) => head.record(payload),
        CanonicalEvent::Trade(payload) => head.record(payload),
    }
}

struct Head<'a> {
    index: u32,
    key: String,
    cause: &'a Envelope<RawFrame>,
    module: &'a ModuleRef,
    now: Timestamp,
    trace: TraceParent,
}

impl Head<'_> {
    fn record<P: Payload>(self, payload: P) -> Result<Outgoing, serde_json::Error> {
        let event_id = derived_event_id(self.cause.event_id, ROLE, P::EVENT_TYPE, self.index);
        let envelope = Envelope::derived(event_id, self.cause, self.now, Some(self.module.clone()), payload);
        Ok(Outgoing {
            topic: topic::norm(P::EVENT_TYPE),
            partition: None,
            key: self.key.into_bytes(),
            value: envelope.encode()?,
            headers: envelope.headers(self.trace),
        })
    }
}

#[cfg(test)]
#[path = "transform_tests.rs"]
mod tests;

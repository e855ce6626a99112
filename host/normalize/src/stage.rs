//! Raw records in, canonical records out: envelopes, ids and keys around what the module says.

use std::sync::Arc;

use unrip_bus::{Outgoing, Record};
use unrip_core::event::canonical::{CanonicalEvent, Derivation};
use unrip_core::event::raw::RawFrame;
use unrip_core::{Envelope, ModuleRef, VenueId, topic};
use unrip_engine::normalizer::{Normalizer, RawInput};
use unrip_service::module::Seat;
use unrip_service::pipeline::{Answer, Read, Stage, Step};
use unrip_service::{Clock, Ids, RunError};

/// The role's name in event ids.
const ROLE: &str = "normalize";
/// Reason code of a record that means a kind of event that is not configured.
const EVENT_NOT_CONFIGURED: &str = "event_not_configured";

/// Raw records to canonical records.
pub(crate) struct Normalize {
    seat: Seat<Normalizer>,
    writer: Writer,
}

/// What a raw record and the module's answer make together. Pure but for time and span ids.
pub(crate) struct Writer {
    pub(crate) venue: VenueId,
    /// The kinds whose topics were made.
    pub(crate) events: Vec<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Ids,
}

impl Normalize {
    pub(crate) fn new(seat: Seat<Normalizer>, writer: Writer) -> Self {
        Self { seat, writer }
    }
}

impl Stage for Normalize {
    type Cause = Envelope<RawFrame>;
    type Input = RawInput;
    type Output = Vec<CanonicalEvent>;

    fn read(&self, record: &Record) -> Read<Self::Cause, Self::Input> {
        self.writer.read(record)
    }

    async fn call(&mut self, inputs: Vec<RawInput>) -> Result<Answer<RawInput, Vec<CanonicalEvent>>, RunError> {
        let call = self.seat.ask(move |normalizer| {
            let results = normalizer.normalize(&inputs);
            (inputs, results)
        });
        let answer = call.await?;
        let (inputs, results) = answer.value;
        let results = results.map_err(|fatal| RunError::Module(fatal.to_string()))?;
        Ok(Answer { inputs, results, module: answer.module })
    }

    fn write(&self, record: &Record, cause: Self::Cause, events: Vec<CanonicalEvent>, module: &Arc<ModuleRef>) -> Step {
        self.writer.write(record, &cause, events, module)
    }
}

impl Writer {
    /// The record's envelope and what the module gets of it, or the dead letter that it is.
    pub(crate) fn read(&self, record: &Record) -> Read<Envelope<RawFrame>, RawInput> {
        let dead = |code, text: String| Read::Dead { code, text };
        let cause = match Envelope::<RawFrame>::decode(&record.value) {
            Ok(cause) => cause,
            Err(error) => return dead("not_a_raw_frame", error.to_string()),
        };
        if cause.venue != self.venue.as_str() {
            return dead("other_venue", format!("venue is `{}`, this service is of `{}`", cause.venue, self.venue));
        }
        let raw = match cause.raw_bytes() {
            Ok(Some(raw)) => raw,
            Ok(None) => return dead("bad_raw", "the envelope holds no raw bytes".to_owned()),
            Err(error) => return dead("bad_raw", error.to_string()),
        };
        let Ok(key) = String::from_utf8(record.key.clone().unwrap_or_default()) else {
            return dead("bad_key", "the record's key is not UTF-8".to_owned());
        };
        let RawFrame { stream, connection_id, frame_seq, reset } = cause.payload.clone();
        let observed_at = cause.observed_at;
        let input = RawInput { stream, key, connection_id, frame_seq, reset, observed_at, raw };
        Read::Input { cause, input, observed_at }
    }

    /// The records of the events, as `RECORDS.md` says.
    pub(crate) fn write(
        &self,
        record: &Record,
        cause: &Envelope<RawFrame>,
        events: Vec<CanonicalEvent>,
        module: &ModuleRef,
    ) -> Step {
        let at = self.clock.now();
        let trace = record.trace().unwrap_or_else(|| self.ids.trace());
        let (mut outputs, mut other) = (Vec::with_capacity(events.len()), None);
        // The index counts every event, so that configuring another kind changes no id.
        for (event, index) in events.into_iter().zip(0u32..) {
            let kind = event.event_type();
            if !self.events.iter().any(|configured| configured == kind) {
                other = other.or(Some(kind));
                continue;
            }
            let key = format!("{}/{}", cause.venue, event.key()).into_bytes();
            let trace = trace.child(self.ids.span_id());
            match event.record(index, Derivation { cause, role: ROLE, module, at, trace }) {
                Ok((value, headers)) => {
                    outputs.push(Outgoing { topic: topic::norm(kind), partition: None, key, value, headers });
                }
                Err(error) => return Step::dead("not_encodable", error.to_string()),
            }
        }
        match other {
            None => Step::Done(outputs),
            Some(kind) => {
                let text = format!("the module makes `{kind}`, which normalize.events does not list");
                Step::Dead { outputs, code: EVENT_NOT_CONFIGURED.to_owned(), text }
            }
        }
    }
}

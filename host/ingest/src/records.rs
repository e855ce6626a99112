//! The records that ingest writes: raw events and dead letters of frames. Pure.

use std::sync::Arc;

use unrip_bus::Outgoing;
use unrip_core::event::raw::RawFrame;
use unrip_core::{Envelope, ModuleRef, Timestamp, id, topic};
use unrip_engine::ingestor::RawRecord;
use unrip_service::Clock;
use unrip_service::dead_letter::{self, DeadFrame, FRAME_BYTES_KEPT, Reason};
use unrip_service::ids::Ids;
use unrip_service::metrics::CounterBy;

/// Reason code of what the broker does not take.
const REFUSED: &str = "refused_by_bus";
/// The longest key or source that a module may give, in bytes: far above any id, far below a record's limit.
const NAME_BYTES_MAX: usize = 1_024;

/// Something received, and where it stood.
#[derive(Clone, Debug)]
pub(crate) struct Received<'a> {
    /// The connection it came by.
    pub(crate) connection_id: Arc<str>,
    /// Its number in the connection.
    pub(crate) seq: u64,
    /// When it reached the host.
    pub(crate) at: Timestamp,
    /// Its bytes, or their beginning.
    pub(crate) bytes: &'a [u8],
    /// Length and SHA-256 of the whole, where `bytes` is only the beginning.
    pub(crate) whole: Option<(u64, String)>,
}

/// Makes records for one venue.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) venue: String,
    pub(crate) streams: Vec<String>,
    pub(crate) ids: Ids,
}

impl Maker {
    /// The raw events that a frame holds. The error says how the module broke its contract.
    pub(crate) fn raw(
        &self,
        received: &Received<'_>,
        records: &[RawRecord],
        module: &ModuleRef,
        now: Timestamp,
    ) -> Result<Vec<Outgoing>, String> {
        if records.is_empty() {
            return Err("it emitted an empty list: neither event nor chatter nor unrecognised".to_owned());
        }
        records.iter().map(|record| self.raw_event(received, record, module, now)).collect()
    }

    fn raw_event(
        &self,
        received: &Received<'_>,
        record: &RawRecord,
        module: &ModuleRef,
        now: Timestamp,
    ) -> Result<Outgoing, String> {
        let RawRecord { stream, key, source, reset } = record;
        if !self.streams.contains(stream) {
            return Err(format!("it emitted stream `{stream}`, which is not in ingest.streams"));
        }
        if key.len() > NAME_BYTES_MAX || source.len() > NAME_BYTES_MAX {
            return Err(format!("its key or source is longer than {NAME_BYTES_MAX} bytes"));
        }
        let payload = RawFrame {
            stream: stream.clone(),
            connection_id: received.connection_id.to_string(),
            frame_seq: received.seq,
            reset: *reset,
        };
        let event_id = self.ids.uuid_v7(now);
        let mut envelope = Envelope::root(event_id, &self.venue, source, received.at, payload).with_raw(received.bytes);
        envelope.ingested_at = now;
        envelope.correlation_id = Some(event_id);
        envelope.module = Some(module.clone());
        Ok(Outgoing {
            topic: topic::raw(&self.venue, stream),
            partition: None,
            key: key.clone().into_bytes(),
            headers: envelope.headers(self.ids.trace()),
            value: envelope.encode().map_err(|error| format!("the event cannot be encoded: {error}"))?,
        })
    }

    /// The dead letter of a frame that is no raw event. `source` names the connection as the module does.
    pub(crate) fn dead(&self, received: &Received<'_>, source: &str, reason: Reason<'_>, now: Timestamp) -> Outgoing {
        let frame = DeadFrame {
            venue: &self.venue,
            source,
            connection_id: &received.connection_id,
            frame_seq: received.seq,
            bytes: received.bytes,
            whole: received.whole.clone(),
        };
        dead_letter::from_frame(&frame, reason, now, &self.ids)
    }
}

/// Makes dead letters of raw events that the broker refuses for good (its topic takes smaller records only).
pub(crate) struct Bury {
    pub(crate) maker: Maker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dead: CounterBy,
}

impl Bury {
    /// The dead letter, with the beginning of the frame; none for what is a dead letter already.
    pub(crate) fn letter(&self, refused: &Outgoing, error: &unrip_bus::Error) -> Option<Outgoing> {
        let event: Envelope<RawFrame> = Envelope::decode(&refused.value).ok()?;
        let bytes = event.raw_bytes().ok()??;
        let beginning = bytes.get(..FRAME_BYTES_KEPT).unwrap_or(&bytes);
        let received = Received {
            connection_id: event.payload.connection_id.into(),
            seq: event.payload.frame_seq,
            at: event.observed_at,
            bytes: beginning,
            whole: Some((bytes.len() as u64, id::sha256_hex(&bytes))),
        };
        let text = format!("{}: {error}", refused.topic);
        self.dead.inc(REFUSED);
        tracing::error!(topic = refused.topic, %error, "raw event refused by the broker, written as a dead letter");
        Some(self.maker.dead(&received, &event.source, Reason { code: REFUSED, text: &text }, self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBSERVED: Timestamp = Timestamp::from_millis(1_795_341_600_123);
    const NOW: Timestamp = Timestamp::from_millis(1_795_341_600_124);

    fn module() -> ModuleRef {
        ModuleRef {
            name: "a-venue/ingest".into(),
            version: "0.1.0".into(),
            digest: "sha256:00".into(),
            wit: "unrip:ingestor@0.1.0".into(),
            config_digest: "sha256:11".into(),
        }
    }

    fn maker() -> Maker {
        Maker { venue: "a-venue".into(), streams: vec!["quote".into()], ids: Ids::seeded(1) }
    }

    fn received(bytes: &[u8]) -> Received<'_> {
        Received { connection_id: "c-1".into(), seq: 7, at: OBSERVED, bytes, whole: None }
    }

    fn record(stream: &str, key: &str) -> RawRecord {
        RawRecord { stream: stream.into(), key: key.into(), source: "relay/quote".into(), reset: false }
    }

    #[test]
    fn makes_raw_events_as_records_md_says() {
        let bytes = b"{\"quote_id\": \"q-1\"} ";
        let made = maker().raw(&received(bytes), &[record("quote", "q-1")], &module(), NOW).unwrap();
        let [outgoing] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((outgoing.topic.as_str(), outgoing.key.as_slice()), ("raw.a_venue.quote", &b"q-1"[..]));
        assert_eq!(outgoing.partition, None);
        let envelope: Envelope<RawFrame> = Envelope::decode(&outgoing.value).unwrap();
        assert_eq!(envelope.raw_bytes().unwrap().unwrap(), bytes);
        assert_eq!(envelope.event_id.get_version_num(), 7);
        assert_eq!((envelope.causation_id, envelope.correlation_id), (None, Some(envelope.event_id)));
        assert_eq!((envelope.observed_at, envelope.ingested_at), (OBSERVED, NOW));
        assert_eq!((envelope.source.as_str(), envelope.module), ("relay/quote", Some(module())));
        assert_eq!((envelope.payload.connection_id.as_str(), envelope.payload.frame_seq), ("c-1", 7));
        let headers: Vec<_> = outgoing.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(headers, ["event_type", "venue", "schema_version", "traceparent"]);
    }

    #[test]
    fn refuses_what_breaks_the_contract() {
        let long = "k".repeat(NAME_BYTES_MAX + 1);
        for (records, expected) in [
            (vec![], "an empty list"),
            (vec![record("book", "k")], "stream `book`"),
            (vec![record("quote", "k"), record("quote", &long)], "longer than"),
        ] {
            let error = maker().raw(&received(b"{}"), &records, &module(), NOW).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}

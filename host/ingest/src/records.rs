//! The records that ingest writes: raw events and dead letters of frames. Pure.

use std::sync::Arc;

use unrip_bus::Outgoing;
use unrip_core::event::raw::RawFrame;
use unrip_core::{Envelope, ModuleRef, Timestamp, VenueId, id, text, topic};
use unrip_engine::ingestor::RawRecord;
use unrip_service::Clock;
use unrip_service::dead_letter::{self, DeadFrame, FRAME_BYTES_KEPT, Reason};
use unrip_service::ids::Ids;
use unrip_service::metrics::CounterBy;
use unrip_service::repeats::Repeats;

/// Reason code of what the broker does not take.
const REFUSED: &str = "refused_by_bus";
/// The longest key or source of a raw event, in bytes: far above any id, far below a record's limit. They come from what
/// a venue sent, so a longer one is not the module's fault: the key becomes its hash, the source is cut.
const NAME_BYTES_MAX: usize = 1_024;
/// Raw events that a module may make of one frame or response.
const RECORDS_PER_FRAME_MAX: usize = 256;
/// Bytes that these may have in all: each of them holds the whole frame.
const RECORD_BYTES_PER_FRAME_MAX: usize = 16 * 1_024 * 1_024;

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
    pub(crate) venue: VenueId,
    pub(crate) streams: Vec<String>,
    pub(crate) ids: Ids,
}

impl Maker {
    /// Whether a module may make these records of a frame. The error says how it broke its contract.
    pub(crate) fn check(&self, received: &Received<'_>, records: &[RawRecord]) -> Result<(), String> {
        if records.is_empty() {
            return Err("it emitted an empty list: neither event nor chatter nor unrecognised".to_owned());
        }
        let (number, bytes) = (records.len(), records.len().saturating_mul(received.bytes.len()));
        if number > RECORDS_PER_FRAME_MAX {
            return Err(format!("it emitted {number} records of one frame: more than {RECORDS_PER_FRAME_MAX}"));
        }
        if number > 1 && bytes > RECORD_BYTES_PER_FRAME_MAX {
            return Err(format!(
                "it emitted {number} records of one frame, {bytes} bytes in all: more than {RECORD_BYTES_PER_FRAME_MAX}"
            ));
        }
        match records.iter().find(|record| !self.streams.contains(&record.stream)) {
            Some(record) => Err(format!("it emitted stream `{}`, which is not in ingest.streams", record.stream)),
            None => Ok(()),
        }
    }

    /// One raw event of a frame.
    pub(crate) fn raw(
        &self,
        received: &Received<'_>,
        record: &RawRecord,
        module: &ModuleRef,
        now: Timestamp,
    ) -> Result<Outgoing, String> {
        let RawRecord { stream, key, source, reset } = record;
        let source = text::cut(source, NAME_BYTES_MAX);
        let payload = RawFrame {
            stream: stream.clone(),
            connection_id: received.connection_id.to_string(),
            frame_seq: received.seq,
            reset: *reset,
        };
        let event_id = self.ids.uuid_v7(now);
        let mut envelope =
            Envelope::root(event_id, self.venue.as_str(), source, received.at, payload).with_raw(received.bytes);
        envelope.ingested_at = now;
        envelope.correlation_id = Some(event_id);
        envelope.module = Some(module.clone());
        Ok(Outgoing {
            topic: topic::raw(&self.venue, stream),
            partition: None,
            key: bounded(key).into_bytes(),
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

/// A key that a record can have: the same one for the same id, however long that is.
fn bounded(key: &str) -> String {
    if key.len() <= NAME_BYTES_MAX { key.to_owned() } else { format!("sha256:{}", id::sha256_hex(key.as_bytes())) }
}

/// Makes dead letters of raw events that the broker refuses for good (its topic takes smaller records only).
pub(crate) struct Bury {
    pub(crate) maker: Maker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dead: CounterBy,
    pub(crate) repeats: Repeats,
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
        if let Some(unlogged) = self.repeats.note(REFUSED, std::time::Instant::now()) {
            tracing::error!(topic = refused.topic, %error, unlogged, "raw event refused by the broker, written as a dead letter");
        }
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
        Maker { venue: "a-venue".parse().unwrap(), streams: vec!["quote".into()], ids: Ids::seeded(1) }
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
        let made = record("quote", "q-1");
        maker().check(&received(bytes), std::slice::from_ref(&made)).unwrap();
        let outgoing = maker().raw(&received(bytes), &made, &module(), NOW).unwrap();
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
        let (small, big) = (b"{}".to_vec(), vec![b'x'; RECORD_BYTES_PER_FRAME_MAX / 8]);
        let many = |number| vec![record("quote", "k"); number];
        for (bytes, records, expected) in [
            (&small, vec![], "an empty list"),
            (&small, vec![record("book", "k")], "stream `book`"),
            (&small, vec![record("quote", "k"), record("book", "k")], "stream `book`"),
            (&small, many(RECORDS_PER_FRAME_MAX + 1), "more than 256"),
            (&small, many(100_000), "more than 256"),
            (&big, many(9), "bytes in all"),
        ] {
            let error = maker().check(&received(bytes), &records).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(maker().check(&received(&small), &many(RECORDS_PER_FRAME_MAX)), Ok(()));
        assert_eq!(maker().check(&received(&big), &many(8)), Ok(()));
    }

    #[test]
    fn bounds_long_keys_and_sources_without_losing_the_event() {
        let long =
            |end: &str| RawRecord { source: "\u{fc}".repeat(2_000), ..record("quote", &("k".repeat(1_100) + end)) };
        let made = |end: &str| maker().raw(&received(b"{}"), &long(end), &module(), NOW).unwrap();
        let (one, same, other) = (made("1"), made("1"), made("2"));
        assert!(one.key.len() <= NAME_BYTES_MAX && one.key.starts_with(b"sha256:"), "{:?}", one.key);
        assert_eq!(one.key, same.key);
        assert_ne!(one.key, other.key);
        let envelope: Envelope<RawFrame> = Envelope::decode(&one.value).unwrap();
        assert!(envelope.source.len() <= NAME_BYTES_MAX, "{}", envelope.source.len());
        assert_eq!(envelope.raw_bytes().unwrap().unwrap(), b"{}");
    }
}

//! Dead letters: what could not be processed, with the reason and the original bytes (`RECORDS.md`, dead_letter).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unrip_bus::{Outgoing, Record};
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::dead::{DeadLetter, LOST_TO_RETENTION};
use unrip_core::id::sha256_hex;
use unrip_core::text::cut;
use unrip_core::{Envelope, Timestamp, TraceParent, VenueId, id, topic};

use crate::ids::Ids;

/// What is kept of a frame that is longer than `frame_bytes_max`, and of one that broke the protocol.
pub const FRAME_BYTES_KEPT: usize = 64 * 1_024;
/// Room for envelope, headers and the broker's own framing next to the original, in bytes.
const ENVELOPE_BYTES: usize = 64 * 1_024;
/// A longer key is not repeated in the dead letter: there would be no room left for the original.
const KEY_BYTES_MAX: usize = 256 * 1_024;
/// Reasons may quote hostile input; this much of it is enough.
const REASON_BYTES_MAX: usize = 4 * 1_024;

/// Why something is a dead letter.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a> {
    /// snake_case, of a small set: it becomes a metric label.
    pub code: &'a str,
    /// What exactly was wrong.
    pub text: &'a str,
}

/// A frame that never became a raw event.
#[derive(Clone, Debug)]
pub struct DeadFrame<'a> {
    /// The venue's id.
    pub venue: &'a VenueId,
    /// Where the frame came from; never a credential.
    pub source: &'a str,
    /// Its connection.
    pub connection_id: &'a str,
    /// Its number in the connection.
    pub frame_seq: u64,
    /// Its bytes, or their beginning.
    pub bytes: &'a [u8],
    /// Length and SHA-256 of the whole, where `bytes` is only the beginning.
    pub whole: Option<(u64, String)>,
}

/// The dead letter of a record that `group` could not process. It goes to `dead.<topic>` with the record's key, which
/// murmur2 brings to the record's partition where the counts agree. The same failure twice gives the same `event_id`.
///
/// `venue` is used where the record's own envelope cannot be read.
pub fn from_record(
    record: &Record,
    group: &str,
    reason: Reason<'_>,
    venue: &str,
    at: Timestamp,
    ids: &Ids,
) -> Outgoing {
    let cause = AnyEnvelope::read(&record.value).ok();
    let key = record.key.as_deref().filter(|key| key.len() <= KEY_BYTES_MAX);
    let payload = DeadLetter {
        source_topic: Some(record.topic.clone()),
        source_partition: Some(record.partition),
        source_offset: Some(record.offset),
        original_key_base64: key.map(|key| STANDARD.encode(key)),
        ..letter(reason, &record.value)
    };
    let event_id = id::dead_letter_id(&record.topic, record.partition, record.offset, group);
    let mut envelope = Envelope::root(event_id, venue, &record.topic, at, payload);
    if let Some(cause) = cause {
        envelope.venue = cause.venue;
        envelope.source = cause.source;
        envelope.causation_id = Some(cause.event_id);
        envelope.correlation_id = cause.correlation_id;
    }
    let span = ids.span_id();
    let trace = record.trace().map_or_else(|| ids.trace(), |trace| trace.child(span));
    let kept = record_bytes_max(key.map_or(0, <[u8]>::len));
    outgoing(topic::dead(&record.topic), key.unwrap_or_default(), envelope, &record.value, kept, trace)
}

/// Records that were deleted before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRecords<'a> {
    /// Their topic.
    pub topic: &'a str,
    /// Their partition.
    pub partition: i32,
    /// The first of them.
    pub offset: i64,
    /// The offset after the last of them.
    pub end: i64,
}

/// The dead letter of records that retention removed before `group` read them. It holds no bytes: there are none.
pub fn from_lost_records(lost: &LostRecords<'_>, group: &str, venue: &str, at: Timestamp, ids: &Ids) -> Outgoing {
    let LostRecords { topic, partition, offset, end } = *lost;
    let text = format!("{topic}/{partition}: offsets {offset} to {} were deleted before {group} read them", end - 1);
    let payload = DeadLetter {
        source_topic: Some(topic.to_owned()),
        source_partition: Some(partition),
        source_offset: Some(offset),
        source_offset_end: Some(end),
        ..letter(Reason { code: LOST_TO_RETENTION, text: &text }, &[])
    };
    let event_id = id::lost_records_id(topic, partition, offset, end, group);
    let envelope = Envelope::root(event_id, venue, topic, at, payload);
    outgoing(topic::dead(topic), &[], envelope, &[], 0, ids.trace())
}

/// The dead letter of a frame that never became a raw event, for `dead.raw.<venue>`, keyed by its connection.
pub fn from_frame(frame: &DeadFrame<'_>, reason: Reason<'_>, at: Timestamp, ids: &Ids) -> Outgoing {
    let mut payload = DeadLetter {
        connection_id: Some(frame.connection_id.to_owned()),
        frame_seq: Some(frame.frame_seq),
        ..letter(reason, frame.bytes)
    };
    if let Some((length, sha256)) = &frame.whole {
        payload.original_length = *length;
        payload.original_sha256.clone_from(sha256);
        payload.truncated = *length > frame.bytes.len() as u64;
    }
    // A frame within `frame_bytes_max` is kept whole: it would have fitted as a raw event too.
    let kept = if payload.truncated { FRAME_BYTES_KEPT } else { record_bytes_max(frame.connection_id.len()) };
    let envelope = Envelope::root(ids.uuid_v7(at), frame.venue.as_str(), frame.source, at, payload);
    let key = frame.connection_id.as_bytes();
    outgoing(topic::dead_frames(frame.venue), key, envelope, frame.bytes, kept, ids.trace())
}

/// Bytes of an original that fit into a record with a key of this length, when both are written in base64.
fn record_bytes_max(key_bytes: usize) -> usize {
    let key_twice = key_bytes + key_bytes.div_ceil(3) * 4;
    let room = (topic::MESSAGE_BYTES_MAX as usize).saturating_sub(ENVELOPE_BYTES + key_twice);
    room / 4 * 3
}

fn letter(reason: Reason<'_>, original: &[u8]) -> DeadLetter {
    DeadLetter {
        reason_code: reason.code.to_owned(),
        reason: shortened(reason.text),
        source_topic: None,
        source_partition: None,
        source_offset: None,
        source_offset_end: None,
        original_key_base64: None,
        original_length: original.len() as u64,
        original_sha256: sha256_hex(original),
        truncated: false,
        connection_id: None,
        frame_seq: None,
    }
}

fn outgoing(
    topic: String,
    key: &[u8],
    mut envelope: Envelope<DeadLetter>,
    original: &[u8],
    kept: usize,
    trace: TraceParent,
) -> Outgoing {
    let beginning = original.get(..kept).unwrap_or(original);
    envelope.payload.truncated |= beginning.len() < original.len();
    let envelope = envelope.with_raw(beginning);
    let headers = envelope.headers(trace);
    // Strings and numbers always have a JSON form.
    let value = envelope.encode().unwrap_or_default();
    Outgoing { topic, partition: None, key: key.to_vec(), value, headers }
}

fn shortened(text: &str) -> String {
    let kept = cut(text, REASON_BYTES_MAX);
    if kept.len() == text.len() { text.to_owned() } else { format!("{kept}…") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrip_bus::RecordTime;
    use unrip_core::event::raw::RawFrame;

    const REASON: Reason<'_> = Reason { code: "bad_amount", text: "two amounts" };
    const AT: Timestamp = Timestamp::from_millis(1_795_341_600_000);

    fn record(value: Vec<u8>) -> Record {
        Record {
            topic: "raw.a_venue.quote".into(),
            partition: 3,
            offset: 42,
            key: Some(b"quote-1".to_vec()),
            value,
            tombstone: false,
            headers: vec![],
            timestamp: RecordTime::None,
        }
    }

    fn read(outgoing: &Outgoing) -> Envelope<DeadLetter> {
        Envelope::decode(&outgoing.value).unwrap()
    }

    #[test]
    fn names_the_source_and_keeps_the_bytes() {
        let payload = RawFrame { stream: "quote".into(), connection_id: "c".into(), frame_seq: 0, reset: false };
        let cause = Envelope::root(Ids::seeded(1).uuid_v7(AT), "a-venue", "relay/quote", AT, payload);
        let source = record(cause.encode().unwrap());
        let letter = from_record(&source, "normalize.a_venue", REASON, "*", AT, &Ids::seeded(2));
        assert_eq!((letter.topic.as_str(), letter.key.as_slice()), ("dead.raw.a_venue.quote", &b"quote-1"[..]));
        let envelope = read(&letter);
        assert_eq!(envelope.event_id, id::dead_letter_id("raw.a_venue.quote", 3, 42, "normalize.a_venue"));
        assert_eq!(envelope.causation_id, Some(cause.event_id));
        assert_eq!((envelope.venue.as_str(), envelope.source.as_str()), ("a-venue", "relay/quote"));
        assert_eq!(envelope.raw_bytes().unwrap().unwrap(), source.value);
        assert_eq!(envelope.payload.original_key_base64.as_deref(), Some("cXVvdGUtMQ=="));
        assert!(!envelope.payload.truncated && envelope.module.is_none());
    }

    #[test]
    fn names_records_that_were_deleted_unread() {
        let lost = LostRecords { topic: "raw.a_venue.quote", partition: 3, offset: 42, end: 49 };
        let write = || from_lost_records(&lost, "normalize.a_venue", "a-venue", AT, &Ids::seeded(2));
        let (letter, envelope) = (write(), read(&write()));
        assert_eq!(letter.topic, "dead.raw.a_venue.quote");
        let payload = &envelope.payload;
        assert_eq!(
            (payload.source_partition, payload.source_offset, payload.source_offset_end),
            (Some(3), Some(42), Some(49))
        );
        assert_eq!(payload.reason_code, "lost_to_retention");
        assert!(payload.reason.contains("offsets 42 to 48"), "{}", payload.reason);
        assert_ne!(envelope.event_id, id::dead_letter_id("raw.a_venue.quote", 3, 42, "normalize.a_venue"));
    }

    #[test]
    fn writes_what_is_no_envelope_under_the_services_own_venue() {
        let letter = from_record(&record(b"\xff not json".to_vec()), "g", REASON, "a-venue", AT, &Ids::random());
        let envelope = read(&letter);
        assert_eq!((envelope.venue.as_str(), envelope.causation_id), ("a-venue", None));
        assert_eq!(envelope.raw_bytes().unwrap().unwrap(), b"\xff not json");
    }

    #[test]
    fn never_makes_a_record_that_its_topic_would_refuse() {
        for (key_bytes, value_bytes, truncated) in
            [(10, 2_000_000, true), (10, 1_500_000, false), (200_000, 1_500_000, true), (1_000_000, 900_000, false)]
        {
            let mut source = record(vec![0xff; value_bytes]);
            source.key = Some(vec![b'k'; key_bytes]);
            let letter = from_record(&source, "g", REASON, "v", AT, &Ids::random());
            assert!(letter.bytes() < topic::MESSAGE_BYTES_MAX as usize, "{} of {key_bytes}", letter.bytes());
            let payload = read(&letter).payload;
            assert_eq!(payload.truncated, truncated, "{key_bytes} and {value_bytes}");
            assert_eq!(payload.original_length, value_bytes as u64);
        }
    }

    #[test]
    fn keeps_the_beginning_of_a_frame_that_is_too_long() {
        let whole = vec![b'x'; 600_000];
        let frame = DeadFrame {
            venue: &"a-venue".parse().unwrap(),
            source: "ws",
            connection_id: "c-1",
            frame_seq: 9,
            bytes: &whole[..FRAME_BYTES_KEPT],
            whole: Some((600_000, id::sha256_hex(&whole))),
        };
        let letter = from_frame(&frame, Reason { code: "frame_too_long", text: "" }, AT, &Ids::random());
        assert_eq!(letter.topic, "dead.raw.a_venue");
        let envelope = read(&letter);
        assert_eq!(envelope.event_id.get_version_num(), 7);
        assert_eq!(envelope.raw_bytes().unwrap().unwrap().len(), FRAME_BYTES_KEPT);
        let payload = envelope.payload;
        assert_eq!((payload.original_length, payload.truncated), (600_000, true));
        assert_eq!(payload.original_sha256, id::sha256_hex(&whole));
        assert_eq!((payload.connection_id.as_deref(), payload.frame_seq), (Some("c-1"), Some(9)));
    }

    #[test]
    fn cuts_reasons_that_quote_too_much() {
        let text = "ü".repeat(10_000);
        let letter = from_record(&record(vec![]), "g", Reason { code: "x", text: &text }, "v", AT, &Ids::random());
        assert!(read(&letter).payload.reason.len() <= REASON_BYTES_MAX + 4);
    }
}

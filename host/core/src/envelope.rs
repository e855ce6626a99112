//! The envelope: one JSON object per record, the same for every event type.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::content::{NotCanonical, content_hash};
use crate::time::Timestamp;
use crate::trace::TraceParent;

/// A payload type and its name and version on the bus.
pub trait Payload: Serialize + DeserializeOwned {
    /// `event_type` of the envelope.
    const EVENT_TYPE: &'static str;
    /// `schema_version` of the envelope.
    const SCHEMA_VERSION: u32 = 1;
}

/// Any payload, unread: for readers that route by `event_type` first.
pub type AnyEnvelope = Envelope<serde_json::Value>;

/// One record's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<P> {
    /// UUIDv7 of what nothing derives, UUIDv8 of what is derived (see [`crate::id`]).
    pub event_id: Uuid,
    /// The payload's type, snake_case.
    pub event_type: String,
    /// The venue's id, as its folder is named; `*` for genesis and the whole fleet.
    pub venue: String,
    /// Where the fact came from; never a credential.
    pub source: String,
    /// Version of this event type.
    pub schema_version: u32,
    /// When the frame that began the chain reached the host.
    pub observed_at: Timestamp,
    /// When this record was made.
    pub ingested_at: Timestamp,
    /// `event_id` of the record that this one was made from.
    pub causation_id: Option<Uuid>,
    /// `event_id` of the raw event that began the chain.
    pub correlation_id: Option<Uuid>,
    /// The component that made the content; null where the host alone made it.
    pub module: Option<ModuleRef>,
    /// The fact itself.
    pub payload: P,
    /// The venue's bytes; only on raw events and dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// How `raw` holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_encoding: Option<RawEncoding>,
}

/// Which code made a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleRef {
    /// As the component describes itself, `<venue>/<role>`.
    pub name: String,
    /// The component's own version.
    pub version: String,
    /// `sha256:` and the hex digest of the component's bytes.
    pub digest: String,
    /// The WIT line that it speaks, e.g. `unrip:normalizer@0.1.0`.
    pub wit: String,
    /// `sha256:` and the hex digest of its configuration in canonical JSON.
    pub config_digest: String,
}

/// How the bytes in `raw` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawEncoding {
    /// The bytes are UTF-8 and stand as they are.
    Utf8,
    /// Standard base64 with padding.
    Base64,
}

/// Why a record's value could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or a field is missing or of another type.
    #[error("not an envelope of a known shape: {0}")]
    Shape(#[from] serde_json::Error),
    /// Another event type than the topic carries.
    #[error("event_type is `{found}`, expected `{expected}`")]
    EventType {
        /// What the record says.
        found: String,
        /// What the reader can read.
        expected: &'static str,
    },
    /// A version that this program does not know.
    #[error("schema_version {found} of `{event_type}` is newer than {known}")]
    Version {
        /// What the record says.
        found: u32,
        /// The newest version known here.
        known: u32,
        /// The type concerned.
        event_type: &'static str,
    },
    /// `raw` is not what `raw_encoding` says.
    #[error("raw is not valid {0:?}")]
    Raw(RawEncoding),
}

impl<P: Payload> Envelope<P> {
    /// Reads a record's value.
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        AnyEnvelope::read(value)?.typed()
    }

    /// The record's value.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// An envelope with this payload type's name and version, caused by nothing.
    pub fn root(event_id: Uuid, venue: &str, source: &str, at: Timestamp, payload: P) -> Self {
        Self {
            event_id,
            event_type: P::EVENT_TYPE.to_owned(),
            venue: venue.to_owned(),
            source: source.to_owned(),
            schema_version: P::SCHEMA_VERSION,
            observed_at: at,
            ingested_at: at,
            causation_id: None,
            correlation_id: None,
            module: None,
            payload,
            raw: None,
            raw_encoding: None,
        }
    }

    /// An envelope caused by `cause`: its venue, source, time and correlation go on.
    pub fn derived<C>(
        event_id: Uuid,
        cause: &Envelope<C>,
        ingested_at: Timestamp,
        module: Option<ModuleRef>,
        payload: P,
    ) -> Self {
        Self {
            event_id,
            event_type: P::EVENT_TYPE.to_owned(),
            venue: cause.venue.clone(),
            source: cause.source.clone(),
            schema_version: P::SCHEMA_VERSION,
            observed_at: cause.observed_at,
            ingested_at,
            causation_id: Some(cause.event_id),
            correlation_id: cause.correlation_id,
            module,
            payload,
            raw: None,
            raw_encoding: None,
        }
    }
}

impl AnyEnvelope {
    /// Reads any envelope, whatever its payload.
    pub fn read(value: &[u8]) -> Result<Self, DecodeError> {
        Ok(serde_json::from_slice(value)?)
    }

    /// The same envelope with its payload read as `P`.
    pub fn typed<P: Payload>(self) -> Result<Envelope<P>, DecodeError> {
        if self.event_type != P::EVENT_TYPE {
            return Err(DecodeError::EventType { found: self.event_type, expected: P::EVENT_TYPE });
        }
        if self.schema_version > P::SCHEMA_VERSION {
            return Err(DecodeError::Version {
                found: self.schema_version,
                known: P::SCHEMA_VERSION,
                event_type: P::EVENT_TYPE,
            });
        }
        Ok(Envelope {
            event_id: self.event_id,
            event_type: self.event_type,
            venue: self.venue,
            source: self.source,
            schema_version: self.schema_version,
            observed_at: self.observed_at,
            ingested_at: self.ingested_at,
            causation_id: self.causation_id,
            correlation_id: self.correlation_id,
            module: self.module,
            payload: serde_json::from_value(self.payload)?,
            raw: self.raw,
            raw_encoding: self.raw_encoding,
        })
    }

    /// The content hash of the record as it was read.
    pub fn content_hash(&self) -> Result<String, NotCanonical> {
        content_hash(self.causation_id, &self.payload)
    }
}

impl<P> Envelope<P> {
    /// Puts the venue's bytes into the envelope: as UTF-8 or base64, the shorter in JSON, UTF-8 on a tie.
    pub fn with_raw(mut self, bytes: &[u8]) -> Self {
        let (raw, encoding) = encode_raw(bytes);
        self.raw = Some(raw);
        self.raw_encoding = Some(encoding);
        self
    }

    /// The venue's bytes; `None` where the envelope holds none.
    pub fn raw_bytes(&self) -> Result<Option<Vec<u8>>, DecodeError> {
        let (Some(raw), Some(encoding)) = (&self.raw, self.raw_encoding) else { return Ok(None) };
        match encoding {
            RawEncoding::Utf8 => Ok(Some(raw.clone().into_bytes())),
            RawEncoding::Base64 => STANDARD.decode(raw).map(Some).map_err(|_| DecodeError::Raw(encoding)),
        }
    }

    /// The Kafka headers that every record carries.
    pub fn headers(&self, trace: TraceParent) -> Vec<(String, Vec<u8>)> {
        [
            ("event_type", self.event_type.clone()),
            ("venue", self.venue.clone()),
            ("schema_version", self.schema_version.to_string()),
            ("traceparent", trace.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .to_vec()
    }
}

fn encode_raw(bytes: &[u8]) -> (String, RawEncoding) {
    let base64_len = bytes.len().div_ceil(3) * 4;
    match std::str::from_utf8(bytes) {
        Ok(text) if json_len(text) <= base64_len => (text.to_owned(), RawEncoding::Utf8),
        _ => (STANDARD.encode(bytes), RawEncoding::Base64),
    }
}

/// Bytes of a JSON string's content as serde_json writes it.
fn json_len(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0x00..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::raw::RawFrame;
    use proptest::prelude::*;

    fn frame() -> Envelope<RawFrame> {
        let payload = RawFrame { stream: "quote".into(), connection_id: "c".into(), frame_seq: 0, reset: false };
        Envelope::root(Uuid::nil(), "a-venue", "relay/quote", Timestamp::from_micros(1), payload)
    }

    #[test]
    fn takes_the_shorter_encoding_and_utf8_on_a_tie() {
        // Three quotes are six bytes escaped and four in base64; "ab\"" is four either way.
        for (bytes, expected) in [
            (&b"{}"[..], RawEncoding::Utf8),
            (b"\"\"\"", RawEncoding::Base64),
            (b"ab\"", RawEncoding::Utf8),
            (b"\xff\xfe", RawEncoding::Base64),
            (b"", RawEncoding::Utf8),
        ] {
            assert_eq!(frame().with_raw(bytes).raw_encoding, Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn writes_null_for_what_is_absent_and_leaves_raw_out() {
        let value: serde_json::Value = serde_json::from_slice(&frame().encode().unwrap()).unwrap();
        assert!(value["causation_id"].is_null() && value.get("causation_id").is_some());
        assert!(value.get("module").is_some());
        assert!(value.get("raw").is_none());
    }

    #[test]
    fn refuses_another_type_and_a_newer_version() {
        let mut other = frame();
        other.event_type = "trade".into();
        assert!(matches!(Envelope::<RawFrame>::decode(&other.encode().unwrap()), Err(DecodeError::EventType { .. })));
        let mut newer = frame();
        newer.schema_version = 2;
        assert!(matches!(Envelope::<RawFrame>::decode(&newer.encode().unwrap()), Err(DecodeError::Version { .. })));
    }

    proptest! {
        #[test]
        fn gives_back_the_exact_bytes(bytes: Vec<u8>) {
            let written = frame().with_raw(&bytes).encode().unwrap();
            let read = Envelope::<RawFrame>::decode(&written).unwrap();
            prop_assert_eq!(read.raw_bytes().unwrap().unwrap(), bytes);
        }

        #[test]
        fn counts_the_json_length_as_it_is_written(text: String) {
            prop_assert_eq!(json_len(&text) + 2, serde_json::to_string(&text).unwrap().len());
        }
    }
}

//! Ids that anyone can recompute: of derived events, dead letters and commands (`RECORDS.md`, Envelope and Payloads).

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::time::Timestamp;

/// SHA-256 of the parts joined by line feeds.
pub fn sha256_lines(parts: &[&str]) -> [u8; 32] {
    Sha256::digest(parts.join("\n")).into()
}

/// SHA-256 of `bytes` as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The id of an event derived from `causation_id`.
///
/// `role` is `normalize`, `react/<strategy>` or `execute`; `index` counts the outputs of this one input over all types.
pub fn derived_event_id(causation_id: Uuid, role: &str, event_type: &str, index: u32) -> Uuid {
    uuid_v8(&[&causation_id.to_string(), role, event_type, &index.to_string()])
}

/// The id of the dead letter that `group` writes for the source record at `topic/partition/offset`.
pub fn dead_letter_id(topic: &str, partition: i32, offset: i64, group: &str) -> Uuid {
    uuid_v8(&[&format!("{topic}/{partition}/{offset}"), group, "dead_letter", "0"])
}

/// The id of the dead letter that `group` writes for the records from `offset` up to `end` that were deleted unread.
pub fn lost_records_id(topic: &str, partition: i32, offset: i64, end: i64, group: &str) -> Uuid {
    uuid_v8(&[&format!("{topic}/{partition}/{offset}-{end}"), group, "dead_letter", "0"])
}

fn uuid_v8(parts: &[&str]) -> Uuid {
    let hash = sha256_lines(parts);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(hash.split_at(16).0);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// A UUIDv7 from a time and ten random bytes, for records that nothing derives.
pub fn uuid_v7(at: Timestamp, random: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(at.millis().max(0) as u64, &random).into_uuid()
}

/// 32 lower-case hex digits: 12 of the cause's time in ms, 4 of the execution key, 16 of cause, strategy and index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId([u8; 16]);

/// A text that is not 32 lower-case hex digits.
#[derive(Debug, thiserror::Error)]
#[error("a command id is 32 lower-case hex digits")]
pub struct InvalidCommandId;

impl CommandId {
    /// Milliseconds since the epoch that 48 bits can hold.
    const MILLIS_MASK: u64 = 0xffff_ffff_ffff;

    /// The id of the command that `strategy` makes as output `index` of the event `causation_id`.
    ///
    /// ```
    /// use unrip_core::{CommandId, Timestamp, Uuid};
    ///
    /// let (seen, cause) = (Timestamp::from_millis(1_795_341_600_123), Uuid::from_u128(7));
    /// let id = |index| CommandId::new(seen, "my-venue/my-account", cause, "my-strategy", index);
    /// assert_eq!(id(0), id(0), "the same cause gives the same id, in a replay too");
    /// assert_ne!(id(0), id(1));
    /// assert_eq!(id(0).time(), seen);
    /// assert!(id(0).matches_key("my-venue/my-account"));
    /// assert_eq!(id(0).to_string().parse::<CommandId>().ok(), Some(id(0)));
    /// ```
    pub fn new(observed_at: Timestamp, execution_key: &str, causation_id: Uuid, strategy: &str, index: u32) -> Self {
        let millis = (observed_at.millis().max(0) as u64) & Self::MILLIS_MASK;
        let cause = sha256_lines(&[&causation_id.to_string(), strategy, &index.to_string()]);
        let tag = u16::from_be_bytes(Self::key_tag(execution_key));
        let mut low = [0; 8];
        low.copy_from_slice(cause.split_at(8).0);
        let high = (millis << 16) | u64::from(tag);
        let value = (u128::from(high) << 64) | u128::from(u64::from_be_bytes(low));
        Self(value.to_be_bytes())
    }

    /// The two bytes of an execution key that its commands' ids carry.
    pub fn key_tag(execution_key: &str) -> [u8; 2] {
        let hash = sha256_lines(&[execution_key]);
        [hash[0], hash[1]]
    }

    /// Whether the id was made for this execution key.
    pub fn matches_key(&self, execution_key: &str) -> bool {
        let [_, _, _, _, _, _, first, second, ..] = self.0;
        [first, second] == Self::key_tag(execution_key)
    }

    /// The time in the id, cut to milliseconds.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_millis((u128::from_be_bytes(self.0) >> 80) as i64)
    }

    /// The id's 16 bytes, big-endian: they sort by time.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From the 16 bytes of [`Self::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CommandId {
    type Err = InvalidCommandId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidCommandId);
        }
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidCommandId)?;
        Ok(Self(bytes))
    }
}

impl Serialize for CommandId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommandId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for CommandId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CommandId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$" })
    }
}

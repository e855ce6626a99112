//! Dead letters: what could not be processed, with the reason and the original bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a record or frame could not be processed. Its bytes are the envelope's `raw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// The reason as a stable code.
    pub reason_code: String,
    /// The reason for people.
    pub reason: String,
    /// Where the record was read; null for frames.
    pub source_topic: Option<String>,
    /// Where the record was read; null for frames.
    pub source_partition: Option<i32>,
    /// Where the record was read; null for frames.
    pub source_offset: Option<i64>,
    /// Of records that were deleted unread, of which `source_offset` is the first: the offset after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_offset_end: Option<i64>,
    /// The record's key.
    pub original_key_base64: Option<String>,
    /// Length of the whole original in bytes.
    pub original_length: u64,
    /// SHA-256 of the whole original, lower-case hex.
    pub original_sha256: String,
    /// Whether `raw` holds only the beginning.
    pub truncated: bool,
    /// Of a frame: its connection.
    pub connection_id: Option<String>,
    /// Of a frame: its number in the connection.
    pub frame_seq: Option<u64>,
}

/// Reason code of records that were deleted before they were read.
pub const LOST_TO_RETENTION: &str = "lost_to_retention";

super::payload!(DeadLetter, "dead_letter");

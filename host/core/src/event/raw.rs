//! Raw events: what the venue sent, exactly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a frame stood in its connection. The frame itself is the envelope's `raw`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RawFrame {
    /// The venue's stream, e.g. `quote`: the last part of the topic.
    pub stream: String,
    /// The connection that the frame came by; new with each connect.
    pub connection_id: String,
    /// Numbers the frames of a connection from 0, chatter included.
    pub frame_seq: u64,
    /// True where state begins again (a book snapshot).
    pub reset: bool,
}

super::payload!(RawFrame, "raw_frame");

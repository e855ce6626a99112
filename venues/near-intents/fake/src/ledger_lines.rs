//! What the ledger says, line by line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use super::ledger_answers::{Accepted, Duplicate, Ended, Overdrawn, Replied, Response, Settled, Verdict};

/// Bytes of an injected frame up to which the ledger keeps them whole; of longer ones it keeps length and hash.
const INJECTED_BYTES_KEPT_MAX: usize = 64 * 1024;

mod rfc3339_ms {
    use chrono::{DateTime, SecondsFormat};
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(ms: &u64, out: S) -> Result<S::Ok, S::Error> {
        let at = i64::try_from(*ms).ok().and_then(DateTime::from_timestamp_millis);
        let at = at.ok_or_else(|| ser::Error::custom("a time beyond the calendar"))?;
        out.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(de::Error::custom)?;
        u64::try_from(at.timestamp_millis()).map_err(de::Error::custom)
    }
}

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When it was written by the venue's clock, milliseconds since 1970; on disk `at`, in RFC 3339.
    #[serde(rename = "at", with = "rfc3339_ms")]
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line can say, distinguished by its `kind`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// The venue started; the first one lays down the chain.
    Start(Start),
    /// A websocket was opened with a good token.
    Connected {
        /// Number of the connection, never used twice in a ledger.
        connection: u64,
    },
    /// It ended.
    Disconnected {
        /// Its number.
        connection: u64,
    },
    /// An auction opened.
    Quote(Quote),
    /// A frame that is about to be sent (a connection that breaks right now may swallow it).
    Frame(Frame),
    /// A `quote_response` arrived and was accepted, or (not accepted) was lost unjudged by a planned fault.
    Answered(Response),
    /// A `quote_response` arrived and was refused.
    Refused(Response),
    /// The solver said that it does not quote.
    Declined(Response),
    /// A broken promise: the same account answered a quote, or used a nonce, a second time. The answer itself has a
    /// line of its own beside this one.
    Duplicate(Duplicate),
    /// A broken promise: with the answer accepted just now an account has promised more of an asset than it holds.
    Overdrawn(Overdrawn),
    /// An accepted answer was executed on chain; its nonce is used from `height` on.
    Settled(Settled),
    /// The chain refused an accepted answer.
    Failed(Ended),
    /// An accepted answer was not taken before its deadline.
    Lapsed(Ended),
    /// A balance was set from outside: a deposit, a withdrawal.
    Balance {
        /// Whose.
        account: String,
        /// Of what.
        asset: String,
        /// To how much.
        amount: String,
        /// From this block on.
        height: u64,
    },
    /// Another salt came into force.
    Salt {
        /// The new current salt, hex.
        salt: String,
        /// From this block on.
        height: u64,
    },
}

/// See [`Entry::Start`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Start {
    /// 0 for the first start on this ledger, then counting.
    pub run: u64,
    /// Seed of this run's choices.
    pub seed: u64,
    /// Time of the block `genesis_height`.
    pub genesis_ms: u64,
    /// First block.
    pub genesis_height: u64,
    /// Time between blocks.
    pub block_ms: u64,
    /// Distance of the final block from the newest.
    pub final_lag: u64,
    /// The first salt, hex.
    pub salt: String,
}

/// See [`Entry::Quote`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Quote {
    /// Id of the auction.
    #[serde(rename = "venue_ref")]
    pub quote_id: String,
    /// What the taker gives.
    pub asset_in: String,
    /// What the taker receives.
    pub asset_out: String,
    /// The given side, where it is the fixed one.
    pub amount_in: Option<String>,
    /// The received side, where it is the fixed one.
    pub amount_out: Option<String>,
    /// The shortest validity that an answer must sign.
    pub min_deadline_ms: u64,
    /// Answers are taken until then, milliseconds since 1970.
    pub closes_ms: u64,
}

/// See [`Entry::Frame`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Frame {
    /// To which connection.
    pub connection: u64,
    /// `quote`, `quote_status`, `quote_status_extended` or `injected`.
    pub stream: String,
    /// For which quote.
    #[serde(rename = "venue_ref")]
    pub quote_id: Option<String>,
    /// The whole frame, if it is UTF-8 (and not an injected one beyond 64 KiB).
    pub text: Option<String>,
    /// The whole frame otherwise, with the same bound.
    pub base64: Option<String>,
    /// Bytes of the frame.
    pub length: usize,
    /// SHA-256 of the frame, hex.
    pub sha256: String,
}

impl Frame {
    pub(super) fn new(connection: u64, stream: &str, quote_id: Option<&str>, bytes: &[u8]) -> Self {
        let kept = stream != "injected" || bytes.len() <= INJECTED_BYTES_KEPT_MAX;
        let text = std::str::from_utf8(bytes).ok().filter(|_| kept).map(str::to_owned);
        let base64 = (kept && text.is_none()).then(|| STANDARD.encode(bytes));
        Self {
            connection,
            stream: stream.to_owned(),
            quote_id: quote_id.map(str::to_owned),
            text,
            base64,
            length: bytes.len(),
            sha256: hex::encode(Sha256::digest(bytes)),
        }
    }
}

//! What the ledger says, line by line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes of an injected frame up to which the ledger keeps them whole; of longer ones it keeps length and hash.
const INJECTED_BYTES_KEPT_MAX: usize = 64 * 1024;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// When it was written, milliseconds since 1970 by the venue's clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a line can say, told apart by its `kind`.
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
    /// A `quote_response` was received and judged.
    Response(Response),
    /// A `quote_response` arrived and was lost unjudged by a planned fault.
    Lost(Response),
    /// A broken promise: the same account answered a quote, or used a nonce, a second time.
    Duplicate(Duplicate),
    /// An accepted answer was executed on chain; its nonce is used from `height` on.
    Settled(Settled),
    /// The chain refused an accepted answer.
    Failed(Ended),
    /// An accepted answer was not taken before its deadline.
    Lapsed(Ended),
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

/// How a `quote_response` was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It binds the solver, and a taker may take it.
    Accepted,
    /// It does not.
    Refused,
    /// The solver said that it does not quote.
    Declined,
    /// Never judged.
    Lost,
}

/// What the venue replied to a `quote_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replied {
    /// What it meant.
    Truly,
    /// The same, late.
    Late,
    /// Nothing.
    Never,
    /// Nothing, and the connection broke.
    Dropped,
    /// An error that says nothing about the verdict.
    Oddly,
}

/// See [`Entry::Response`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// On which connection.
    pub connection: u64,
    /// The frame as received.
    pub frame: String,
    /// Which quote it answers, where it says so.
    pub quote_id: Option<String>,
    /// Who signed it, by its message.
    pub account: Option<String>,
    /// The nonce, base64 as received.
    pub nonce: Option<String>,
    /// The quote hash, recomputed.
    pub quote_hash: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Code of the error that it stands for; 0 if none.
    pub code: i64,
    /// Text of the error; empty if none.
    pub why: String,
    /// What was replied.
    pub replied: Replied,
    /// What was accepted.
    pub accepted: Option<Accepted>,
}

/// What an accepted answer binds its solver to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Not after this, milliseconds since 1970 (rounded down).
    pub deadline_ms: u64,
    /// What the solver receives.
    pub asset_in: String,
    /// How much of it.
    pub amount_in: String,
    /// What the solver gives.
    pub asset_out: String,
    /// How much of it.
    pub amount_out: String,
    /// When a taker will take it; None: never.
    pub settle_at_ms: Option<u64>,
}

/// See [`Entry::Duplicate`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Duplicate {
    /// The quote answered.
    pub quote_id: String,
    /// By whom.
    pub account: String,
    /// With which nonce, base64.
    pub nonce: String,
    /// Hash of the second answer.
    pub quote_hash: String,
    /// Whether the quote was answered before.
    pub same_quote: bool,
    /// Whether the nonce was used before.
    pub same_nonce: bool,
    /// Hash of the first answer.
    pub first_quote_hash: String,
}

/// See [`Entry::Settled`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settled {
    /// Hash of the accepted answer.
    pub quote_hash: String,
    /// Its quote.
    pub quote_id: String,
    /// Its signer.
    pub account: String,
    /// Its nonce, base64.
    pub nonce: String,
    /// Hash of the taker's intent.
    pub intent_hash: String,
    /// The transaction.
    pub tx_hash: String,
    /// Its block.
    pub height: u64,
}

/// See [`Entry::Failed`] and [`Entry::Lapsed`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Hash of the accepted answer.
    pub quote_hash: String,
    /// Why it came to nothing.
    pub why: String,
}

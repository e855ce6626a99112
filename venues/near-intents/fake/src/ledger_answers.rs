//! What the ledger says of answers and of what became of them.

use serde::{Deserialize, Serialize};

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

/// See [`Entry::Answered`](super::Entry::Answered).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// On which connection.
    pub connection: u64,
    /// The frame as received.
    pub frame: String,
    /// Which quote it answers, where it says so.
    #[serde(rename = "venue_ref")]
    pub quote_id: Option<String>,
    /// Who signed it, by its message.
    pub account: Option<String>,
    /// The nonce, base64 as received.
    pub nonce: Option<String>,
    /// The quote hash, recomputed.
    pub quote_hash: Option<String>,
    /// SHA-256 of the signed bytes, hex: what the quote hash is the base58 of.
    pub digest: Option<String>,
    /// Whether it binds the solver.
    pub accepted: bool,
    pub verdict: Verdict,
    /// Code of the error that it stands for; 0 if none.
    pub code: i64,
    /// Text of the error; empty if none.
    pub why: String,
    /// What was replied.
    pub replied: Replied,
    /// What was accepted.
    pub terms: Option<Accepted>,
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

/// See [`Entry::Duplicate`](super::Entry::Duplicate).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Duplicate {
    /// The quote answered.
    #[serde(rename = "venue_ref")]
    pub quote_id: String,
    /// The account that answered.
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
    /// SHA-256 of the second answer's signed bytes, hex.
    pub digest: String,
    /// Always false: a second answer never binds.
    pub accepted: bool,
}

/// See [`Entry::Settled`](super::Entry::Settled).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settled {
    /// Hash of the accepted answer.
    pub quote_hash: String,
    /// Its quote.
    #[serde(rename = "venue_ref")]
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
    /// Always true: only what was accepted settles.
    pub accepted: bool,
}

/// See [`Entry::Failed`](super::Entry::Failed) and [`Entry::Lapsed`](super::Entry::Lapsed).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// Hash of the accepted answer.
    pub quote_hash: String,
    /// Why it came to nothing.
    pub why: String,
}

/// See [`Entry::Overdrawn`](super::Entry::Overdrawn).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdrawn {
    /// Hash of the accepted answer that is one too many.
    pub quote_hash: String,
    /// Who promised.
    pub account: String,
    /// What.
    pub asset: String,
    /// How much of it the account holds by the newest block.
    pub held: String,
    /// How much it has promised by all its open answers, this one included.
    pub promised: String,
}

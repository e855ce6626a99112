//! The relay's frames: what kind a frame is, decided by its shape alone.
//!
//! Two shapes of events exist: every real client knows `{"method":"event","params":{"subscription","data","metadata"}}`,
//! the documentation shows `{"method":"subscribe","params":{…the fields…}}`. Both are taken, under either method, because
//! an event may overtake the reply that would tell its subscription.

use crate::excerpt;
use crate::loose::{Scalar, object};

object!(
    /// A frame from the relay.
    pub struct Frame {
        /// The request that it answers.
        id: Scalar = "id",
        /// `event` or `subscribe` for events.
        method: Scalar = "method",
        /// The answer.
        result: Scalar = "result",
        /// The refusal.
        error: RpcError = "error",
        /// The event.
        params: Params = "params",
    }
);

object!(
    /// An error: an object, or a bare string.
    pub struct RpcError {
        /// A number, sometimes written as a string.
        code: Scalar = "code",
        /// Words.
        message: Scalar = "message",
    }
);

object!(
    /// The parameters of an event in the nested shape.
    pub struct Params {
        /// The event.
        data: Event = "data",
        /// Who asks.
        metadata: Metadata = "metadata",
    }
);

object!(
    /// A frame in the flat shape, read only where the nested one holds no event.
    pub struct FlatFrame {
        /// The event.
        params: Event = "params",
    }
);

object!(
    /// What an event says.
    pub struct Event {
        /// The auction's id.
        quote_id: Scalar = "quote_id",
        /// What the taker gives.
        asset_in: Scalar = "defuse_asset_identifier_in",
        /// What the taker receives.
        asset_out: Scalar = "defuse_asset_identifier_out",
        /// Decimal string; this or the next.
        exact_amount_in: Scalar = "exact_amount_in",
        /// Decimal string.
        exact_amount_out: Scalar = "exact_amount_out",
        /// How long an answer must stay valid.
        min_deadline_ms: Scalar = "min_deadline_ms",
        /// The auction's length, deprecated.
        wait_ms: Scalar = "wait_ms",
        /// The auction lasts at least so long.
        min_wait_ms: Scalar = "min_wait_ms",
        /// The auction lasts at most so long.
        max_wait_ms: Scalar = "max_wait_ms",
        /// Whether this is a router's sub-leg.
        protocol_fee_included: Scalar = "protocol_fee_included",
        /// Who asks, as the relay vouches.
        trusted_metadata: Metadata = "trusted_metadata",
        /// Of a status: the hash of the solver's signed payload, base58.
        quote_hash: Scalar = "quote_hash",
        /// Of a status: the hash of the user's signed payload.
        intent_hash: Scalar = "intent_hash",
        /// Of a status: the transaction.
        tx_hash: Scalar = "tx_hash",
        /// Of an extended status: what happened.
        event_type: Scalar = "event_type",
    }
);

object!(
    /// Who asks.
    pub struct Metadata {
        /// The partner's id.
        partner_id: Scalar = "partner_id",
        /// What kind of question it is.
        quote_type: Scalar = "quote_type",
    }
);

/// What a frame is.
#[derive(Debug)]
pub enum Sorted {
    /// Somebody asks for a price. All three ids are strings; nothing else is vouched for.
    Quote(Box<Quote>),
    /// Something became of a quote.
    Status(Box<Status>),
    /// The reply to a request.
    Reply(Reply),
    /// Something else, and why.
    Unrecognised(String),
}

/// A quote event.
#[derive(Debug)]
pub struct Quote {
    /// The auction's id.
    pub quote_id: String,
    /// What the taker gives.
    pub asset_in: String,
    /// What the taker receives.
    pub asset_out: String,
    /// All fields.
    pub data: Event,
    /// Who asks.
    pub metadata: Metadata,
}

/// A status event.
#[derive(Debug)]
pub struct Status {
    /// The hash of the solver's signed payload.
    pub quote_hash: String,
    /// All fields.
    pub data: Event,
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    /// The id, if it is one of ours by type.
    pub id: Option<u64>,
    /// The answer.
    pub result: Scalar,
    /// The refusal, if it is one.
    pub error: Option<Refusal>,
}

/// An error in a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its code, if it has one.
    pub code: Option<i64>,
    /// Its words, maybe none.
    pub text: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code}: {}", excerpt(&self.text)),
            None => f.write_str(&excerpt(&self.text)),
        }
    }
}

/// Says what a frame is. Never fails, whatever the bytes.
pub fn sort(bytes: &[u8]) -> Sorted {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Sorted::Unrecognised(format!("not UTF-8: {error}")),
    };
    match serde_json::from_str::<Frame>(text) {
        Ok(frame) => sort_frame(frame, text),
        Err(error) => Sorted::Unrecognised(format!("not JSON: {}", excerpt(&error.to_string()))),
    }
}

fn sort_frame(frame: Frame, text: &str) -> Sorted {
    if !frame.is_object {
        return Sorted::Unrecognised(format!("not an object but {}", frame.scalar.kind()));
    }
    match frame.method.text() {
        Some("event" | "subscribe") => sort_event(frame.params, text),
        Some(method) => Sorted::Unrecognised(format!("unknown method `{}`", excerpt(method))),
        None if frame.method.is_none() => sort_reply(frame),
        None => Sorted::Unrecognised(format!("method is {}", frame.method.kind())),
    }
}

fn sort_event(params: Params, text: &str) -> Sorted {
    if !params.is_object {
        return Sorted::Unrecognised("an event without an object as params".into());
    }
    let (data, metadata) = if params.data.is_object {
        (params.data, params.metadata)
    } else {
        match serde_json::from_str::<FlatFrame>(text) {
            Ok(flat) => (flat.params, params.metadata),
            Err(error) => return Sorted::Unrecognised(format!("not JSON: {}", excerpt(&error.to_string()))),
        }
    };
    if !data.quote_id.is_none() || !data.asset_in.is_none() || !data.asset_out.is_none() {
        return match (data.quote_id.text(), data.asset_in.text(), data.asset_out.text()) {
            (Some(quote_id), Some(asset_in), Some(asset_out)) => Sorted::Quote(Box::new(Quote {
                quote_id: quote_id.to_owned(),
                asset_in: asset_in.to_owned(),
                asset_out: asset_out.to_owned(),
                data,
                metadata,
            })),
            _ => Sorted::Unrecognised(format!(
                "a quote needs three strings: quote_id is {}, defuse_asset_identifier_in {}, defuse_asset_identifier_out {}",
                data.quote_id.kind(),
                data.asset_in.kind(),
                data.asset_out.kind()
            )),
        };
    }
    match data.quote_hash.text() {
        Some(hash) => Sorted::Status(Box::new(Status { quote_hash: hash.to_owned(), data })),
        None => Sorted::Unrecognised("an event that is neither a quote nor a quote's status".into()),
    }
}

fn sort_reply(frame: Frame) -> Sorted {
    let error = refusal_of(&frame.error);
    if matches!(frame.result, Scalar::Absent) && error.is_none() {
        return Sorted::Unrecognised("neither an event nor a reply: no method, result or error".into());
    }
    if matches!(frame.id, Scalar::Absent) {
        return Sorted::Unrecognised("a reply without an id".into());
    }
    let id = match &frame.id {
        Scalar::Text(text) => text.parse().ok(),
        other => other.whole(),
    };
    Sorted::Reply(Reply { id, result: frame.result, error })
}

fn refusal_of(error: &RpcError) -> Option<Refusal> {
    if error.is_object {
        let code = match &error.code {
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Negative(code) => Some(*code),
            other => other.whole().and_then(|code| i64::try_from(code).ok()),
        };
        return Some(Refusal { code, text: error.message.text().unwrap_or_default().to_owned() });
    }
    match &error.scalar {
        Scalar::Absent | Scalar::Null => None,
        Scalar::Text(text) => Some(Refusal { code: None, text: text.clone() }),
        other => Some(Refusal { code: None, text: format!("an error that is {}", other.kind()) }),
    }
}

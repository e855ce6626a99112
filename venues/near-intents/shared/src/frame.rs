//! The relay's frames: what kind a frame is, decided by its shape alone.
//!
//! Two shapes of events exist: every real client knows `{"method":"event","params":{"subscription","data","metadata"}}`,
//! the documentation shows `{"method":"subscribe","params":{…the fields…}}`. Both are taken, under either method, because
//! an event may overtake the reply that would tell its subscription.
//!
//! Sorting reads the ids and nothing else, so that whatever else is wrong with an event it is one.

use serde::Deserialize;

use crate::excerpt;
use crate::loose::{self, Scalar, object};

object!(
    /// As much of a frame as sorting needs.
    struct Frame {
        /// `event` or `subscribe` for events.
        method: Scalar = "method",
        /// The event's place.
        params: Params = "params",
    }
);

object!(
    /// The parameters of an event; in the flat shape they are its fields.
    struct Params {
        /// The event in the nested shape.
        data: Ids = "data",
        /// The flat shape's field.
        quote_id: Scalar = "quote_id",
        /// The flat shape's field.
        asset_in: Scalar = "defuse_asset_identifier_in",
        /// The flat shape's field.
        asset_out: Scalar = "defuse_asset_identifier_out",
        /// The flat shape's field.
        quote_hash: Scalar = "quote_hash",
    }
);

object!(
    /// What tells events apart.
    struct Ids {
        /// The auction's id.
        quote_id: Scalar = "quote_id",
        /// What the taker gives.
        asset_in: Scalar = "defuse_asset_identifier_in",
        /// What the taker receives.
        asset_out: Scalar = "defuse_asset_identifier_out",
        /// Of a status: the hash of the solver's signed payload, base58.
        quote_hash: Scalar = "quote_hash",
    }
);

object!(
    /// A frame that is no event.
    struct ReplyFrame {
        /// The request that it answers.
        id: Scalar = "id",
        /// The answer.
        result: Scalar = "result",
        /// The refusal.
        error: RpcError = "error",
    }
);

object!(
    /// An error: an object, or a bare string.
    struct RpcError {
        /// A number, sometimes written as a string.
        code: Scalar = "code",
        /// Words.
        message: Scalar = "message",
    }
);

object!(
    /// A frame in the nested shape.
    struct NestedFrame {
        /// Event and metadata.
        params: NestedParams = "params",
    }
);

object!(
    /// The parameters in the nested shape.
    struct NestedParams {
        /// The event.
        data: Details = "data",
        /// Who asks.
        metadata: Metadata = "metadata",
    }
);

object!(
    /// A frame in the flat shape.
    struct FlatFrame {
        /// The event.
        params: Details = "params",
    }
);

object!(
    /// What an event says besides its ids.
    pub struct Details {
        /// Decimal string; this or the next.
        exact_amount_in: Scalar = "exact_amount_in",
        /// Decimal string.
        exact_amount_out: Scalar = "exact_amount_out",
        /// How long an answer must stay valid.
        min_deadline_ms: Scalar = "min_deadline_ms",
        /// The auction's length, deprecated.
        wait_ms: Scalar = "wait_ms",
        /// The auction lasts at least this many milliseconds.
        min_wait_ms: Scalar = "min_wait_ms",
        /// The auction lasts at most this many milliseconds.
        max_wait_ms: Scalar = "max_wait_ms",
        /// Whether this is a router's sub-leg.
        protocol_fee_included: Scalar = "protocol_fee_included",
        /// Who asks, as the relay vouches.
        trusted_metadata: Metadata = "trusted_metadata",
        /// Who asks.
        metadata: Metadata = "metadata",
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
    /// A taker asks for a price. All three ids are strings; nothing else is vouched for.
    Quote(Quote),
    /// Something became of a quote.
    Status(Status),
    /// The reply to a request.
    Reply(Reply),
    /// Something else, and why.
    Unrecognised(String),
}

/// The shape of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The event stands in `params.data`.
    Nested,
    /// The event's fields are the `params`.
    Flat,
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
    /// Where the rest stands.
    pub shape: Shape,
}

/// A status event.
#[derive(Debug)]
pub struct Status {
    /// The hash of the solver's signed payload.
    pub quote_hash: String,
    /// Where the rest stands.
    pub shape: Shape,
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
    try_sort(bytes).unwrap_or_else(Sorted::Unrecognised)
}

/// What an event says besides its ids. The error says why it cannot be read.
pub fn details(bytes: &[u8], shape: Shape) -> Result<Details, String> {
    match shape {
        Shape::Nested => {
            let params = read::<NestedFrame>(bytes)?.params;
            Ok(Details { metadata: params.metadata, ..params.data })
        }
        Shape::Flat => Ok(read::<FlatFrame>(bytes)?.params),
    }
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))?;
    loose::read(text).map_err(|error| format!("not JSON: {}", excerpt(&error.to_string())))
}

fn try_sort(bytes: &[u8]) -> Result<Sorted, String> {
    let frame: Frame = read(bytes)?;
    if !frame.is_object {
        return Err(format!("not an object but {}", frame.scalar.kind()));
    }
    match &frame.method {
        Scalar::Text(method) if method == "event" || method == "subscribe" => sort_event(frame.params),
        Scalar::Text(method) => Err(format!("unknown method `{}`", excerpt(method))),
        method if method.is_none() => sort_reply(read(bytes)?),
        method => Err(format!("method is {}", method.kind())),
    }
}

fn sort_event(params: Params) -> Result<Sorted, String> {
    if !params.is_object {
        return Err("an event without an object as params".into());
    }
    let nested = params.data.is_object;
    let shape = if nested { Shape::Nested } else { Shape::Flat };
    let Ids { quote_id, asset_in, asset_out, quote_hash, .. } = if nested {
        params.data
    } else {
        let Params { quote_id, asset_in, asset_out, quote_hash, .. } = params;
        Ids { quote_id, asset_in, asset_out, quote_hash, is_object: true, scalar: Scalar::Compound }
    };
    match (quote_id, asset_in, asset_out, quote_hash) {
        (Scalar::Text(quote_id), Scalar::Text(asset_in), Scalar::Text(asset_out), _) => {
            Ok(Sorted::Quote(Quote { quote_id, asset_in, asset_out, shape }))
        }
        (a, b, c, Scalar::Text(quote_hash)) if a.is_none() && b.is_none() && c.is_none() => {
            Ok(Sorted::Status(Status { quote_hash, shape }))
        }
        (a, b, c, _) if a.is_none() && b.is_none() && c.is_none() => {
            Err("an event that is neither a quote nor a quote's status".into())
        }
        (quote_id, asset_in, asset_out, _) => Err(format!(
            "a quote needs three strings: quote_id is {}, defuse_asset_identifier_in {}, defuse_asset_identifier_out {}",
            quote_id.kind(),
            asset_in.kind(),
            asset_out.kind()
        )),
    }
}

fn sort_reply(frame: ReplyFrame) -> Result<Sorted, String> {
    let error = refusal_of(&frame.error);
    if matches!(frame.result, Scalar::Absent) && error.is_none() {
        return Err("neither an event nor a reply: no method, result or error".into());
    }
    if matches!(frame.id, Scalar::Absent) {
        return Err("a reply without an id".into());
    }
    let id = match &frame.id {
        Scalar::Text(text) => text.parse().ok(),
        other => other.whole(),
    };
    Ok(Sorted::Reply(Reply { id, result: frame.result, error }))
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

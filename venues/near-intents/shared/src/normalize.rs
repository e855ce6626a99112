//! From the relay's frames to canonical events. What makes no sense is refused with a code; nothing is guessed.

use crate::Reason;
use crate::excerpt;
use crate::frame::{Details, Quote, Shape, Sorted, Status, details, sort};
use crate::ingest::{QUOTE, QUOTE_STATUS};
use crate::loose::Scalar;

/// A demand, amounts as decimal strings of base units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The auction's id.
    pub quote_id: String,
    /// What the taker gives.
    pub asset_in: String,
    /// What the taker receives.
    pub asset_out: String,
    /// Given if the taker fixed what it gives.
    pub amount_in: Option<String>,
    /// Given if the taker fixed what it receives.
    pub amount_out: Option<String>,
    /// How long an answer must stay valid.
    pub min_deadline_ms: u64,
    /// How long the relay takes answers, if it says so.
    pub ttl_ms: Option<u64>,
    /// What else the relay says.
    pub attributes: Vec<(String, String)>,
}

/// What became of a quote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The hash of the solver's signed payload, base58.
    pub quote_hash: String,
    /// The hash of the user's.
    pub intent_hash: Option<String>,
    /// The transaction.
    pub tx_hash: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Settled,
    /// It will not.
    Failed,
    /// It is about to.
    Ready,
}

/// A canonical event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canonical {
    /// Of stream `quote`.
    Demand(Demand),
    /// Of stream `quote_status`.
    Settlement(Settlement),
}

/// The event of a raw record.
pub fn normalize(stream: &str, raw: &[u8]) -> Result<Canonical, Reason> {
    match (stream, sort(raw)) {
        (QUOTE, Sorted::Quote(quote)) => demand(quote, raw).map(Canonical::Demand),
        (QUOTE_STATUS, Sorted::Status(status)) => settlement(status, raw).map(Canonical::Settlement),
        (QUOTE | QUOTE_STATUS, Sorted::Unrecognised(why)) => Err(Reason::new("frame_invalid", why)),
        (QUOTE | QUOTE_STATUS, _) => Err(Reason::new("frame_invalid", format!("not an event of stream `{stream}`"))),
        _ => Err(Reason::new("stream_unknown", format!("no stream `{}`", excerpt(stream)))),
    }
}

fn read(raw: &[u8], shape: Shape) -> Result<Details, Reason> {
    details(raw, shape).map_err(|why| Reason::new("frame_invalid", why))
}

fn demand(quote: Quote, raw: &[u8]) -> Result<Demand, Reason> {
    let Quote { quote_id, asset_in, asset_out, shape } = quote;
    let data = read(raw, shape)?;
    if quote_id.is_empty() {
        return Err(Reason::new("quote_id_invalid", "quote_id is empty"));
    }
    if asset_in.is_empty() || asset_out.is_empty() {
        return Err(Reason::new("asset_invalid", "an asset's id is empty"));
    }
    let amount_in = amount("exact_amount_in", &data.exact_amount_in)?;
    let amount_out = amount("exact_amount_out", &data.exact_amount_out)?;
    match (&amount_in, &amount_out) {
        (None, None) => return Err(Reason::new("amount_missing", "neither exact_amount_in nor exact_amount_out")),
        (Some(_), Some(_)) => return Err(Reason::new("amount_both", "both exact_amount_in and exact_amount_out")),
        _ => {}
    }
    let Some(min_deadline_ms) = data.min_deadline_ms.whole() else {
        let what = format!("min_deadline_ms is {}, not a whole number of at least 0", data.min_deadline_ms.kind());
        return Err(Reason::new("min_deadline_invalid", what));
    };
    wait("wait_ms", &data.wait_ms)?;
    let min_wait_ms = wait("min_wait_ms", &data.min_wait_ms)?;
    let ttl_ms = wait("max_wait_ms", &data.max_wait_ms)?;

    let mut attributes = Vec::new();
    if let Some(min_wait_ms) = min_wait_ms {
        attributes.push(("min_wait_ms".to_owned(), min_wait_ms.to_string()));
    }
    let trusted = &data.trusted_metadata;
    if let Some(partner) = data.metadata.partner_id.text().or_else(|| trusted.partner_id.text()) {
        attributes.push(("partner_id".to_owned(), partner.to_owned()));
    }
    if let Scalar::Bool(included) = data.protocol_fee_included {
        attributes.push(("protocol_fee_included".to_owned(), included.to_string()));
    }
    if let Some(kind) = trusted.quote_type.text() {
        attributes.push(("quote_type".to_owned(), kind.to_owned()));
    }
    Ok(Demand { quote_id, asset_in, asset_out, amount_in, amount_out, min_deadline_ms, ttl_ms, attributes })
}

/// A decimal string of a whole number up to `u128::MAX`, without sign or leading zero; `null` says nothing.
fn amount(name: &str, scalar: &Scalar) -> Result<Option<String>, Reason> {
    if scalar.is_none() {
        return Ok(None);
    }
    let Some(text) = scalar.text() else {
        return Err(Reason::new("amount_invalid", format!("{name} is {}, not a decimal string", scalar.kind())));
    };
    match parse_amount(text) {
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(Reason::new("amount_invalid", format!("{name}: `{}` is no amount", excerpt(text)))),
    }
}

/// Reads a plain decimal integer: digits only, no leading zero, at most `u128::MAX`.
pub fn parse_amount(text: &str) -> Option<u128> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn wait(name: &str, scalar: &Scalar) -> Result<Option<u64>, Reason> {
    if scalar.is_none() {
        return Ok(None);
    }
    match scalar.whole() {
        Some(value) => Ok(Some(value)),
        None => {
            let what = format!("{name} is {}, not a whole number of at least 0", scalar.kind());
            Err(Reason::new("wait_invalid", what))
        }
    }
}

fn settlement(status: Status, raw: &[u8]) -> Result<Settlement, Reason> {
    let data = read(raw, status.shape)?;
    let outcome = match &data.event_type {
        kind if kind.is_none() => Outcome::Settled,
        Scalar::Text(kind) => match kind.as_str() {
            "quote_settle_successful" => Outcome::Settled,
            "quote_settle_failed" => Outcome::Failed,
            "quote_ready_to_settle" => Outcome::Ready,
            other => return Err(Reason::new("event_type_unknown", format!("event_type `{}`", excerpt(other)))),
        },
        other => return Err(Reason::new("event_type_unknown", format!("event_type is {}", other.kind()))),
    };
    // The relay writes an empty string where there is no transaction yet.
    let text = |scalar: &Scalar| scalar.text().filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Settlement {
        quote_hash: status.quote_hash,
        intent_hash: text(&data.intent_hash),
        tx_hash: text(&data.tx_hash),
        outcome,
    })
}

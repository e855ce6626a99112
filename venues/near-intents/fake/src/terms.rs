//! What an answer offers: the message that was signed, and the part of it that lies open beside it.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Longest asset id that the contract takes, bytes.
const ASSET_ID_BYTES_MAX: usize = 127;

/// The signed message, parsed.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) signer_id: String,
    pub(super) deadline_ns: i64,
    /// The one `token_diff`: asset ids and signed amounts, as written.
    pub(super) diff: Map<String, Value>,
}

impl Message {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let message: Value = serde_json::from_str(text).map_err(|error| Refusal::params(format!("JSON: {error}")))?;
        let deadline = string(&message, "deadline")?;
        let deadline = DateTime::parse_from_rfc3339(deadline).ok().filter(|_| deadline.ends_with('Z'));
        let deadline_ns = deadline.and_then(|at| at.timestamp_nanos_opt());
        let intents = message.get("intents").and_then(Value::as_array);
        let [intent] = intents.map(Vec::as_slice).unwrap_or_default() else {
            return Err(Refusal::params("invalid intent: exactly one is expected"));
        };
        Ok(Self {
            signer_id: string(&message, "signer_id")?.to_owned(),
            deadline_ns: deadline_ns.ok_or_else(|| Refusal::params("JSON: deadline is no UTC time"))?,
            diff: token_diff(intent)?.clone(),
        })
    }

    /// The signer of a message that need not be otherwise in order.
    pub(super) fn signer_of(text: &str) -> Option<String> {
        let message: Value = serde_json::from_str(text).ok()?;
        message.get("signer_id")?.as_str().map(str::to_owned)
    }

    /// What the solver receives of `asset_in` and gives of `asset_out`: the diff names these two and nothing else.
    pub(super) fn amounts(&self, asset_in: &str, asset_out: &str) -> Result<(u128, u128), Refusal> {
        if let Some(long) = self.diff.keys().find(|asset| asset.len() > ASSET_ID_BYTES_MAX) {
            let text = format!("token_id is too long: max length is {{{ASSET_ID_BYTES_MAX}}}, got {}", long.len());
            return Err(Refusal::params(text));
        }
        let (Some(gets), Some(gives), 2) = (self.diff.get(asset_in), self.diff.get(asset_out), self.diff.len()) else {
            return Err(Refusal::params("invalid intent: the diff does not name the two assets of the quote"));
        };
        let (gets, gives) = (delta(gets)?, delta(gives)?);
        match (u128::try_from(gets), u128::try_from(gives)) {
            (Ok(gets), Err(_)) => Ok((gets, gives.unsigned_abs())),
            _ => Err(Refusal::params("invalid intent: the solver receives the first asset and gives the second")),
        }
    }
}

fn token_diff(intent: &Value) -> Result<&Map<String, Value>, Refusal> {
    let fields = intent.as_object().ok_or_else(|| Refusal::params("invalid intent"))?;
    if fields.get("intent").and_then(Value::as_str) != Some("token_diff") {
        return Err(Refusal::params("invalid intent: not a token_diff"));
    }
    if let Some(foreign) = fields.keys().find(|name| !["intent", "diff", "memo", "referral"].contains(&name.as_str())) {
        return Err(Refusal::params(format!("invalid intent: unknown field `{foreign}`")));
    }
    fields.get("diff").and_then(Value::as_object).ok_or_else(|| Refusal::params("invalid intent: no diff"))
}

/// The open part of an answer: the side that the quote left open.
pub(super) fn quoted(quote_output: &Value, side: &str) -> Result<u128, Refusal> {
    let fields = quote_output.as_object().ok_or_else(|| Refusal::params("Invalid params: no quote_output"))?;
    match (fields.get(side).and_then(Value::as_str), fields.len()) {
        (Some(amount), 1) => {
            amount_of(amount).ok_or_else(|| Refusal::params("Invalid params: quote_output is no amount"))
        }
        _ => Err(Refusal::params(format!("Invalid params: quote_output must be {side} alone"))),
    }
}

/// A canonical decimal: no sign, no leading zero.
pub(super) fn amount_of(text: &str) -> Option<u128> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain && !text.is_empty())
}

/// A signed, canonical, non-zero decimal string within i128.
fn delta(value: &Value) -> Result<i128, Refusal> {
    let text = value.as_str().ok_or_else(|| Refusal::params("invalid intent: an amount is no string"))?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::params("invalid intent: an amount is not canonical"));
    }
    text.parse().map_err(|_| Refusal::params("invalid intent: an amount is beyond i128"))
}

fn string<'a>(object: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    object.get(field).and_then(Value::as_str).ok_or_else(|| Refusal::params(format!("JSON: missing field `{field}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(diff: &str) -> Result<(u128, u128), Refusal> {
        let text = format!(
            r#"{{"signer_id":"s","deadline":"2026-11-22T10:00:00.000Z","intents":[{{"intent":"token_diff","diff":{diff}}}]}}"#
        );
        Message::parse(&text)?.amounts("nep141:in", "nep141:out")
    }

    #[test]
    fn a_diff_is_taken_only_with_canonical_amounts_of_the_right_sign_within_i128() {
        assert_eq!(message(r#"{"nep141:in":"500","nep141:out":"-300"}"#), Ok((500, 300)));
        let most = i128::MAX.to_string();
        let least = i128::MIN.to_string();
        let edges = message(&format!(r#"{{"nep141:in":"{most}","nep141:out":"{least}"}}"#));
        assert_eq!(edges, Ok((i128::MAX.unsigned_abs(), i128::MIN.unsigned_abs())));
        for refused in [
            r#"{"nep141:in":"+500","nep141:out":"-300"}"#,
            r#"{"nep141:in":"0500","nep141:out":"-300"}"#,
            r#"{"nep141:in":"0","nep141:out":"-300"}"#,
            r#"{"nep141:in":"500","nep141:out":"-0"}"#,
            r#"{"nep141:in":"500","nep141:out":"300"}"#,
            r#"{"nep141:in":"-500","nep141:out":"300"}"#,
            r#"{"nep141:in":500,"nep141:out":"-300"}"#,
            r#"{"nep141:in":"5e2","nep141:out":"-300"}"#,
            r#"{"nep141:in":"500"}"#,
            r#"{"nep141:in":"500","nep141:out":"-300","nep141:third":"1"}"#,
            r#"{"nep141:in":"170141183460469231731687303715884105728","nep141:out":"-300"}"#,
            r#"{}"#,
        ] {
            assert!(message(refused).is_err_and(|refusal| refusal.code == -32602), "{refused}");
        }
    }

    #[test]
    fn the_open_side_must_stand_alone_and_canonical() {
        let quoted = |output: &str| quoted(&serde_json::from_str(output).unwrap(), "amount_out").ok();
        assert_eq!(quoted(r#"{"amount_out":"300"}"#), Some(300));
        assert_eq!(quoted(r#"{"amount_out":"0300"}"#), None);
        assert_eq!(quoted(r#"{"amount_out":300}"#), None);
        assert_eq!(quoted(r#"{"amount_in":"300"}"#), None);
        assert_eq!(quoted(r#"{"amount_in":"300","amount_out":"300"}"#), None);
    }
}

//! The intent that an answer signs: what we receive and what we give, until when.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::nep413::Message;
use crate::nonce::{self, Salt};
use crate::{Reason, TimestampUs};

/// What NEAR's `token_diff` holds.
const AMOUNT_MAX: u128 = i128::MAX.unsigned_abs();
/// Microseconds in a millisecond.
const US_PER_MS: u64 = 1_000;

/// Which amount the taker fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// What it gives.
    In,
    /// What it receives.
    Out,
}

/// The command, as far as the venue needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// At most one action takes effect per key.
    pub idempotency_key: String,
    /// The account that signs.
    pub account: String,
    /// The auction's id, twice: the command's own field and the action's.
    pub venue_ref: String,
    /// The expiry that the venue enforces.
    pub deadline: TimestampUs,
    /// The auction's id.
    pub quote_id: String,
    /// What we receive.
    pub asset_in: String,
    /// What we give.
    pub asset_out: String,
    /// Base units.
    pub amount_in: String,
    /// Base units.
    pub amount_out: String,
    /// Which amount the taker fixed; none: what it gives.
    pub fixed: Option<Fixed>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    signer_id: &'a str,
    deadline: String,
    intents: [TokenDiff<'a>; 1],
}

#[derive(Serialize)]
struct TokenDiff<'a> {
    intent: &'static str,
    diff: BTreeMap<&'a str, String>,
}

impl Command {
    /// What makes the command impossible at this venue, for ever.
    pub fn check(&self) -> Result<(), Reason> {
        if self.account.is_empty() {
            return Err(Reason::new("account_empty", "the command names no account"));
        }
        if self.venue_ref != self.quote_id {
            return Err(Reason::new("venue_ref_mismatch", "venue_ref is not the action's quote_id"));
        }
        if self.asset_in == self.asset_out || self.asset_in.is_empty() || self.asset_out.is_empty() {
            return Err(Reason::new("same_asset", "asset_in and asset_out must be two different assets"));
        }
        for (name, text) in [("amount_in", &self.amount_in), ("amount_out", &self.amount_out)] {
            match crate::normalize::parse_amount(text) {
                Some(1..=AMOUNT_MAX) => {}
                Some(0) => return Err(Reason::new("amount_zero", format!("{name} is 0"))),
                Some(_) => return Err(Reason::new("amount_over_i128", format!("{name} is over i128"))),
                None => return Err(Reason::new("amount_invalid", format!("{name} is no decimal integer"))),
            }
        }
        Ok(())
    }

    /// The deadline as the signed payload holds it: whole milliseconds.
    fn deadline_ms(&self) -> u64 {
        self.deadline / US_PER_MS
    }

    /// The message to sign, for the verifier contract `recipient`, with the salt as read.
    pub fn message(&self, recipient: &str, salt: Salt) -> Result<Message, Reason> {
        self.check()?;
        let out_of_range = || Reason::new("deadline_invalid", "the deadline is outside of what a nonce can hold");
        let deadline_ms = i64::try_from(self.deadline_ms()).map_err(|_| out_of_range())?;
        let deadline_ns = deadline_ms.checked_mul(1_000_000).ok_or_else(out_of_range)?;
        let deadline = DateTime::<Utc>::from_timestamp_millis(deadline_ms).ok_or_else(out_of_range)?;
        let envelope = Envelope {
            signer_id: &self.account,
            deadline: deadline.to_rfc3339_opts(SecondsFormat::Millis, true),
            intents: [TokenDiff {
                intent: "token_diff",
                diff: [
                    (self.asset_in.as_str(), self.amount_in.clone()),
                    (&self.asset_out, format!("-{}", self.amount_out)),
                ]
                .into(),
            }],
        };
        let message = serde_json::to_string(&envelope).map_err(|error| Reason::new("message", error.to_string()))?;
        let nonce = nonce::versioned(salt, deadline_ns, nonce::tail(&self.idempotency_key));
        Ok(Message { message, nonce, recipient: recipient.to_owned(), callback_url: None })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn command() -> Command {
        Command {
            idempotency_key: "near-intents/solver.near/00000000-0000-0000-0000-0000000000aa".into(),
            account: "solver.near".into(),
            venue_ref: "00000000-0000-0000-0000-0000000000aa".into(),
            deadline: 1_795_341_665_123_000,
            quote_id: "00000000-0000-0000-0000-0000000000aa".into(),
            asset_in: "nep141:wrap.near".into(),
            asset_out: "nep141:usdt.tether-token.near".into(),
            amount_in: "1000000000000000000000000".into(),
            amount_out: "2495000".into(),
            fixed: Some(Fixed::In),
        }
    }

    #[test]
    fn receives_without_a_plus_and_gives_with_a_minus() {
        let message = command().message("intents.near", [0x25, 0x28, 0x12, 0xb3]).unwrap();
        assert_eq!(
            message.message,
            r#"{"signer_id":"solver.near","deadline":"2026-11-22T10:01:05.123Z","intents":[{"intent":"token_diff","diff":{"nep141:usdt.tether-token.near":"-2495000","nep141:wrap.near":"1000000000000000000000000"}}]}"#
        );
        let deadline_ns = 1_795_341_665_123_000_000_i64.to_le_bytes();
        let expected = format!("5628f6c600252812b3{}5031e01c11dea5ccd7de9f80e8dfea", hex::encode(deadline_ns));
        assert_eq!(hex::encode(message.nonce), expected);
        assert_eq!(message.recipient, "intents.near");
        assert_eq!(message.callback_url, None);
    }

    #[test]
    fn refuses_for_ever_what_the_venue_cannot_take() {
        let over = (i128::MAX.unsigned_abs() + 1).to_string();
        let cases: [(Command, &str); 7] = [
            (Command { venue_ref: "x".into(), ..command() }, "venue_ref_mismatch"),
            (Command { asset_out: "nep141:wrap.near".into(), ..command() }, "same_asset"),
            (Command { amount_in: "0".into(), ..command() }, "amount_zero"),
            (Command { amount_in: over, ..command() }, "amount_over_i128"),
            (Command { amount_out: "-1".into(), ..command() }, "amount_invalid"),
            (Command { account: String::new(), ..command() }, "account_empty"),
            (Command { deadline: u64::MAX, ..command() }, "deadline_invalid"),
        ];
        for (command, code) in cases {
            assert_eq!(command.message("intents.near", [0; 4]).unwrap_err().code, code);
        }
    }

    #[test]
    fn microseconds_of_a_deadline_are_cut_in_message_and_nonce_alike() {
        let whole = command().message("intents.near", [0; 4]).unwrap();
        let finer = Command { deadline: 1_795_341_665_123_999, ..command() }.message("intents.near", [0; 4]).unwrap();
        assert_eq!(whole, finer);
    }
}

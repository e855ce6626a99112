//! Whether a `quote_response` binds: every rule of the relay and of the contract, in one place.

use serde_json::Value;

use super::ledger_lines::{Accepted, Duplicate, Quote};
use super::nep413::{Signed, VersionedNonce};
use super::refusal::Refusal;
use super::state::State;
use super::terms::{Message, amount_of, quoted};

const NANOS_PER_MS: i64 = 1_000_000;

/// Who answers what, as far as the frame can be read at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) quote_id: Option<String>,
    pub(super) account: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) quote_hash: Option<String>,
    pub(super) digest: Option<String>,
}

/// A `quote_response` as far as it can be read.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) identity: Identity,
    body: Option<&'a Value>,
    signed: Option<Result<Signed, Refusal>>,
}

impl<'a> Answer<'a> {
    pub(super) fn read(params: Option<&'a Value>) -> Self {
        let body = match params.and_then(Value::as_array).map(Vec::as_slice) {
            Some([body]) if body.is_object() => Some(body),
            _ => None,
        };
        let quote_id = body.and_then(|body| body.get("quote_id")).and_then(Value::as_str).map(str::to_owned);
        let signed = body.and_then(|body| body.get("signed_data")).filter(|data| !data.is_null()).map(Signed::parse);
        let mut identity = Identity { quote_id, ..Identity::default() };
        if let Some(Ok(signed)) = &signed {
            identity.account = Message::signer_of(&signed.message);
            identity.nonce = Some(signed.nonce_text.clone());
            identity.quote_hash = Some(signed.quote_hash());
            identity.digest = Some(signed.digest());
        }
        Self { identity, body, signed }
    }

    /// "I do not quote": legal, and answered with null.
    pub(super) fn is_decline(&self) -> bool {
        let kind = self.body.and_then(|body| body.get("quote_output")).and_then(|output| output.get("type"));
        self.signed.is_none() && self.identity.quote_id.is_some() && kind.is_some_and(Value::is_string)
    }

    /// Whether its account has answered this quote or shown this nonce before, valid or not: the promise is about
    /// signed answers that left the executor, not about those that the relay liked.
    pub(super) fn duplicate(&self, state: &State) -> Option<Duplicate> {
        let Identity {
            quote_id: Some(quote_id),
            account: Some(account),
            nonce: Some(nonce),
            quote_hash: Some(hash),
            digest: Some(digest),
        } = &self.identity
        else {
            return None;
        };
        let by_quote = state.answered.get(&(quote_id.clone(), account.clone()));
        let by_nonce = state.nonces_seen.get(&(account.clone(), nonce.clone()));
        let first = by_quote.or(by_nonce)?;
        Some(Duplicate {
            quote_id: quote_id.clone(),
            account: account.clone(),
            nonce: nonce.clone(),
            quote_hash: hash.clone(),
            same_quote: by_quote.is_some(),
            same_nonce: by_nonce.is_some(),
            first_quote_hash: first.clone(),
            digest: digest.clone(),
            accepted: false,
        })
    }

    /// What it binds its solver to, or why it does not.
    pub(super) fn judge(&self, state: &State, contract: &str, now_ms: u64) -> Result<Accepted, Refusal> {
        let body = self.body.ok_or_else(|| Refusal::params("Invalid params: one object is expected"))?;
        let quote_id = self.identity.quote_id.as_deref();
        let quote_id = quote_id.ok_or_else(|| Refusal::params("Invalid params: quote_id is missing"))?;
        let signed = self.signed.clone().ok_or_else(|| Refusal::params("Invalid params: signed_data is missing"))??;
        let quote = state.quotes.get(quote_id).filter(|quote| now_ms <= quote.closes_ms);
        let quote = quote.ok_or_else(Refusal::no_such_quote)?;
        if signed.recipient != contract {
            return Err(Refusal::params("wrong verifying_contract"));
        }
        if !signed.signature_is_valid() {
            return Err(Refusal::params("invalid signature"));
        }
        let message = Message::parse(&signed.message)?;
        let account = state.accounts.get(&message.signer_id).filter(|known| known.keys.contains(&signed.public_key));
        let account = account.ok_or_else(|| {
            let (key, signer) = (&signed.public_key_text, &message.signer_id);
            Refusal::params(format!("public key '{key}' doesn't exist for account '{signer}'"))
        })?;
        let height = state.chain.head(now_ms);
        check_times(&signed, &message, quote, state, height, now_ms)?;
        let used = state.nonces_used.contains_key(&(message.signer_id.clone(), signed.nonce_text.clone()));
        if used {
            return Err(Refusal::params("nonce was already used"));
        }
        let (gets, gives) = message.amounts(&quote.asset_in, &quote.asset_out)?;
        check_amounts(quote, body, gets, gives)?;
        if account.balance(&quote.asset_out, u64::MAX) < gives {
            return Err(Refusal::params("insufficient balance or overflow"));
        }
        Ok(Accepted {
            deadline_ms: u64::try_from(message.deadline_ns / NANOS_PER_MS).unwrap_or_default(),
            asset_in: quote.asset_in.clone(),
            amount_in: gets.to_string(),
            asset_out: quote.asset_out.clone(),
            amount_out: gives.to_string(),
            settle_at_ms: None,
        })
    }
}

fn check_times(
    signed: &Signed,
    message: &Message,
    quote: &Quote,
    state: &State,
    height: u64,
    now_ms: u64,
) -> Result<(), Refusal> {
    let now_ns = nanos(now_ms);
    if message.deadline_ns < now_ns {
        return Err(Refusal::params("deadline has expired"));
    }
    if message.deadline_ns < now_ns.saturating_add(nanos(quote.min_deadline_ms)) {
        return Err(Refusal::params("Invalid params: deadline is sooner than min_deadline_ms"));
    }
    let nonce = VersionedNonce::parse(&signed.nonce).ok_or_else(|| Refusal::params("invalid nonce"))?;
    if !state.chain.salt_is_valid(nonce.salt, height) {
        return Err(Refusal::params("invalid salt"));
    }
    if nonce.deadline_ns < now_ns {
        return Err(Refusal::params("nonce was already expired"));
    }
    if message.deadline_ns > nonce.deadline_ns {
        return Err(Refusal::params("deadline is greater than nonce"));
    }
    Ok(())
}

/// The fixed side is the quote's, the open side is what lies beside the signature.
fn check_amounts(quote: &Quote, body: &Value, gets: u128, gives: u128) -> Result<(), Refusal> {
    let output = body.get("quote_output").unwrap_or(&Value::Null);
    let (fixed, fixed_signed, open, open_signed) = match (&quote.amount_in, &quote.amount_out) {
        (Some(amount_in), None) => (amount_in, gets, quoted(output, "amount_out")?, gives),
        (None, Some(amount_out)) => (amount_out, gives, quoted(output, "amount_in")?, gets),
        _ => return Err(Refusal::params("Invalid params: the quote fixes no amount")),
    };
    if amount_of(fixed) != Some(fixed_signed) {
        return Err(Refusal::params("Invalid params: the signed amount is not the quote's"));
    }
    if open != open_signed {
        return Err(Refusal::params("Invalid params: quote_output is not the signed amount"));
    }
    Ok(())
}

fn nanos(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_MS)
}

//! What comes back to the executor means: frames of its connection, answers to its standing questions.

use crate::Reason;
use crate::balances;
use crate::chain::{self, Response};
use crate::excerpt;
use crate::execute::SALT;
use crate::frame::{Refusal, Reply, Sorted, Status, details, sort};
use crate::ingest::QUOTE;
use crate::loose::Scalar;

/// What something that came says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// About our request of this id.
    Request(u64, Verdict),
    /// About the action of this digest, lower-case hex.
    Action(String, Verdict),
    Fact(String, String),
    /// Known and of no interest.
    Chatter(&'static str),
    /// Not understood.
    Unrecognised(String),
}

/// What the venue said of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took it.
    Accepted(String),
    /// It refused it for good.
    Rejected(Reason),
    /// It took effect.
    Settled(String),
    /// It was taken and failed.
    SettlementFailed(String),
    /// Nothing definite.
    Unclear(String),
}

/// What a frame on the executor's connection says.
pub fn read_frame(bytes: &[u8]) -> Vec<Statement> {
    vec![match sort(bytes) {
        Sorted::Reply(reply) => read_reply(reply),
        Sorted::Status(status) => read_status(&status, bytes),
        Sorted::Quote(_) => Statement::Chatter(QUOTE),
        Sorted::Unrecognised(why) => Statement::Unrecognised(why),
    }]
}

/// What the answer to a standing question says; none if it could not be asked.
pub fn read_response(tag: &str, response: Option<Response<'_>>) -> Vec<Statement> {
    if tag == SALT {
        let Some(response) = response else { return vec![Statement::Chatter("salt_not_answered")] };
        return vec![match chain::read_salt(response) {
            Ok(salt) => Statement::Fact(SALT.to_owned(), salt),
            Err(error) => Statement::Unrecognised(format!("salt: {error}")),
        }];
    }
    let Some(asked) = balances::Asked::parse(tag) else {
        return vec![Statement::Unrecognised(format!("an answer with the unknown tag `{}`", excerpt(tag)))];
    };
    let Some(response) = response else { return vec![Statement::Chatter("balances_not_answered")] };
    match asked.read(response) {
        Ok(facts) => facts.into_iter().map(|(name, value)| Statement::Fact(name, value)).collect(),
        Err(error) => vec![Statement::Unrecognised(format!("balances: {error}"))],
    }
}

fn read_reply(reply: Reply) -> Statement {
    let Some(id) = reply.id else {
        let what = reply.error.map_or_else(|| reply.result.kind().to_owned(), |refusal| refusal.to_string());
        return Statement::Unrecognised(format!("a reply to nothing that we asked: {what}"));
    };
    let verdict = match (reply.error, reply.result) {
        (Some(refusal), result) if result.is_none() => judge(&refusal),
        (Some(refusal), _) => Verdict::Unclear(format!("a result and an error at once: {refusal}")),
        (None, Scalar::Text(text)) if text == "OK" => Verdict::Accepted(text),
        (None, Scalar::Text(text)) => Verdict::Unclear(format!("the result is `{}`", excerpt(&text))),
        (None, other) => Verdict::Unclear(format!("the result is {}", other.kind())),
    };
    Statement::Request(id, verdict)
}

/// Only what the venue documents as final is a refusal; every other error leaves the answer in doubt.
fn judge(refusal: &Refusal) -> Verdict {
    let code = match refusal.code {
        Some(-32_098) => "quote_finished",
        Some(-32_001) => "quote_expired",
        Some(-32_602) => "params_invalid",
        _ if is_contract_text(refusal.text.trim()) => "contract_refused",
        _ => return Verdict::Unclear(refusal.to_string()),
    };
    Verdict::Rejected(Reason::new(code, refusal.to_string()))
}

/// The verifier contract's own texts (near/intents, contracts/defuse/core/src/error.rs).
fn is_contract_text(text: &str) -> bool {
    const EXACT: [&str; 11] = [
        "insufficient balance or overflow",
        "deadline has expired",
        "deadline is greater than nonce",
        "invalid intent",
        "invalid signature",
        "nonce was already used",
        "nonce was already expired",
        "invalid nonce",
        "invalid salt",
        "wrong verifying_contract",
        "gas overflow",
    ];
    // What stands between the two parts is filled in by the contract.
    const FRAMED: [(&str, &str); 6] = [
        ("account '", "' not found"),
        ("account '", "' is locked"),
        ("public key '", "'"),
        ("invariant violated: ", ""),
        ("token_id is too long: max length is ", ""),
        ("JSON: ", ""),
    ];
    let framed = |(start, end): &(&str, &str)| {
        text.strip_prefix(start).is_some_and(|rest| rest.len() > end.len() && rest.ends_with(end))
    };
    EXACT.contains(&text) || FRAMED.iter().any(framed)
}

fn read_status(status: &Status, bytes: &[u8]) -> Statement {
    let data = match details(bytes, status.shape) {
        Ok(data) => data,
        Err(why) => return Statement::Unrecognised(why),
    };
    let mut digest = [0; 32];
    match bs58::decode(&status.quote_hash).onto(&mut digest) {
        Ok(length) if length == digest.len() => {}
        _ => {
            let what = format!("quote_hash `{}` is not base58 of 32 bytes", excerpt(&status.quote_hash));
            return Statement::Unrecognised(what);
        }
    }
    let detail = || match (data.tx_hash.text(), data.intent_hash.text()) {
        (Some(tx), _) if !tx.is_empty() => format!("transaction {}", excerpt(tx)),
        (_, Some(intent)) if !intent.is_empty() => format!("intent {}", excerpt(intent)),
        _ => "no transaction named".to_owned(),
    };
    let verdict = match &data.event_type {
        kind if kind.is_none() => Verdict::Settled(detail()),
        Scalar::Text(kind) => match kind.as_str() {
            "quote_settle_successful" => Verdict::Settled(detail()),
            "quote_settle_failed" => Verdict::SettlementFailed(detail()),
            "quote_ready_to_settle" => return Statement::Chatter("quote_ready_to_settle"),
            other => return Statement::Unrecognised(format!("event_type `{}`", excerpt(other))),
        },
        other => return Statement::Unrecognised(format!("event_type is {}", other.kind())),
    };
    Statement::Action(hex::encode(digest), verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_question_and_a_foreign_tag_decide_nothing() {
        assert_eq!(read_response(SALT, None), [Statement::Chatter("salt_not_answered")]);
        let tag = r#"balances {"account_id":"a","token_ids":["x"]}"#;
        assert_eq!(read_response(tag, None), [Statement::Chatter("balances_not_answered")]);
        for foreign in ["x", "balances", "balances {}", "salt "] {
            assert!(matches!(read_response(foreign, None).as_slice(), [Statement::Unrecognised(_)]), "{foreign}");
        }
    }
}

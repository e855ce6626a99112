//! The executor's side: what it asks and sends, what it prepares, and what comes back means.

use serde::Deserialize;

use crate::chain::{self, Response};
use crate::excerpt;
use crate::frame::{Refusal, Reply, Sorted, Status, details, sort};
use crate::ingest::{QUOTE, QUOTE_STATUS};
use crate::intent::Command;
use crate::loose::Scalar;
use crate::nonce::parse_salt;
use crate::{Reason, TimestampUs, rpc};

/// The endpoint of the configuration that is a NEAR node.
pub const NEAR_ENDPOINT: &str = "near";
/// Tag of the standing question for the salt, and the fact's name. Balances will be `balances`, with facts
/// `balance/<asset>`; the tags of a doubt's questions are in `resolve`.
pub const SALT: &str = "salt";

/// The executor's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The verifier contract: recipient of every signed message.
    #[serde(default = "default_verifier")]
    pub verifier: String,
    /// Streams to subscribe on the executor's own connection. Settlements come by `quote_status`; should the relay
    /// take answers only where it sent the quote, `quote` can be added, and is then ignored here.
    #[serde(default = "default_subscriptions")]
    pub subscriptions: Vec<String>,
    /// How often the salt is asked for, in milliseconds.
    #[serde(default = "default_salt_every_ms")]
    pub salt_every_ms: u32,
    /// How old a salt may be, in milliseconds.
    #[serde(default = "default_salt_age_ms_max")]
    pub salt_age_ms_max: u64,
}

fn default_verifier() -> String {
    "intents.near".to_owned()
}

fn default_subscriptions() -> Vec<String> {
    vec![QUOTE_STATUS.to_owned()]
}

fn default_salt_every_ms() -> u32 {
    10_000
}

fn default_salt_age_ms_max() -> u64 {
    120_000
}

/// Something known.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
    /// How long ago it was asked for.
    pub age_ms: u64,
}

/// Why nothing can be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unprepared {
    /// For ever.
    Never(Reason),
    /// For now.
    NotYet(Reason),
}

/// What something that came says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// About our request of this id.
    Request(u64, Verdict),
    /// About the action of this digest, lower-case hex.
    Action(String, Verdict),
    /// A fact.
    Fact(&'static str, String),
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

impl Config {
    /// Reads and checks the configuration.
    pub fn read(text: &str) -> Result<Self, String> {
        let config: Self = crate::config::read(text)?;
        if config.verifier.is_empty() {
            return Err("verifier: it must not be empty".into());
        }
        if config.salt_every_ms == 0 || config.salt_age_ms_max == 0 {
            return Err("salt_every_ms, salt_age_ms_max: not 0".into());
        }
        match config.subscriptions.iter().find(|name| name.is_empty()) {
            Some(_) => Err("subscriptions: a name is empty".into()),
            None => Ok(config),
        }
    }

    /// The frames to send when the connection opens.
    pub fn on_open(&self, first_request_id: u64) -> Vec<String> {
        (first_request_id..).zip(&self.subscriptions).map(|(id, stream)| rpc::subscribe(id, stream, None)).collect()
    }

    /// The exact unsigned bytes for a command.
    pub fn prepare(&self, command: &Command, facts: &[Fact<'_>], now: TimestampUs) -> Result<Vec<u8>, Unprepared> {
        command.check().map_err(Unprepared::Never)?;
        if now >= command.deadline {
            return Err(Unprepared::Never(Reason::new("deadline_passed", "the deadline has passed")));
        }
        let not_yet = |code, text: String| Unprepared::NotYet(Reason::new(code, text));
        let Some(fact) = facts.iter().find(|fact| fact.name == SALT) else {
            return Err(not_yet("salt_missing", "the contract's salt is not known yet".into()));
        };
        if fact.age_ms > self.salt_age_ms_max {
            let text = format!("the contract's salt is {} ms old, at most {}", fact.age_ms, self.salt_age_ms_max);
            return Err(not_yet("salt_too_old", text));
        }
        let Some(salt) = parse_salt(fact.value) else {
            return Err(not_yet("salt_invalid", format!("`{}` is no salt", excerpt(fact.value))));
        };
        let message = command.message(&self.verifier, salt).map_err(Unprepared::Never)?;
        message.pre_image().map_err(|error| Unprepared::Never(Reason::new("message", error.to_string())))
    }
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

/// What the answer to a question says; none if it could not be asked.
pub fn read_response(tag: &str, response: Option<Response<'_>>) -> Vec<Statement> {
    vec![match (tag, response) {
        (SALT, Some(response)) => match chain::read_salt(response) {
            Ok(salt) => Statement::Fact(SALT, salt),
            Err(error) => Statement::Unrecognised(format!("salt: {error}")),
        },
        (SALT, None) => Statement::Chatter("salt_not_answered"),
        _ => Statement::Unrecognised(format!("an answer with the unknown tag `{}`", excerpt(tag))),
    }]
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
    use crate::intent::tests::command;
    use crate::nep413::Message;

    const BEFORE: TimestampUs = 1_795_341_600_123_456;

    fn salt(value: &'static str, age_ms: u64) -> Fact<'static> {
        Fact { name: SALT, value, age_ms }
    }

    fn prepare(facts: &[Fact<'_>], now: TimestampUs) -> Result<Vec<u8>, Unprepared> {
        Config::read("{}").unwrap().prepare(&command(), facts, now)
    }

    #[test]
    fn the_same_command_and_facts_give_the_same_bytes() {
        let first = prepare(&[salt("252812b3", 5)], BEFORE).unwrap();
        assert_eq!(prepare(&[salt("252812b3", 119_999)], BEFORE + 1).unwrap(), first);
        assert_ne!(prepare(&[salt("252812b4", 5)], BEFORE).unwrap(), first);
        assert_eq!(Message::parse(&first).unwrap().recipient, "intents.near");
    }

    #[test]
    fn waits_for_a_salt_and_never_signs_after_the_deadline() {
        let code = |result: Result<Vec<u8>, Unprepared>| match result.unwrap_err() {
            Unprepared::NotYet(reason) => ("not yet", reason.code),
            Unprepared::Never(reason) => ("never", reason.code),
        };
        assert_eq!(code(prepare(&[], BEFORE)), ("not yet", "salt_missing"));
        assert_eq!(code(prepare(&[salt("252812b3", 120_001)], BEFORE)), ("not yet", "salt_too_old"));
        assert_eq!(code(prepare(&[salt("salty", 5)], BEFORE)), ("not yet", "salt_invalid"));
        assert_eq!(code(prepare(&[salt("252812b3", 5)], command().deadline)), ("never", "deadline_passed"));
    }

    #[test]
    fn subscribes_with_ids_that_count_up() {
        let config = Config::read(r#"{"subscriptions":["quote","quote_status"]}"#).unwrap();
        let frames = config.on_open(7);
        assert_eq!(frames[0], r#"{"jsonrpc":"2.0","id":7,"method":"subscribe","params":["quote"]}"#);
        assert_eq!(frames[1], r#"{"jsonrpc":"2.0","id":8,"method":"subscribe","params":["quote_status"]}"#);
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        for (text, key) in [
            (r#"{"verifyer":"x"}"#, "verifyer"),
            (r#"{"verifier":""}"#, "verifier"),
            (r#"{"salt_every_ms":0}"#, "salt_every_ms"),
        ] {
            assert!(Config::read(text).unwrap_err().contains(key), "{text}");
        }
    }

    #[test]
    fn an_unanswered_question_and_a_foreign_tag_decide_nothing() {
        assert_eq!(read_response(SALT, None), [Statement::Chatter("salt_not_answered")]);
        assert!(matches!(read_response("x", None).as_slice(), [Statement::Unrecognised(_)]));
    }
}

//! The executor's side: its configuration, what it asks again and again, and what it prepares.

use serde::Deserialize;

use crate::balances::{self, Account};
use crate::ingest::QUOTE_STATUS;
use crate::intent::Command;
use crate::nonce::parse_salt;
use crate::{Reason, TimestampUs, chain, excerpt, rpc};

/// The endpoint of the configuration that is a NEAR node.
pub const NEAR_ENDPOINT: &str = "near";
/// The endpoint of the configuration that is the relay's HTTP.
pub const RELAY_ENDPOINT: &str = "rpc";
/// Tag of the standing question for the salt, and the fact's name.
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
    /// Whose balances of what are asked for; the facts are `balance/<account>/<asset>`.
    #[serde(default)]
    pub balances: Vec<Account>,
    /// How often balances are asked for, in milliseconds.
    #[serde(default = "default_balances_every_ms")]
    pub balances_every_ms: u32,
    /// The `chain_id` of the NEAR network: a node of another one proves nothing.
    #[serde(default = "default_network")]
    pub network: String,
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

fn default_balances_every_ms() -> u32 {
    5_000
}

fn default_network() -> String {
    "mainnet".to_owned()
}

/// A question asked of the NEAR node again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Comes back with the answer.
    pub tag: String,
    /// The request's body.
    pub body: Vec<u8>,
    /// How often, in milliseconds.
    pub every_ms: u32,
}

/// What is to be signed, and what it promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The exact unsigned bytes.
    pub unsigned: Vec<u8>,
    /// Asset and base units that the answer gives away if it is taken.
    pub reserves: Vec<(String, String)>,
}

/// Something known.
#[derive(Clone, Copy, Debug)]
pub struct Fact<'a> {
    pub name: &'a str,
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

impl Config {
    /// Reads and checks the configuration.
    pub fn read(text: &str) -> Result<Self, String> {
        let config: Self = crate::config::read(text)?;
        if config.verifier.is_empty() {
            return Err("verifier: it must not be empty".into());
        }
        if config.network.is_empty() {
            return Err("network: it must not be empty".into());
        }
        if config.salt_every_ms == 0 || config.salt_age_ms_max == 0 || config.balances_every_ms == 0 {
            return Err("salt_every_ms, salt_age_ms_max, balances_every_ms: not 0".into());
        }
        balances::check(&config.balances)?;
        match config.subscriptions.iter().find(|name| name.is_empty()) {
            Some(_) => Err("subscriptions: a name is empty".into()),
            None => Ok(config),
        }
    }

    /// The frames to send when the connection opens.
    pub fn on_open(&self, first_request_id: u64) -> Vec<String> {
        (first_request_id..).zip(&self.subscriptions).map(|(id, stream)| rpc::subscribe(id, stream, None)).collect()
    }

    /// What is asked again and again.
    pub fn standing(&self) -> Vec<Standing> {
        let salt =
            Standing { tag: SALT.to_owned(), body: chain::ask_salt(&self.verifier), every_ms: self.salt_every_ms };
        let balances = balances::questions(&self.balances).map(|asked| Standing {
            tag: asked.tag(),
            body: asked.body(&self.verifier),
            every_ms: self.balances_every_ms,
        });
        std::iter::once(salt).chain(balances).collect()
    }

    /// The exact unsigned bytes for a command, and what they promise. Whether that is held is the host's to judge.
    pub fn prepare(&self, command: &Command, facts: &[Fact<'_>], now: TimestampUs) -> Result<Prepared, Unprepared> {
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
        let unsigned = message.pre_image();
        let unsigned = unsigned.map_err(|error| Unprepared::Never(Reason::new("message", error.to_string())))?;
        Ok(Prepared { unsigned, reserves: vec![(command.asset_out.clone(), command.amount_out.clone())] })
    }
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

    fn prepare(facts: &[Fact<'_>], now: TimestampUs) -> Result<Prepared, Unprepared> {
        Config::read("{}").unwrap().prepare(&command(), facts, now)
    }

    #[test]
    fn the_same_command_and_facts_give_the_same_bytes() {
        let first = prepare(&[salt("252812b3", 5)], BEFORE).unwrap();
        assert_eq!(prepare(&[salt("252812b3", 119_999)], BEFORE + 1).unwrap(), first);
        assert_ne!(prepare(&[salt("252812b4", 5)], BEFORE).unwrap(), first);
        assert_eq!(Message::parse(&first.unsigned).unwrap().recipient, "intents.near");
    }

    #[test]
    fn reserves_what_the_answer_gives_whatever_the_balances_are() {
        let all = command();
        let name = format!("balance/{}/{}", all.account, all.asset_out);
        let empty = Fact { name: &name, value: "0", age_ms: 5 };
        let prepared = prepare(&[salt("252812b3", 5), empty], BEFORE).unwrap();
        assert_eq!(prepared.reserves, [(all.asset_out, all.amount_out)]);
        assert_eq!(prepared, prepare(&[salt("252812b3", 5)], BEFORE).unwrap());
    }

    #[test]
    fn asks_for_the_salt_and_for_each_batch_of_balances() {
        let config = Config::read(
            r#"{"salt_every_ms":7,"balances":[{"account":"a.near","assets":["x","y"]}],"balances_every_ms":9}"#,
        )
        .unwrap();
        let asked = config.standing();
        let seen: Vec<_> = asked.iter().map(|one| (one.tag.as_str(), one.every_ms)).collect();
        assert_eq!(seen, [(SALT, 7), (r#"balances {"account_id":"a.near","token_ids":["x","y"]}"#, 9)]);
        assert_eq!(Config::read("{}").unwrap().standing().len(), 1);
    }

    #[test]
    fn waits_for_a_salt_and_never_signs_after_the_deadline() {
        let code = |result: Result<Prepared, Unprepared>| match result.unwrap_err() {
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
            (r#"{"balances_every_ms":0}"#, "balances_every_ms"),
            (r#"{"network":""}"#, "network"),
            (r#"{"balances":[{"account":"","assets":["x"]}]}"#, "account"),
            (r#"{"balances":[{"account":"a","assets":[]}]}"#, "assets"),
            (r#"{"balances":[{"account":"a","assets":["x","x"]}]}"#, "twice"),
        ] {
            assert!(Config::read(text).unwrap_err().contains(key), "{text}");
        }
    }
}

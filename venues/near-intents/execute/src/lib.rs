//! NEAR Intents executor: glue between the `unrip:executor` world and `near_intents_shared`. Holds no key and no state
//! but its configuration.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

use near_intents_shared::chain::{self, Response};
use near_intents_shared::execute::{Config, Fact, NEAR_ENDPOINT, SALT, Statement, Unprepared, Verdict};
use near_intents_shared::ingest::{CREDENTIAL, ENDPOINT};
use near_intents_shared::intent::{Command, Fixed};
use near_intents_shared::resolve::{self, Step};
use near_intents_shared::{answer, execute, nep413};

#[allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated from the WIT, which documents it")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host/v0.1", "../../../wit/types/v0.1", "../../../wit/executor/v0.1"],
        world: "unrip:executor/module",
        generate_all,
    });
    export!(Module);
    use super::Module;
}

use bindings::exports::unrip::executor::executor as world;
use bindings::exports::unrip::types::lifecycle;
use bindings::unrip::host::log::{Level, log};
use bindings::unrip::types::{command, common};

thread_local! {
    static CONFIG: RefCell<Option<Config>> = const { RefCell::new(None) };
}

struct Module;

fn config() -> Option<Config> {
    CONFIG.with_borrow(Clone::clone)
}

impl lifecycle::Guest for Module {
    fn describe() -> lifecycle::Description {
        lifecycle::Description {
            name: "near-intents/execute".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wit: "unrip:executor@0.1.0".to_owned(),
            venue: near_intents_shared::VENUE.to_owned(),
            streams: vec![],
            capabilities: vec![
                lifecycle::Capability::Websocket(ENDPOINT.to_owned()),
                lifecycle::Capability::Http(NEAR_ENDPOINT.to_owned()),
                lifecycle::Capability::Credential(CREDENTIAL.to_owned()),
                lifecycle::Capability::Signing(nep413::SCHEME.to_owned()),
            ],
            attributes: vec![],
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let config = Config::read(&config)?;
        CONFIG.with_borrow_mut(|slot| *slot = Some(config));
        Ok(())
    }
}

impl world::Guest for Module {
    fn standing_questions() -> Vec<world::StandingQuestion> {
        let Some(config) = config() else { return vec![] };
        let request = near(chain::ask_salt(&config.verifier));
        let query = world::Query { tag: SALT.to_owned(), request };
        vec![world::StandingQuestion { query, every_ms: config.salt_every_ms }]
    }

    fn connection() -> Option<world::Connect> {
        Some(world::Connect {
            endpoint: ENDPOINT.to_owned(),
            path: String::new(),
            headers: vec![common::Header {
                name: "authorization".to_owned(),
                value: common::HeaderValue::Bearer(CREDENTIAL.to_owned()),
            }],
        })
    }

    fn on_open(first_request_id: u64) -> Vec<world::Outbound> {
        let frames = config().map(|config| config.on_open(first_request_id)).unwrap_or_default();
        frames.into_iter().map(|text| world::Outbound::Frame(common::Message::Text(text))).collect()
    }

    fn prepare(
        command: command::ExecuteTrade,
        facts: Vec<world::Fact>,
        now: u64,
    ) -> Result<world::Action, world::Refusal> {
        let Some(config) = config() else {
            return Err(world::Refusal::NotYet(reason("not_configured_yet", String::new())));
        };
        let command = command_of(command);
        let facts: Vec<Fact<'_>> =
            facts.iter().map(|fact| Fact { name: &fact.name, value: &fact.value, age_ms: fact.age_ms }).collect();
        match config.prepare(&command, &facts, now) {
            Ok(unsigned) => Ok(world::Action {
                scheme: nep413::SCHEME.to_owned(),
                unsigned,
                reserves: vec![(command.asset_out, command.amount_out)],
            }),
            Err(Unprepared::Never(why)) => Err(world::Refusal::Never(reason(why.code, why.text))),
            Err(Unprepared::NotYet(why)) => Err(world::Refusal::NotYet(reason(why.code, why.text))),
        }
    }

    fn encode(
        command: command::ExecuteTrade,
        action: world::Action,
        signature: world::Signature,
        request_id: u64,
    ) -> Result<world::Outbound, common::Reason> {
        let command = command_of(command);
        answer::quote_response(&command, &action.unsigned, &signature.public_key, &signature.signature, request_id)
            .map(|text| world::Outbound::Frame(common::Message::Text(text)))
            .map_err(|why| reason(why.code, why.text))
    }

    fn read(inbound: world::Inbound) -> Vec<world::Statement> {
        let statements = match &inbound {
            world::Inbound::Frame(common::Message::Text(text)) => execute::read_frame(text.as_bytes()),
            world::Inbound::Frame(common::Message::Binary(bytes)) => execute::read_frame(bytes),
            world::Inbound::Response((tag, response)) => execute::read_response(tag, response.as_ref().map(borrow)),
        };
        statements.into_iter().map(statement).collect()
    }

    fn resolve(
        command: command::ExecuteTrade,
        action: world::Action,
        last_answer: Option<world::LastAnswer>,
        now: u64,
    ) -> world::Resolution {
        let verifier = config().map(|config| config.verifier).unwrap_or_default();
        let last = last_answer.as_ref().map(|(tag, response)| (tag.as_str(), response.as_ref().map(borrow)));
        if let Some(complaint) = resolve::complaint(last) {
            log(Level::Warn, &format!("command {}: {complaint}", command.command_id));
        }
        resolution(resolve::resolve(&verifier, &command_of(command), &action.unsigned, last, now))
    }
}

fn command_of(command: command::ExecuteTrade) -> Command {
    let command::TradeAction::SwapAnswer(action) = command.action;
    Command {
        idempotency_key: command.idempotency_key,
        account: command.account,
        venue_ref: command.venue_ref,
        deadline: command.deadline,
        quote_id: action.quote_id,
        asset_in: action.asset_in,
        asset_out: action.asset_out,
        amount_in: action.amount_in,
        amount_out: action.amount_out,
        fixed: action.amount_fixed.map(|side| match side {
            command::SideFixed::AmountIn => Fixed::In,
            command::SideFixed::AmountOut => Fixed::Out,
        }),
    }
}

fn near(body: Vec<u8>) -> common::HttpRequest {
    common::HttpRequest {
        endpoint: NEAR_ENDPOINT.to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        headers: vec![common::Header {
            name: "content-type".to_owned(),
            value: common::HeaderValue::Plain("application/json".to_owned()),
        }],
        body,
        mac: None,
    }
}

fn borrow(response: &common::HttpResponse) -> Response<'_> {
    Response { status: response.status, body: &response.body }
}

fn reason(code: &str, text: String) -> common::Reason {
    common::Reason { code: code.to_owned(), text }
}

fn statement(statement: Statement) -> world::Statement {
    match statement {
        Statement::Request(id, said) => world::Statement::Request((id, verdict(said))),
        Statement::Action(digest, said) => world::Statement::Action((digest, verdict(said))),
        Statement::Fact(name, value) => world::Statement::Fact((name.to_owned(), value)),
        Statement::Chatter(kind) => world::Statement::Chatter(kind.to_owned()),
        Statement::Unrecognised(why) => world::Statement::Unrecognised(why),
    }
}

fn verdict(verdict: Verdict) -> world::Verdict {
    match verdict {
        Verdict::Accepted(text) => world::Verdict::Accepted(text),
        Verdict::Rejected(why) => world::Verdict::Rejected(reason(why.code, why.text)),
        Verdict::Settled(text) => world::Verdict::Settled(text),
        Verdict::SettlementFailed(text) => world::Verdict::SettlementFailed(text),
        Verdict::Unclear(text) => world::Verdict::Unclear(text),
    }
}

fn resolution(step: Step) -> world::Resolution {
    let decided = |status, code: &str, venue_time, detail| {
        world::Resolution::Final(world::FinalVerdict {
            status,
            code: code.to_owned(),
            by_chain: true,
            venue_time: Some(venue_time),
            detail,
        })
    };
    match step {
        Step::Executed(at, detail) => decided(world::FinalStatus::Executed, "nonce_used", at, detail),
        Step::NotExecuted(at, detail) => decided(world::FinalStatus::NotExecuted, "nonce_unused", at, detail),
        Step::Ask { tag, body } => world::Resolution::Ask(world::Query { tag, request: near(body) }),
        Step::WaitUntil(time) => world::Resolution::WaitUntil(time),
    }
}

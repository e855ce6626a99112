//! NEAR Intents executor: glue between the `unrip:executor` world and `near_intents_shared`. Holds no key and no state
//! but its configuration.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

use near_intents_shared::chain::Response;
use near_intents_shared::execute::{Config, Fact, NEAR_ENDPOINT, Prepared, RELAY_ENDPOINT, Unprepared};
use near_intents_shared::heard::{self, Statement, Verdict};
use near_intents_shared::ingest::{CREDENTIAL, ENDPOINT};
use near_intents_shared::intent::{Command, Fixed};
use near_intents_shared::resolve::{self, Step, Whom};
use near_intents_shared::{answer, nep413};

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

/// How long a doubt waits for a module that was not configured, in microseconds.
const NOT_CONFIGURED_US: u64 = 60_000_000;

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
                lifecycle::Capability::Http(RELAY_ENDPOINT.to_owned()),
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
        let standing = config().map(|config| config.standing()).unwrap_or_default();
        let question = |one: near_intents_shared::execute::Standing| world::StandingQuestion {
            query: world::Query { tag: one.tag, request: post(Whom::Node, one.body) },
            every_ms: one.every_ms,
        };
        standing.into_iter().map(question).collect()
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
            Ok(Prepared { unsigned, reserves }) => {
                Ok(world::Action { scheme: nep413::SCHEME.to_owned(), unsigned, reserves })
            }
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
            world::Inbound::Frame(common::Message::Text(text)) => heard::read_frame(text.as_bytes()),
            world::Inbound::Frame(common::Message::Binary(bytes)) => heard::read_frame(bytes),
            world::Inbound::Response((tag, response)) => heard::read_response(tag, response.as_ref().map(borrow)),
        };
        statements.into_iter().map(statement).collect()
    }

    fn resolve(
        command: command::ExecuteTrade,
        action: world::Action,
        last_answer: Option<world::LastAnswer>,
        now: u64,
    ) -> world::Resolution {
        // Only a module that was never configured has none; it can wait, it must not guess.
        let Some(config) = config() else { return world::Resolution::WaitUntil(now.saturating_add(NOT_CONFIGURED_US)) };
        let (id, command) = (command.command_id.clone(), command_of(command));
        let last = last_answer.as_ref().map(|(tag, response)| (tag.as_str(), response.as_ref().map(borrow)));
        if let Some(complaint) = resolve::complaint(&config, &command, &action.unsigned, last) {
            log(Level::Warn, &format!("command {id}: {complaint}"));
        }
        resolution(resolve::resolve(&config, &command, &action.unsigned, last, now))
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

fn post(whom: Whom, body: Vec<u8>) -> common::HttpRequest {
    let plain = |text: &str| common::HeaderValue::Plain(text.to_owned());
    let slot = || CREDENTIAL.to_owned();
    let mut headers = vec![("content-type", plain("application/json"))];
    if whom == Whom::Relay {
        // The documentation names the one, the venue's own client sends the other.
        headers.push(("x-api-key", common::HeaderValue::Credential(slot())));
        headers.push(("authorization", common::HeaderValue::Bearer(slot())));
    }
    common::HttpRequest {
        endpoint: match whom {
            Whom::Relay => RELAY_ENDPOINT.to_owned(),
            Whom::Node => NEAR_ENDPOINT.to_owned(),
        },
        method: "POST".to_owned(),
        path: String::new(),
        headers: headers.into_iter().map(|(name, value)| common::Header { name: name.to_owned(), value }).collect(),
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
        Statement::Fact(name, value) => world::Statement::Fact((name, value)),
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
    let by_chain = |status, code: &str, at, detail| {
        world::Resolution::Final(world::FinalVerdict {
            status,
            code: code.to_owned(),
            by_chain: true,
            venue_time: Some(at),
            detail,
        })
    };
    match step {
        Step::Settled(detail) => world::Resolution::Final(world::FinalVerdict {
            status: world::FinalStatus::Executed,
            code: "settled".to_owned(),
            by_chain: false,
            venue_time: None,
            detail,
        }),
        Step::Executed(at, detail) => by_chain(world::FinalStatus::Executed, "nonce_used", at, detail),
        Step::NotExecuted(at, detail) => by_chain(world::FinalStatus::NotExecuted, "nonce_unused", at, detail),
        Step::Ask { whom, tag, body } => world::Resolution::Ask(world::Query { tag, request: post(whom, body) }),
        Step::WaitUntil(time) => world::Resolution::WaitUntil(time),
    }
}

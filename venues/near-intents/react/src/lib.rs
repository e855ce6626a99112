//! NEAR Intents strategy `fixed-spread`: glue between the `unrip:reactor` world and `near_intents_shared::react`.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

use near_intents_shared::react::{Answer, Decision, Demand, FixedSpread};

#[allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated from the WIT, which documents it")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host/v0.1", "../../../wit/types/v0.1", "../../../wit/reactor/v0.1"],
        world: "unrip:reactor/module",
        generate_all,
    });
    export!(Module);
    use super::Module;
}

use bindings::exports::unrip::reactor::reactor as world;
use bindings::exports::unrip::types::lifecycle;
use bindings::unrip::types::{canonical, command, common};

thread_local! {
    static STRATEGY: RefCell<Option<FixedSpread>> = const { RefCell::new(None) };
}

struct Module;

impl lifecycle::Guest for Module {
    fn describe() -> lifecycle::Description {
        lifecycle::Description {
            name: "near-intents/react".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wit: "unrip:reactor@0.1.0".to_owned(),
            venue: near_intents_shared::VENUE.to_owned(),
            streams: vec!["swap_demand".to_owned()],
            capabilities: vec![],
            attributes: vec![],
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let strategy = FixedSpread::read(&config)?;
        STRATEGY.with_borrow_mut(|slot| *slot = Some(strategy));
        Ok(())
    }
}

impl world::Guest for Module {
    fn strategy() -> String {
        STRATEGY.with_borrow(|slot| slot.as_ref().map(|strategy| strategy.name().to_owned())).unwrap_or_default()
    }

    fn react(inputs: Vec<world::Input>) -> Vec<Result<Vec<world::Decision>, common::Rejection>> {
        STRATEGY.with_borrow(|slot| match slot {
            Some(strategy) => inputs.iter().map(|input| Ok(decide(strategy, input))).collect(),
            None => {
                let reason = || common::Reason { code: "not_configured_yet".to_owned(), text: String::new() };
                inputs.iter().map(|_| Err(common::Rejection::Fatal(reason()))).collect()
            }
        })
    }

    fn snapshot() -> Vec<u8> {
        vec![]
    }

    fn restore(state: Vec<u8>) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err("this strategy keeps no state".to_owned()) }
    }
}

fn decide(strategy: &FixedSpread, input: &world::Input) -> Vec<world::Decision> {
    let canonical::Event::SwapDemand(demand) = &input.event else { return vec![] };
    if input.reference {
        return vec![];
    }
    let decision = strategy.decide(&Demand {
        venue: &input.venue,
        observed_at: input.observed_at,
        asset_in: &demand.asset_in,
        asset_out: &demand.asset_out,
        amount_in: demand.amount_in.as_deref(),
        amount_out: demand.amount_out.as_deref(),
        min_deadline_ms: demand.min_deadline_ms,
        ttl_ms: demand.ttl_ms,
    });
    vec![match decision {
        Decision::Answer(answer) => world::Decision::Command(answer_command(strategy, demand, answer)),
        Decision::Decline(code) => world::Decision::Decline(code.to_owned()),
    }]
}

fn answer_command(strategy: &FixedSpread, demand: &canonical::SwapDemand, answer: Answer) -> world::Command {
    world::Command {
        account: strategy.account().to_owned(),
        venue_ref: demand.quote_id.clone(),
        dispatch_by: answer.dispatch_by,
        deadline: answer.deadline,
        reason: answer.reason,
        inputs: vec![],
        action: command::TradeAction::SwapAnswer(command::SwapAnswer {
            quote_id: demand.quote_id.clone(),
            asset_in: demand.asset_in.clone(),
            asset_out: demand.asset_out.clone(),
            amount_in: answer.amount_in.to_string(),
            amount_out: answer.amount_out.to_string(),
            amount_fixed: Some(if answer.out_is_fixed {
                command::SideFixed::AmountOut
            } else {
                command::SideFixed::AmountIn
            }),
        }),
    }
}

//! NEAR Intents normalizer: glue between the `unrip:normalizer` world and `near_intents_shared::normalize`.
#![cfg(target_arch = "wasm32")]

use near_intents_shared::normalize::{Canonical, Demand, Outcome, Settlement, normalize};
use serde::Deserialize;

#[allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated from the WIT, which documents it")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host/v0.1", "../../../wit/types/v0.1", "../../../wit/normalizer/v0.1"],
        world: "unrip:normalizer/module",
        generate_all,
    });
    export!(Module);
    use super::Module;
}

use bindings::exports::unrip::normalizer::normalizer as world;
use bindings::exports::unrip::types::lifecycle;
use bindings::unrip::types::{canonical, common};

struct Module;

/// There is nothing to configure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {}

impl lifecycle::Guest for Module {
    fn describe() -> lifecycle::Description {
        lifecycle::Description {
            name: "near-intents/normalize".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wit: "unrip:normalizer@0.1.0".to_owned(),
            venue: near_intents_shared::VENUE.to_owned(),
            streams: vec!["quote".to_owned(), "quote_status".to_owned()],
            capabilities: vec![],
            attributes: vec![],
        }
    }

    fn configure(config: String) -> Result<(), String> {
        near_intents_shared::config::read::<Config>(&config).map(|Config {}| ())
    }
}

impl world::Guest for Module {
    fn normalize(records: Vec<world::RawRecord>) -> Vec<Result<Vec<canonical::Event>, common::Rejection>> {
        records
            .iter()
            .map(|record| match normalize(&record.stream, &record.raw) {
                Ok(Canonical::Demand(demand)) => Ok(vec![swap_demand(demand)]),
                Ok(Canonical::Settlement(settlement)) => Ok(vec![swap_settlement(settlement)]),
                Err(reason) => {
                    Err(common::Rejection::Reject(common::Reason { code: reason.code.to_owned(), text: reason.text }))
                }
            })
            .collect()
    }
}

fn swap_demand(demand: Demand) -> canonical::Event {
    canonical::Event::SwapDemand(canonical::SwapDemand {
        quote_id: demand.quote_id,
        asset_in: demand.asset_in,
        asset_out: demand.asset_out,
        amount_in: demand.amount_in,
        amount_out: demand.amount_out,
        min_deadline_ms: demand.min_deadline_ms,
        ttl_ms: demand.ttl_ms,
        attributes: demand.attributes,
    })
}

fn swap_settlement(settlement: Settlement) -> canonical::Event {
    canonical::Event::SwapSettlement(canonical::SwapSettlement {
        quote_hash: settlement.quote_hash,
        intent_hash: settlement.intent_hash,
        tx_hash: settlement.tx_hash,
        outcome: match settlement.outcome {
            Outcome::Settled => canonical::SettlementOutcome::Settled,
            Outcome::Failed => canonical::SettlementOutcome::Failed,
            Outcome::Ready => canonical::SettlementOutcome::Ready,
        },
        attributes: vec![],
    })
}
